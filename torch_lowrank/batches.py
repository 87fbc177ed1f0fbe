"""From batches of any form to the arguments of a network's forward pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Inputs = int | Callable[[Any], Any] | None


@dataclasses.dataclass(frozen=True)
class Call:
    """The arguments of one forward pass.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def shape(self) -> torch.Size:
        """Shape of the first tensor that has axes, (N, ...); (0,) where there is none."""
        tensors = (value for value in (*self.args, *self.kwargs.values()) if isinstance(value, Tensor) and value.ndim)
        return next((tensor.shape for tensor in tensors), torch.Size([0]))

    @property
    def samples(self) -> int:
        """Length of the first axis of the first tensor, N."""
        return self.shape[0]

    def apply(self, network: nn.Module, device: torch.device | None) -> Any:
        """Calls the network, with tensors moved to a device unless it is None.

        Raises:
            ValueError: The network failed on them, or cannot take them.
        """
        args, kwargs = (self.args, self.kwargs) if device is None else _moved((self.args, self.kwargs), device)
        try:
            return network(*args, **kwargs)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            given = ", ".join(
                [_described(value) for value in args] + [f"{key}={_described(value)}" for key, value in kwargs.items()]
            )
            cause = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(
                f"the network failed on a batch of {given}: {cause}; where shape or type is the reason, give batches "
                "that it takes, or say by `inputs` what of a batch it takes"
            ) from error


def call_of(batch: Any, inputs: Inputs = None) -> Call:
    """Returns the arguments of the forward pass for one batch.

    Without `inputs`, a tensor is the input; a mapping has the network's keyword arguments; of a tuple or list, which a
    DataLoader of (image, target) gives, the first element is the input, itself a tensor, a mapping, or a tuple of
    several positional arguments.

    Args:
        batch: What one step of the loader gives.
        inputs: How many elements of a tuple or list are positional arguments, from the first on; or a function from
            a batch to a tensor, to a tuple or list of positional arguments, or to a mapping of keyword arguments.

    Raises:
        ValueError: The batch holds no tensor, or fewer elements than `inputs`.
    """
    if callable(inputs):
        call = _arguments(inputs(batch))
    elif inputs is not None:
        if not isinstance(batch, Sequence) or not 1 <= inputs <= len(batch):
            raise ValueError(
                f"inputs is {inputs}, a batch is {_described(batch)}; give a number that it has, from 1 on"
            )
        call = _arguments(batch[:inputs])
    else:
        call = _arguments(batch[0] if isinstance(batch, (tuple, list)) and batch else batch)
    if not call.samples:
        raise ValueError(
            f"a batch is {_described(batch)}, in which no input was found; give tensors (N, ...), tuples or lists that "
            "begin with one, or mappings of keyword arguments, or say by `inputs` what of a batch the network takes"
        )
    return call


def check_batches(batches: Iterable[Any]) -> None:
    """Checks that batches are no tensor, whose images would be read as batches, and no single batch of keywords.

    Raises:
        TypeError: They are.
    """
    if isinstance(batches, Tensor):
        raise TypeError(
            f"the batches are a tensor of shape {tuple(batches.shape)}; give a list of batches, [images], "
            "or another iterable of them"
        )
    if isinstance(batches, Mapping):
        raise TypeError(f"the batches are a {type(batches).__name__}; give a list of batches, as [batch]")


def number_of(batches: Iterable[Any]) -> tuple[Iterable[Any], int]:
    """Returns batches that can be read several times, and how many there are.

    An iterator, which can be read only once, is read into a list; anything else without a length is counted.

    Raises:
        TypeError: They are a single tensor or a mapping.
        ValueError: There are none.
    """
    check_batches(batches)
    if isinstance(batches, Iterator):
        batches = list(batches)
    try:
        number = len(batches)  # type: ignore[arg-type]
    except TypeError:  # for example a DataLoader of an IterableDataset
        number = sum(1 for _ in batches)
    if not number:
        raise ValueError("there are no batches to take statistics from; give at least one batch")
    return batches, number


def _arguments(value: Any) -> Call:
    if isinstance(value, Mapping):
        return Call((), dict(value))
    return Call(tuple(value), {}) if isinstance(value, (tuple, list)) else Call((value,), {})


def _moved(value: Any, device: torch.device) -> Any:
    """Returns a value with all its tensors on a device, in tuples, lists and mappings, too."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(each, device) for key, each in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_moved(each, device) for each in value)
    return value


def _described(batch: Any) -> str:
    if isinstance(batch, Tensor) and batch.ndim:
        return f"a Tensor of shape {tuple(batch.shape)} and type {str(batch.dtype).removeprefix('torch.')}"
    size = f" of length {len(batch)}" if isinstance(batch, (Sequence, Mapping)) else ""
    return f"a {type(batch).__name__}{size}"
