"""Batches of any form, for networks of one input and of several."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from models.preprocessing import ImageBatches, Preprocessing
from tests.torch_lowrank.curvature.statistics_cases import images, network, same
from torch_lowrank.batches import call_of
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.recalibration import recalibrate

A, B, C = torch.zeros(4, 1), torch.ones(4, 2), torch.ones(4)


@pytest.mark.parametrize(
    ("batch", "inputs", "args", "kwargs"),
    [
        (A, None, (A,), {}),
        ((A, C), None, (A,), {}),
        ([A], None, (A,), {}),
        (((A, B), C), None, (A, B), {}),
        (({"x": A, "y": B}, C), None, (), {"x": A, "y": B}),
        ({"x": A, "scale": 2.0}, None, (), {"x": A, "scale": 2.0}),
        ((A, B, C), 2, (A, B), {}),
        ([A, B, C], 1, (A,), {}),
        ((A, B, C), lambda batch: batch[1], (B,), {}),
        ({"image": A, "label": C}, lambda batch: batch["image"], (A,), {}),
        ({"image": A, "prior": B}, lambda batch: (batch["image"], batch["prior"]), (A, B), {}),
        ((A, B), lambda batch: {"x": batch[0]}, (), {"x": A}),
    ],
)
def test_what_of_a_batch_the_network_takes(batch, inputs, args, kwargs):
    call = call_of(batch, inputs)
    assert len(call.args) == len(args) and all(one is other for one, other in zip(call.args, args, strict=True))
    assert call.kwargs.keys() == kwargs.keys() and all(call.kwargs[key] is kwargs[key] for key in kwargs)
    assert call.samples == 4


@pytest.mark.parametrize(
    ("batch", "inputs", "said"),
    [
        ("text", None, "a batch is a str of length 4, in which no input was found"),
        ([], None, "a list of length 0"),
        (([1, 2], A), None, "a tuple of length 2, in which no input"),
        (np.zeros((2, 3)), None, "a batch is a ndarray, in which no input"),
        (torch.zeros(0, 3), None, "no input was found"),
        ((A, B), 3, "inputs is 3, a batch is a tuple of length 2"),
        ((A, B), 0, "inputs is 0"),
        (A, 1, "inputs is 1, a batch is a Tensor"),
    ],
)
def test_batches_without_an_input_are_refused(batch, inputs, said):
    with pytest.raises(ValueError, match=said):
        call_of(batch, inputs)
    with pytest.raises(ValueError, match=said):
        collect_statistics(network(), [batch], inputs=inputs)
    with pytest.raises(ValueError, match=said):
        recalibrate(nn.BatchNorm1d(1), [batch], inputs=inputs)


class Stream(IterableDataset):
    """Single images, without a length."""

    def __iter__(self):
        return iter(torch.cat(images()))


def loader():
    inputs = torch.cat(images())
    return DataLoader(TensorDataset(inputs, torch.zeros(len(inputs))), batch_size=3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tuple(images()),
        lambda: iter(images()),
        lambda: (batch for batch in images()),
        loader,
        lambda: iter(loader()),
        lambda: DataLoader(Stream(), batch_size=3),
    ],
)
def test_statistics_are_the_same_from_any_iterable_in_several_passes(make):
    one_pass = collect_statistics(network(), images())
    assert same(collect_statistics(network(), make()), one_pass)
    passes = collect_statistics(network(), make(), memory_limit=10_000)
    assert same(passes, collect_statistics(network(), images(), memory_limit=10_000))
    assert passes.images == 6


def test_a_loader_that_can_be_read_only_once_is_told():
    class Once(IterableDataset):
        def __init__(self):
            self.images = iter(torch.cat(images()))

        def __iter__(self):
            return self.images

    with pytest.raises(ValueError, match="the batches can be read only once; give a list"):
        collect_statistics(network(), DataLoader(Once(), batch_size=3))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right = nn.Conv2d(2, 3, 3), nn.Conv2d(1, 3, 3)
        self.norm, self.head = nn.BatchNorm2d(6), nn.Conv2d(6, 1, 1)

    def forward(self, left, right):
        return self.head(self.norm(torch.cat([self.left(left), self.right(right)], 1)))


PAIRS = [(image, image[:, :1] * 2) for image in images()]


@pytest.mark.parametrize(
    ("batches", "inputs"),
    [
        ([(*pair, C) for pair in PAIRS], 2),
        ([(pair, C) for pair in PAIRS], None),
        ([{"left": left, "right": right} for left, right in PAIRS], None),
        ([{"a": left, "b": right} for left, right in PAIRS], lambda batch: (batch["a"], batch["b"])),
    ],
)
def test_networks_of_several_inputs(batches, inputs):
    statistics = collect_statistics(TwoInputs(), batches, inputs=inputs)
    assert list(statistics) == ["left", "right", "head"]
    assert same(statistics, collect_statistics(TwoInputs(), PAIRS, inputs=2))
    model, expected = TwoInputs(), TwoInputs()
    recalibrate(model, batches, inputs=inputs)
    recalibrate(expected, PAIRS, inputs=2)
    assert torch.equal(model.norm.running_mean, expected.norm.running_mean) and model.norm.running_mean.abs().max() > 0


def test_recalibration_reads_once_and_needs_no_length():
    of_list, of_generator = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    recalibrate(of_list, images())
    recalibrate(of_generator, ((batch, "label") for batch in images()))
    assert torch.equal(of_list.running_var, of_generator.running_var)
    assert of_generator.num_batches_tracked == 2


@pytest.mark.parametrize(("batch_size", "min_batch", "sizes"), [(4, 1, [4, 4, 3]), (4, 6, [11]), (4, 5, [6, 5])])
def test_stored_images_are_split_into_batches_that_are_alike(batch_size, min_batch, sizes):
    stored = np.zeros((12, 2, 2, 1), np.uint8)
    batches = ImageBatches(stored, np.arange(11), Preprocessing(0, 1), batch_size, min_batch=min_batch)
    assert [len(batch) for batch in batches] == sizes
