"""BatchNorm is folded where a network decides nothing by what it is given, as far as a trace or an example shows."""

import pytest
import torch
from torch import nn

from tests.torch_lowrank.inference_cases import IMAGE, Attributes, norms, outputs_differ, trained
from torch_lowrank.inference import for_inference


class OptionalIsNone(Attributes):
    def forward(self, x, hidden=None):
        y = self.conv(x)
        if hidden is None:
            hidden = y
        return self.norm(y) + hidden


class AsksForTensors(Attributes):
    def forward(self, x):
        y = self.conv(x)
        if isinstance(x, torch.Tensor):
            return self.norm(y) + y
        return self.norm(y)


class AsksInAMethod(Attributes):
    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + self.rest(x, y)

    def rest(self, x, y):
        return y if type(x) is torch.Tensor else 0


def rest_of(x, y):
    return isinstance(x, torch.Tensor) and y


class AsksInAFunction(Attributes):
    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + rest_of(x, y)


class AsksByAnIndex(Attributes):
    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + (torch.zeros(1), y)[isinstance(x, torch.Tensor)]


class Matches(Attributes):
    def forward(self, x):
        y = self.conv(x)
        match x:
            case torch.Tensor():
                return self.norm(y) + y
        return self.norm(y)


class Selects(Attributes):
    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + sum(each for each in (y,) if torch.is_tensor(x))


class Remembers(Attributes):
    def forward(self, x):
        y = self.conv(x)
        self.number = 1 if torch.is_tensor(x) else 0
        return self.norm(y) + self.number * y


class TakesMore(Attributes):
    def forward(self, x, *more):
        return sum(more, self.norm(self.conv(x)))


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        OptionalIsNone,
        AsksForTensors,
        AsksInAMethod,
        AsksInAFunction,
        AsksByAnIndex,
        Matches,
        Selects,
        Remembers,
    ],
)
def test_what_placeholders_decide_otherwise_than_tensors_is_not_folded(make, inside):
    network = trained(nn.Sequential(nn.Identity(), make()) if inside else make())
    for example in (None, IMAGE):
        deployed = for_inference(network, example)
        assert len(norms(deployed)) == 1
        assert outputs_differ(network, deployed, IMAGE) < 1e-5


class DecidesHarmlessly(Attributes):
    def forward(self, x, scale=1.0):
        y = self.norm(self.conv(x))
        return y if scale == 1 else y * scale


@pytest.mark.parametrize("make", [DecidesHarmlessly, TakesMore])
def test_an_example_folds_where_a_trace_is_not_enough(make):
    network = trained(make())
    assert norms(for_inference(network)) == ["norm"]
    deployed = for_inference(network, IMAGE)
    assert norms(deployed) == []
    assert outputs_differ(network, deployed, IMAGE) < 1e-5


class AsksItself(Attributes):
    """As the blocks of a ResNet."""

    def __init__(self):
        super().__init__()
        self.downsample = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

    def forward(self, x):
        y = self.norm(self.conv(x))
        if self.downsample is not None and not self.training:
            x = self.downsample(x)
        return y + x


def test_what_a_network_asks_of_itself_needs_no_example():
    network = trained(AsksItself())
    deployed = for_inference(network)
    assert norms(deployed) == []
    assert outputs_differ(network, deployed, IMAGE) < 1e-5


def test_a_forward_pass_without_source_needs_an_example():
    space = {"Attributes": Attributes}
    exec("class Generated(Attributes):\n    def forward(self, x):\n        return self.norm(self.conv(x))", space)
    network = trained(space["Generated"]())
    assert norms(for_inference(network)) == ["norm"]
    assert norms(for_inference(network, IMAGE)) == []
