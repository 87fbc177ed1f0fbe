"""Which numbers and sizes of images an exported network takes: as many as its code allows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from models.deployment.errors import ExportError, is_passing
from models.networks.errors import first_words

_MULTIPLES = (1, 2, 4, 8, 16, 32, 64)  # of pixels that networks want a side to be
_LATER = (16, 32)  # which are tried where the smallest one is not kept by what torch.export has made
_MORE = ((1, 3), (2, 6))  # multiples by which a height and a width are larger, to see whether another size is taken
_CLOSE = 1e-4  # of a probability, between the network and what torch.export has made
_BATCH = 2  # images of the example: one would be taken for a fixed number


class CannotBeTracedError(ExportError):
    """`torch.export` cannot follow the network's code; the message is torch's."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Which images a file takes.

    Attributes:
        batch: Whether it takes any number of images, and not one alone.
        multiple: What height and width are multiples of; None where they are fixed.
        least: The smallest height and width; the fixed ones where they are fixed.
    """

    batch: bool
    multiple: int | None
    least: tuple[int, int]

    def describe(self) -> str:
        """Returns it in words, for example `any number of images, of any size from 32x32 on`."""
        number = "any number of images" if self.batch else "one image"
        height, width = self.least
        if self.multiple is None:
            return f"{number}, of {height}x{width}"
        kind = "any size" if self.multiple == 1 else f"sides that are multiples of {self.multiple},"
        return f"{number}, of {kind} from {height}x{width} on"


def traced(network: nn.Module, size: tuple[int, int], channels: int) -> tuple[torch.export.ExportedProgram, Sizes]:
    """Returns a network as a program of torch.export, for as many sizes of images as its code allows.

    Args:
        network: Maps uint8 (N, H, W, C) to a tensor (N, classes, H, W); on the CPU, in evaluation mode.
        size: Height and width that it is sure to take.
        channels: Of the images.

    Raises:
        CannotBeTracedError: `torch.export` cannot follow it.
    """
    failed: Exception | None = None
    for batch, multiple in _attempts(network, size, channels):
        example = torch.zeros(_BATCH if batch else 1, *size, channels, dtype=torch.uint8)
        try:
            with torch.no_grad():
                program = torch.export.export(network, (example,), dynamic_shapes=(_dimensions(batch, multiple),))
        except Exception as error:  # code of others, and torch's many kinds of errors
            if is_passing(error):
                raise
            failed = failed or error
            continue
        if multiple is not None and not _keeps_its_word(program, network, size, channels, multiple):
            continue
        program._example_inputs = None  # it would be stored in the file, as a pickle
        return program, Sizes(batch, multiple, size if multiple is None else _least(program, multiple))
    raise CannotBeTracedError(f"torch.export cannot follow its code ({first_words(failed or ValueError())})")


def _attempts(network: nn.Module, size: tuple[int, int], channels: int) -> Iterator[tuple[bool, int | None]]:
    """Yields whether any number of images is asked for, and of what height and width are multiples, most first."""
    multiple = _smallest_multiple(network, size, channels)
    if multiple is not None:
        yield True, multiple
        for later in _LATER:
            if later > multiple and not any(side % later for side in size):
                yield True, later
    yield True, None
    yield False, None


def _smallest_multiple(network: nn.Module, size: tuple[int, int], channels: int) -> int | None:
    """Returns the smallest of some numbers of which sides may be any multiple, as other sizes show; None if none is."""
    for multiple in _MULTIPLES:
        if any(side % multiple for side in size):
            break
        outputs = [_outputs(network, images) for images in _others(size, channels, multiple)]
        if all(each is not None for each in outputs):
            return multiple
    return None


def _keeps_its_word(
    program: torch.export.ExportedProgram, network: nn.Module, size: tuple[int, int], channels: int, multiple: int
) -> bool:
    """Returns whether a program gives what the network does for other sizes, too.

    Code that looks at sizes may be followed along one of its branches alone.
    """
    module = program.module()
    for images in _others(size, channels, multiple):
        found, expected = _outputs(module, images), _outputs(network, images)
        if found is None or expected is None or not torch.allclose(found, expected, atol=_CLOSE, rtol=0):
            return False
    return True


def _others(size: tuple[int, int], channels: int, multiple: int) -> Iterator[Tensor]:
    """Yields one random image each of sizes that are larger by some multiples."""
    chance = torch.Generator().manual_seed(0)
    for more in _MORE:
        height, width = (multiple * (side // multiple + add) for side, add in zip(size, more, strict=True))
        yield torch.randint(0, 256, (1, height, width, channels), generator=chance, dtype=torch.uint8)


def _outputs(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor | None:
    """Returns maps (N, classes, H, W), None where there are none for images of that size."""
    try:
        with torch.no_grad():
            outputs = network(images)
    except Exception as error:  # code of others may raise anything
        if is_passing(error):
            raise
        return None
    return outputs if outputs.shape[-2:] == images.shape[1:3] else None


def _dimensions(batch: bool, multiple: int | None) -> dict[int, Any]:
    """Returns the axes of (N, H, W, C) that are not fixed, as `torch.export` takes them."""
    dimensions: dict[int, Any] = {0: torch.export.Dim.DYNAMIC} if batch else {}
    if multiple == 1:
        return dimensions | {1: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
    if multiple is not None:
        return dimensions | {1: multiple * torch.export.Dim("height"), 2: multiple * torch.export.Dim("width")}
    return dimensions


def _least(program: torch.export.ExportedProgram, multiple: int) -> tuple[int, int]:
    """Returns the smallest height and width that a program's own checks let pass."""
    name = program.graph_signature.user_inputs[0]
    images = next(node for node in program.graph.nodes if node.name == name).meta["val"]
    return _lower(program, images.shape[1], multiple), _lower(program, images.shape[2], multiple)


def _lower(program: torch.export.ExportedProgram, side: Any, multiple: int) -> int:
    symbols = {symbol: program.range_constraints[symbol].lower for symbol in side.node.expr.free_symbols}
    return multiple * math.ceil(max(1, int(side.node.expr.subs(symbols))) / multiple)
