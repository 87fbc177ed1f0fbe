"""A batch tells before the training whether a network fits the data."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from models.networks.errors import NetworkError
from models.networks.outputs import OneOutput
from models.networks.recipe import Recipe
from models.networks.trial import Wanted, check_classes, likely_classes, output_classes, try_network

DATA = Wanted(1, (32, 32), 1)


class Net(nn.Module):
    """One layer, and whatever is done before and after."""

    def __init__(self, before=None, after=None, channels=1, classes=1) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, classes, 3, padding=1)
        self.before, self.after = before, after

    def forward(self, x: Tensor):
        x = self.layer(x if self.before is None else self.before(x))
        return x if self.after is None else self.after(x)


def multiple_of(number: int):
    def check(x: Tensor) -> Tensor:
        if x.shape[2] % number or x.shape[3] % number:
            raise RuntimeError("sizes of tensors must match")
        return x

    return check


def needs_einops(x: Tensor) -> Tensor:
    raise ImportError("from einops import rearrange (No module named 'einops').")


REFUSED = {
    "channels": (Net(channels=3), "it takes 3 channels: use --channels 3"),
    "classes": (Net(classes=2), r"gives 2 channels, and binary masks need 1.*out_channels"),
    "smaller": (Net(after=nn.MaxPool2d(2)), "maps of 16x16 in training for images of 32x32"),
    "flat": (Net(after=lambda x: x.mean((2, 3))), r"gives \(2, 1\) in training; logits have the shape"),
    "labels": (Net(after=lambda x: x > 0), "torch.bool"),
    "not finite": (Net(after=lambda x: x / 0), "not finite in training"),
    "detached": (Net(after=Tensor.detach), "no gradient reaches"),
    "sigmoid": (Net(after=torch.sigmoid), "after a sigmoid"),
    "softmax over one": (Net(after=lambda logits: logits.softmax(1)), "a softmax over a single channel"),
    "several": (
        Net(after=lambda x: [x, x]),
        r"a list of 2 \(0: \(2, 1, 32, 32\), .*model\.output=0 or model\.output=1",
    ),
    "stacked": (Net(after=lambda x: torch.stack([x, x], 1)), r"model\.output=0 or model\.output=1"),
    "dictionary": (Net(after=lambda x: {"out": x}), r"model\.output=out"),
    "one in a list": (Net(after=lambda x: [x]), r"for the logits, give model\.output=0$"),
    "one of its tensors": (Net(after=lambda x: (x.mean(), x, [x])), r"for the logits, give model\.output=1$"),
    "deeper": (Net(after=lambda x: [[x]]), r"a tensor \(N, classes, H, W\): name a module of your own"),
    "no output to choose": (OneOutput(Net(), 1), r"model\.output=1 chooses nothing.*leave it out"),
    "no such output": (OneOutput(Net(after=lambda x: [x]), 1), r"is 1, and .*for the logits, give model\.output=0"),
    "thing": (Net(after=str), "gives a str; logits are a tensor"),
    "library": (Net(before=needs_einops), "pip install einops"),
}


class Remembers(Net):
    """A network whose state is more than tensors."""

    def get_extra_state(self) -> dict:
        return {"seen": 3}

    def set_extra_state(self, state: dict) -> None:
        self.seen = state


class Halved(torch.autograd.Function):
    """Adds a float16 parameter, and has no gradient."""

    @staticmethod
    def forward(context, x: Tensor, weight: Tensor) -> Tensor:
        return x + weight.float()

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, Tensor]:
        raise RuntimeError("not implemented for 'Half'")


class Half(Net):
    """A network with a parameter in half precision, whose gradient fails."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1, dtype=torch.float16))

    def forward(self, x: Tensor) -> Tensor:
        return Halved.apply(self.layer(x), self.shift)


def older_weight_norm() -> nn.Module:
    network = Net()
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        nn.utils.weight_norm(network.layer)
    return network


def raises_at(call: int):
    seen = []

    def count(x: Tensor) -> Tensor:
        seen.append(1)
        if len(seen) == call:
            raise KeyError("fourth")
        return x

    return count


REFUSED |= {
    "weight_norm": (older_weight_norm(), r"cannot be copied.*use torch\.nn\.utils\.parametrizations"),
    "extra state": (Remembers(), r"cannot be saved.*'_extra_state'.*register_buffer"),
    "all half": (Net().half(), r"torch\.float16: make them float32"),
    "half": (
        Half(),
        r"gradients cannot be computed: .*torch\.float16: make them float32, and choose training",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_told_with_its_repair(name: str) -> None:
    network, said = REFUSED[name]
    with pytest.raises(NetworkError, match=said):
        try_network(network, DATA)


@pytest.mark.parametrize(
    ("multiple", "size", "repair"), [(32, (48, 64), "64 64"), (8, (60, 64), "64 64"), (4, (30, 42), "32 44")]
)
def test_the_multiple_that_sides_must_be_of_is_found(multiple: int, size: tuple[int, int], repair: str) -> None:
    with pytest.raises(NetworkError, match=rf"a multiple of {multiple}: use --image_size {repair}"):
        try_network(Net(multiple_of(multiple)), Wanted(1, size, 1))


def test_a_network_that_differs_in_evaluation_is_told() -> None:
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(1, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x if self.training else x[..., ::2, ::2])

    with pytest.raises(NetworkError, match="16x16 in evaluation"):
        try_network(Halves(), DATA)


def test_softmax_is_told_of_several_classes() -> None:
    with pytest.raises(NetworkError, match="after a softmax"):
        try_network(Net(after=lambda x: x.softmax(1), classes=3), Wanted(1, (32, 32), 3))


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_logits_that_are_small_at_first_are_no_probabilities(bias: float) -> None:
    network = Net()
    nn.init.zeros_(network.layer.weight)
    nn.init.constant_(network.layer.bias, bias)
    assert try_network(network, DATA) == []


def test_parameters_that_no_gradient_reaches_are_noted() -> None:
    network = Net()
    network.head = nn.Conv2d(1, 30, 1)
    (note,) = try_network(network, DATA)
    assert note.startswith("no gradient reaches head.weight and 1 other parameters, 86 %")


def test_the_network_and_the_random_numbers_stay_as_they_were() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(), nn.Conv2d(4, 1, 1)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    try_network(network, DATA)
    assert torch.equal(torch.get_rng_state(), state)
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(("found", "wanted"), [(1, 1), (3, 3), (2, None), (5, None)])
def test_classes_that_fit(found: int, wanted: int | None) -> None:
    check_classes(found, wanted)


@pytest.mark.parametrize(
    ("found", "wanted", "said"),
    [(2, 1, "add --multi_class"), (1, 3, "need 3.*drop --multi_class"), (4, 3, "need 3"), (1, None, "need 2 or more")],
)
def test_classes_that_do_not(found: int, wanted: int | None, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        check_classes(found, wanted)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("monai.networks.nets.BasicUNet", "give out_channels=1 by --network_args"),
        ("torch.nn.Linear", r"if one of these does \(in_features, out_features.*or change torch\.nn\.Linear"),
        ("torch.nn.Tanh", r"change torch\.nn\.Tanh, which takes no arguments"),
    ],
)
def test_the_repair_is_an_argument_that_the_constructor_has(place: str, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        try_network(Net(classes=2), DATA, Recipe(place))
    with pytest.raises(NetworkError, match=said.replace("out_channels=1", "in_channels=1")):
        try_network(Net(channels=3), DATA, Recipe(place))


def test_a_network_that_gives_several_outputs_in_training_alone_keeps_its_choice() -> None:
    class Deep(Net):
        def forward(self, x: Tensor):
            return [self.layer(x), x] if self.training else self.layer(x)

    assert try_network(OneOutput(Deep(), 0), DATA) == []


def test_the_classes_of_a_network_are_counted() -> None:
    assert output_classes(Net(classes=3), 1, (16, 16)) == 3


@pytest.mark.parametrize(
    ("multi_class", "categories", "number"), [(False, 0, 1), (False, 3, 1), (True, 0, 2), (True, 1, 2), (True, 3, 4)]
)
def test_classes_before_the_data_are_read(multi_class: bool, categories: int, number: int) -> None:
    assert likely_classes(multi_class, categories) == number


def test_the_newer_weight_norm_is_taken() -> None:
    network = Net()
    nn.utils.parametrizations.weight_norm(network.layer)
    assert try_network(network, DATA) == []
