"""Curvature needs a graph of the forward pass: without one it is refused, and never zero."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import TensorDataset

from tests.torch_lowrank.curvature.statistics_cases import images, network, same
from torch_lowrank.curvature.collect import collect_statistics


class Network(nn.Module):
    """Two layers, of which the first is called in some way."""

    def __init__(self, call):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.head, self.call = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 1, 1), call

    def forward(self, x):
        return self.head(self.call(self.block, x))

    def block(self, x):
        return self.first(x).sin() * self.first(x).cos()


def directly(block, x):
    return block(x)


@torch.no_grad()
def without_gradients(block, x):
    return block(x)


def reentrant(block, x):
    return checkpoint(block, x, use_reentrant=True)


def not_reentrant(block, x):
    return checkpoint(block, x, use_reentrant=False)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", [without_gradients, reentrant])
def test_a_forward_pass_that_records_no_graph_is_refused(call):
    model = Network(call)
    with pytest.raises(ValueError, match=r"layer 'first' runs where no graph is recorded \(torch.no_grad"):
        collect_statistics(model, images())
    expected = collect_statistics(Network(directly), images(), weighting="activation")
    assert same(collect_statistics(model, images(), weighting="activation"), expected)


def test_inference_mode_in_the_forward_pass_is_refused():
    class Inside(Network):
        @torch.inference_mode()
        def forward(self, x):
            return super().forward(x)

    with pytest.raises(ValueError, match="layer 'first' runs where no graph is recorded"):
        collect_statistics(Inside(directly), images())


def test_checkpointing_that_records_a_graph_changes_nothing():
    assert same(collect_statistics(Network(not_reentrant), images()), collect_statistics(Network(directly), images()))


def test_an_output_without_a_graph_is_refused():
    class Detached(Network):
        def forward(self, x):
            return super().forward(x).detach()

    with pytest.raises(ValueError, match="no gradient reached any layer: the network's output has no graph"):
        collect_statistics(Detached(directly), images())


@pytest.mark.parametrize("batches", [list(images()[0]), TensorDataset(images()[0], torch.zeros(3))])
@pytest.mark.parametrize("weighting", ["activation", "curvature"])
def test_images_in_the_place_of_batches_are_refused(batches, weighting):
    with pytest.raises(
        ValueError, match=r"layer '0' takes an input of shape \(2, 8, 7\) as one image, without a batch"
    ):
        collect_statistics(network(), batches, weighting=weighting)


def test_layers_inside_may_take_single_images():
    class OneByOne(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(2, 1, 3)

        def forward(self, x):
            return torch.stack([self.conv(image) for image in x])

    class Together(OneByOne):
        def forward(self, x):
            return self.conv(x)

    one, other = (collect_statistics(kind(), images())["conv"] for kind in (OneByOne, Together))
    torch.testing.assert_close(one.columns, other.columns)
    torch.testing.assert_close(one.rows, other.rows)
