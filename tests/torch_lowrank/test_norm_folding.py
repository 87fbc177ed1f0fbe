"""BatchNorm is folded where nothing reads between, in networks of any number of axes."""

import gc

import pytest
import torch
from torch import nn

from tests.torch_lowrank.inference_cases import IMAGE, Attributes, Parts, norms, outputs_differ, trained, worst
from torch_lowrank.compression import compress
from torch_lowrank.inference import for_inference
from torch_lowrank.io import StorageError, load_network, save_network
from torch_lowrank.ranks.rules import FixedRank


class Whole(Parts):
    def forward(self, x):
        return self.seq(x)


class ReadsBetween(Parts):
    def forward(self, x):
        y = self.seq[0](x)
        z = self.seq[1](y)
        return y + self.seq[3](self.seq[2](z))


class ReturnsBetween(Parts):
    def forward(self, x):
        y = self.seq[0](x)
        return self.seq[3](self.seq[2](self.seq[1](y))), y


class NormTwice(Parts):
    def forward(self, x):
        z = self.seq[1](self.seq[0](x))
        return self.seq[3](self.seq[2](self.seq[1](z)))


class ConvolutionTwice(Parts):
    def forward(self, x):
        z = self.seq[1](self.seq[0](x))
        return self.seq[3](self.seq[2](self.seq[2](z)))


class ReadsWeight(Parts):
    def forward(self, x):
        return self.seq(x) * self.seq[0].weight.sum()


class ReadsNorm(Parts):
    def forward(self, x):
        return self.seq(x) * self.seq[3].running_var.sum()


class TwoNorms(Parts):
    def forward(self, x):
        y = self.seq[0](x)
        return self.seq[1](y) + self.seq[3](y)


class TwoReaders(Parts):
    def forward(self, x):
        y = self.seq[0](x)
        return self.seq[1](y) + self.seq[3](self.seq[2](y))


class KeepsAList(Parts):
    def __init__(self):
        super().__init__()
        self.order = list(self.seq)

    def forward(self, x):
        for module in self.order:
            x = module(x)
        return x


CASES = [
    (Whole, []),
    (ReadsBetween, ["seq.1"]),
    (ReturnsBetween, ["seq.1"]),
    (NormTwice, ["seq.1"]),
    (ConvolutionTwice, ["seq.3"]),
    (ReadsWeight, ["seq.1"]),
    (ReadsNorm, ["seq.3"]),
    (TwoNorms, ["seq.1", "seq.3"]),
    (TwoReaders, ["seq.1"]),
    (KeepsAList, ["seq.1", "seq.3"]),
    (Attributes, []),
]


@pytest.mark.parametrize(("make", "left"), CASES)
@pytest.mark.parametrize("rank", [None, 2])
def test_what_something_else_reads_is_not_folded(make, left, rank):
    network = trained(make())
    if rank:
        network = compress(network, FixedRank(rank), scheme="spatial").network
    deployed = for_inference(network)
    # torch.fx cannot trace the product of the factors
    assert norms(deployed) == (["seq.1", "seq.3"] if rank and make is ReadsWeight else left)
    assert outputs_differ(network, deployed, IMAGE) < 1e-5


def branching(make):
    """The same, with a decision that torch.fx cannot trace."""

    class Branching(make):
        def forward(self, x):
            return super().forward(x) if x.sum() > -1e9 else x

    return Branching()


@pytest.mark.parametrize(("make", "left"), CASES)
def test_where_tracing_fails_an_example_shows_it(make, left):
    network = trained(branching(make))
    assert len(norms(for_inference(network))) == len(norms(network))
    deployed = for_inference(network, (IMAGE, "label"))
    assert norms(deployed) == left
    assert outputs_differ(network, deployed, IMAGE) < 1e-5
    assert not deployed._forward_hooks and not any(module._forward_pre_hooks for module in deployed.modules())


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize(
    ("convolution", "norm", "shape"),
    [
        (nn.Conv1d, nn.BatchNorm1d, (2, 3, 20)),
        (nn.Conv2d, nn.BatchNorm2d, (2, 3, 12, 11)),
        (nn.Conv3d, nn.BatchNorm3d, (2, 3, 9, 8, 7)),
    ],
)
def test_networks_of_any_number_of_axes_are_prepared(convolution, norm, shape, rank):
    torch.manual_seed(0)
    network = nn.Sequential(convolution(3, 8, 3), norm(8), nn.ReLU(), convolution(8, 6, 3), norm(6), nn.Flatten())
    for module in network.modules():
        if isinstance(module, norm):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.running_mean)
    network.eval()
    if rank:
        network = compress(network, FixedRank(rank)).network
    deployed = for_inference(network)
    assert norms(deployed) == []
    assert worst(network, deployed, torch.randn(shape)) < 1e-5


def test_a_subclass_of_batch_norm_or_of_a_convolution_stays():
    class Shifted(nn.BatchNorm2d):
        def forward(self, x):
            return super().forward(x) + 1

    class Doubled(nn.Conv2d):
        def forward(self, x):
            return 2 * super().forward(x)

    network = trained(nn.Sequential(nn.Conv2d(3, 3, 3), Shifted(3), Doubled(3, 3, 3), nn.BatchNorm2d(3)))
    deployed = for_inference(network)
    assert norms(deployed) == ["1", "3"]
    assert worst(network, deployed, IMAGE) < 1e-5


def test_a_compiled_network_is_prepared_inside_its_wrapper():
    network = trained(Whole())
    deployed = for_inference(torch.compile(network, backend="eager"))
    assert norms(deployed) == []
    assert worst(network, deployed, IMAGE) < 1e-5


@pytest.mark.parametrize("wrap", [lambda network: network, nn.Sequential])
def test_a_prepared_network_is_not_saved(wrap, tmp_path):
    with pytest.raises(StorageError, match=r"was prepared by for_inference.*save the one that it was made of"):
        save_network(wrap(for_inference(trained(Whole()))), tmp_path / "network")
    assert not (tmp_path / "network").exists()
    save_network(trained(Whole()), tmp_path / "network")
    assert norms(for_inference(load_network(tmp_path / "network", Whole))) == []


def test_what_runs_when_garbage_is_collected_is_not_taken_for_the_networks() -> None:
    def of_another_library(phase: str, info: dict) -> None:
        if phase == "start" and info:
            called.append(phase)

    called: list[str] = []
    network, often = trained(Whole()), gc.get_threshold()
    gc.callbacks.append(of_another_library)
    gc.set_threshold(1)
    try:
        deployed = for_inference(network)
    finally:
        gc.set_threshold(*often)
        gc.callbacks.remove(of_another_library)
    assert called
    assert norms(deployed) == []
