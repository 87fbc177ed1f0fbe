"""Tries a network on one batch of random images, before what takes long: does it fit the data, can it learn?"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from models.networks.errors import NetworkError, code_of_others, first_words, missing_package
from models.networks.outputs import OneOutput, choices, described, entries_of
from models.networks.recipe import CHANNELS, CLASSES, Recipe
from torch_lowrank.io import weights
from torch_lowrank.modes import evaluating, undisturbed

_BATCH = 2
_CHANNELS = (1, 3)  # that images can be read with
_MULTIPLES = (2, 4, 8, 16, 32, 64)  # of pixels that networks want a side to be
_LARGEST = 4096  # pixels of a side that are tried
_COPIED = (
    "leave torch.nn.utils.weight_norm out, or use torch.nn.utils.parametrizations.weight_norm, whose layers stay "
    "dense; and keep no results of layers as attributes"
)
_DRAWS = 4  # of random weights, to see whether outputs ever leave [0, 1]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What the data are, and what they need.

    Attributes:
        channels: Of the images.
        size: Their height and width.
        classes: 1 for binary masks, else the number of labels, the background included; None for several labels whose
            number is not known yet.
    """

    channels: int
    size: tuple[int, int]
    classes: int | None


def try_network(network: nn.Module, wanted: Wanted, recipe: Recipe | None = None) -> list[str]:
    """Tries training on a batch of two random images, and one image in evaluation mode; the network stays as it is.

    Args:
        network: Maps images (N, C, H, W) to logits (N, classes, H, W).
        wanted: What the data are.
        recipe: How the network is made, for messages.

    Returns:
        Notes on what is unusual and no error: parameters that no gradient reaches.

    Raises:
        NetworkError: The network cannot be copied or saved, cannot take the images, gives no logits of the right shape,
            gives values that are not finite or probabilities, or cannot learn; the message says what to do.
    """
    with code_of_others("the network cannot be copied, as compression does", f"; {_COPIED}"):
        tried = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as training
    with code_of_others("the network cannot be saved", "; keep what it must remember in buffers (register_buffer)"):
        weights(tried)
    tries = code_of_others("the network cannot be tried on random images and weights")
    with tries, torch.random.fork_rng(devices=[]), undisturbed(), torch.enable_grad():
        torch.manual_seed(0)
        logits = _logits(tried.train(), _images(wanted, _BATCH), wanted, recipe)
        _check_logits(logits, wanted, "in training", recipe)
        notes = _check_gradients(tried, wanted)
        with evaluating(tried):
            logits = _logits(tried, _images(wanted, 1), wanted, recipe)
            _check_logits(logits, wanted, "in evaluation", recipe)
            _check_range(tried, wanted)
        _check_chosen(tried, wanted)
    return notes


def output_classes(network: nn.Module, channels: int, size: tuple[int, int]) -> int:
    """Returns how many channels a network's logits have for images of a size.

    Raises:
        NetworkError: It cannot take them, or gives no logits.
    """
    wanted = Wanted(channels, size, None)
    with evaluating(network):
        logits = _logits(network, _images(wanted, 1), wanted)
    if logits.ndim != 4:
        raise NetworkError(f"the network gives {described(logits)}; logits have the shape (N, classes, H, W)")
    return logits.shape[1]


def likely_classes(multi_class: bool, categories: int) -> int:
    """Returns how many classes a network is made with where it is not told, before the data are read.

    Of several classes the data tell how many are in use; until then it is those that were asked for, or two.

    Args:
        multi_class: Whether masks hold class indices.
        categories: Number of categories that were asked for; 0 is all.
    """
    return max(categories, 1) + 1 if multi_class else 1


def check_classes(found: int, wanted: int | None, recipe: Recipe | None = None) -> None:
    """Checks the number of channels of a network's logits.

    Args:
        found: What the network gives.
        wanted: What the masks need; None is two or more.
        recipe: How the network is made, for the message.

    Raises:
        NetworkError: They differ.
    """
    if found == wanted or (wanted is None and found > 1):
        return
    if wanted == 1:
        said = f"binary masks need 1, the logit of the foreground: {_told(recipe, CLASSES, 1)}"
        raise NetworkError(f"the network gives {found} channels, and {said}, or add --multi_class for several classes")
    number = "2 or more" if wanted is None else str(wanted)
    raise NetworkError(
        f"the network gives {found} channels, and the masks need {number}, the background included: "
        f"{_told(recipe, CLASSES, wanted or 2)}" + (", or drop --multi_class for a single foreground" * (found == 1))
    )


def _told(recipe: Recipe | None, names: Sequence[str], value: int) -> str:
    """Returns how a network is made for another number of channels or classes."""
    return recipe.how_to_tell(names, value) if recipe is not None else f"make it for {value} ({', '.join(names)})"


def _images(wanted: Wanted, number: int, scale: float = 1.0) -> Tensor:
    images = torch.randn(number, wanted.channels, *wanted.size) * scale
    return images.contiguous(memory_format=torch.channels_last)


def _logits(network: nn.Module, images: Tensor, wanted: Wanted, recipe: Recipe | None = None) -> Tensor:
    """Returns what a network gives for images, one tensor."""
    try:
        outputs = network(images)
    except NetworkError:
        raise
    except Exception as error:  # code of others may raise anything
        raise NetworkError(
            f"the network cannot take images {tuple(images.shape)}: {first_words(error)}"
            f"{missing_package(error) or _of_dtypes(network) or _repair(network, wanted, recipe)}"
        ) from error
    if not isinstance(outputs, Tensor) or entries_of(outputs):
        raise NetworkError(f"the network gives {described(outputs)}{choices(outputs)}")
    return outputs


def _repair(network: nn.Module, wanted: Wanted, recipe: Recipe | None) -> str:
    """Returns what images the network does take, found by trying."""
    for channels in _CHANNELS:
        if channels != wanted.channels and _takes(network, dataclasses.replace(wanted, channels=channels)):
            return (
                f"; it takes {channels} channels: use --channels {channels}, or "
                f"{_told(recipe, CHANNELS, wanted.channels)}"
            )
    for multiple, size in _larger(wanted.size):
        if _takes(network, dataclasses.replace(wanted, size=size)):
            height, width = (multiple * math.ceil(side / multiple) for side in wanted.size)
            return f"; it takes sides that are a multiple of {multiple}: use --image_size {height} {width}"
    return ""


def _larger(size: tuple[int, int]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yields powers of two, and for each a size of which it is the largest such divisor, the next above."""
    for multiple in _MULTIPLES:
        height, width = (multiple * (math.ceil(side / multiple) | 1) for side in size)
        if max(height, width) <= _LARGEST and (height, width) != size:
            yield multiple, (height, width)


def _takes(network: nn.Module, wanted: Wanted) -> bool:
    images = _images(wanted, _BATCH)
    try:
        outputs = network(images)
    except Exception:  # noqa: BLE001 - code of others may raise anything
        return False
    return not isinstance(outputs, Tensor) or outputs.shape[-2:] == images.shape[-2:]


def _check_chosen(network: nn.Module, wanted: Wanted) -> None:
    """Checks that a network of which an output was chosen has several, in training or in evaluation."""
    if not isinstance(network, OneOutput):
        return
    given = [network.network.train(mode)(_images(wanted, _BATCH)) for mode in (True, False)]
    if not any(entries_of(outputs) for outputs in given):
        raise NetworkError(
            f"model.output={network.output} chooses nothing, as the network gives {described(given[0])} and no "
            "other output; leave it out"
        )


def _check_logits(logits: Tensor, wanted: Wanted, when: str, recipe: Recipe | None) -> None:
    number, height, width = len(logits), *wanted.size
    if logits.ndim != 4:
        raise NetworkError(
            f"the network gives {tuple(logits.shape)} {when}; logits have the shape (N, classes, H, W), here "
            f"({number}, {wanted.classes or 'classes'}, {height}, {width})"
        )
    if logits.shape[2:] != wanted.size:
        raise NetworkError(
            f"the network gives maps of {logits.shape[2]}x{logits.shape[3]} {when} for images of {height}x{width}; "
            "they must be of the same size: choose a --image_size that it keeps, as a multiple of 32, or name a module "
            "of your own that calls it and enlarges what it gives"
        )
    if not logits.is_floating_point():
        raise NetworkError(f"the network gives {logits.dtype} {when}, as labels are; it must give logits")
    check_classes(logits.shape[1], wanted.classes, recipe)
    if not bool(logits.isfinite().all()):
        raise NetworkError(f"the network gives values that are not finite {when}; check its arguments and weights")


def _check_gradients(network: nn.Module, wanted: Wanted) -> list[str]:
    """Checks that the network can learn; returns a note on parameters that no gradient reaches."""
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    with code_of_others("the network's gradients cannot be computed", _of_dtypes(network)):
        logits = network(_images(wanted, _BATCH))
        if logits.requires_grad:
            (logits.float() * torch.randn_like(logits.float())).sum().backward()
    reached = [name for name, parameter in trained.items() if parameter.grad is not None and bool(parameter.grad.any())]
    if not reached and logits.shape[1] == 1 and bool((logits == 1).all()):
        raise NetworkError(
            "the network gives 1 everywhere, as a softmax over a single channel does. Losses and metrics take logits: "
            "leave the softmax out"
        )
    if not reached:
        raise NetworkError(
            "no gradient reaches the network's parameters, so that it cannot be trained: it detaches its output, "
            "computes without gradients, or all of its parameters are frozen"
        )
    broken = [name for name in reached if not bool(trained[name].grad.isfinite().all())]  # type: ignore[union-attr]
    if broken:
        raise NetworkError(f"the gradient of {broken[0]} is not finite on random images; check the network's arguments")
    idle = [name for name, parameter in trained.items() if parameter.grad is None]
    share = sum(trained[name].numel() for name in idle) / max(1, sum(each.numel() for each in trained.values()))
    if not idle:
        return []
    return [f"no gradient reaches {idle[0]} and {len(idle) - 1} other parameters, {100 * share:.2g} % of all values"]


def _of_dtypes(network: nn.Module) -> str:
    """Returns what to do where parameters are not float32, which a training starts from."""
    dtypes = sorted({str(each.dtype) for each in network.parameters()} - {"torch.float32"})
    if not dtypes:
        return ""
    return f"; its parameters are {', '.join(dtypes)}: make them float32, and choose training.precision instead"


def _check_range(network: nn.Module, wanted: Wanted) -> None:
    """Checks that outputs are no probabilities: with several random weights, some lie below 0 or above 1."""
    within, sums = [], []
    for _ in range(_DRAWS):
        for parameter in network.parameters():
            if parameter.is_floating_point():
                fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
                parameter.normal_(0, 3 / math.sqrt(max(1, fan_in)))
        outputs = network(_images(wanted, _BATCH))
        if bool(outputs.isfinite().all()):
            within.append(bool((outputs >= 0).all() and (outputs <= 1).all()))
            sums.append(torch.allclose(outputs.sum(1), torch.ones(()), atol=1e-3))
    if within and all(within):
        kind = "softmax" if all(sums) and outputs.shape[1] > 1 else "sigmoid"
        raise NetworkError(
            f"the network gives probabilities, as after a {kind}: all of its outputs lie in [0, 1], whatever its "
            f"weights. Losses and metrics take logits: leave the {kind} out, or its argument (activation=null, for "
            "example)"
        )
