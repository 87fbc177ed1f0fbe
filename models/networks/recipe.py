"""How a network that is not ours is made: a constructor by its name, its arguments, and which output is meant.

What is imported is what the caller names. Names that come from a file, a saved network's for example, are compared to
what the caller allows, and never imported.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any

from torch import nn

from models.networks.errors import NetworkError, code_of_others
from models.networks.imports import module_of_file, module_of_name
from models.networks.outputs import OneOutput, Output
from torch_lowrank.checks import check_network

CHANNELS = ("in_channels", "n_channels")
CLASSES = ("out_channels", "classes", "num_classes", "n_classes")
_AXES = ("spatial_dims",)
_SHOWN = 30  # names of arguments in a message
_NEAR = 5  # names of networks


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A network that is not ours.

    Attributes:
        place: Where its constructor lies: `package.module.Name`, or `folder/file.py:Name`.
        arguments: What the constructor is called with, as JSON holds it.
        output: Which entry of a list, tuple or dictionary is taken as logits; None where the network gives a tensor.
        code: Digest of the code that the network ran with when it was saved; None where it is not known. It tells, and
            decides nothing: loading compares it with nothing.
    """

    place: str
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    output: Output | None = None
    code: str | None = dataclasses.field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The constructor's name; of a file without its folder, which says nothing of the network."""
        return name_of(self.place)

    @property
    def title(self) -> str:
        """The last part of the name, for example `BasicUNet`."""
        return title_of(self.place)

    def constructor(self) -> Callable[..., nn.Module]:
        """Imports the constructor.

        Raises:
            NetworkError: There is none, or its module cannot be imported.
        """
        return _imported(self.place)

    def filled(self, channels: int, classes: int) -> Recipe:
        """Returns the recipe with well-known arguments that were not given, as the data want them.

        Args:
            channels: Of the images.
            classes: 1 for binary masks, else the number of labels.

        Raises:
            NetworkError: The constructor cannot be imported.
        """
        values = dict.fromkeys(CHANNELS, channels) | dict.fromkeys(CLASSES, classes) | dict.fromkeys(_AXES, 2)
        taken = _parameters(self.constructor())
        missing = {name: values[name] for name in taken if name in values and name not in self.arguments}
        return dataclasses.replace(self, arguments={**self.arguments, **missing})

    def build(self, advice: str = "give others by --network_args") -> nn.Module:
        """Makes the network; `arguments` is an attribute of it, so that `torch_lowrank.save_network` records them.

        A network that has something else of that name keeps it; the recipe, which is stored beside it, holds them too.

        Args:
            advice: What to do where the constructor does not take the arguments.

        Raises:
            NetworkError: The constructor cannot be imported, fails, or makes no network whose layers can be replaced.
        """
        constructor = self.constructor()
        shown = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        taken = ", ".join(list(_parameters(constructor))[:_SHOWN])
        repair = f"; {advice} (it takes {taken})" if taken else f"; {advice}"
        with code_of_others(f"{self.name}({shown}) makes no network", repair):
            network = constructor(**self.arguments)
        if not isinstance(network, nn.Module):
            raise NetworkError(f"{self.name}({shown}) makes a {type(network).__name__}, and no torch.nn.Module")
        repair = "; its layers must have their shapes from the start (Conv2d for LazyConv2d), and not be scripted"
        with code_of_others(f"{self.name}({shown}) makes a network that cannot be compressed", repair):
            check_network(network)
        if self.output is not None:
            network = OneOutput(network, self.output)
        if not hasattr(network, "arguments"):
            network.arguments = dict(self.arguments)  # type: ignore[assignment]
        return network

    def how_to_tell(self, names: Sequence[str], value: object) -> str:
        """Returns how the constructor is told a number, for messages.

        Args:
            names: What libraries call its argument.
            value: The number.
        """
        taken = _parameters(self.constructor())
        known = next((name for name in names if name in taken), None)
        if known is not None:
            return f"give {known}={value} by --network_args"
        if not taken:
            return f"change {self.name}, which takes no arguments"
        listed = ", ".join([*taken][:_SHOWN])
        return (
            f"give the argument that sets it by --network_args, if one of these does ({listed}), or change {self.name}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns name, arguments, output, and the code where it is known, as JSON-like data."""
        code = {"code": self.code} if self.code is not None else {}
        return {"name": self.name, "arguments": dict(self.arguments), "output": self.output, **code}

    @classmethod
    def of_saved(cls, saved: Mapping[str, Any], allowed: str | Iterable[str], where: object) -> Recipe:
        """Returns the recipe that a saved network names, if the caller allows it; imports nothing.

        Args:
            saved: What `to_dict` returned, from a file.
            allowed: Places of constructors that may be imported; one alone may be given by itself.
            where: The folder, for the message.

        Raises:
            NetworkError: The caller does not allow it.
        """
        places = _places(allowed)
        name, arguments, output = (saved.get(key) for key in ("name", "arguments", "output"))
        if not isinstance(name, str) or not isinstance(arguments, dict) or not isinstance(output, Output | None):
            raise NetworkError(f"{where} is damaged: its network is made by {dict(saved)!r}; save the network again")
        for place in places:
            if name_of(place) == name:
                return cls(place, arguments, output, code if isinstance(code := saved.get("code"), str) else None)
        raise not_allowed(name, where, places)


def not_allowed(name: str, where: object, allowed: Sequence[str] = ()) -> NetworkError:
    """Returns the error for a saved network whose constructor is none of those that the caller allows."""
    file, colon, attribute = name.rpartition(":")
    allow = f"folder/of/{file}:{attribute}" if colon else name
    others = f" (allowed: {', '.join(map(name_of, allowed))})" if allowed else ""
    renamed = f"; a file that was renamed must get its name {file} back" if colon and allowed else ""
    return NetworkError(
        f"{where} says that its network is made by {name}, and nothing of that was imported or run{others}, as files "
        f"from elsewhere may name any code. If you trust it, allow it by name: --network {allow} on the command line, "
        f"Variant.load({str(where)!r}, networks=[{allow!r}]) in Python{renamed}"
    )


def _places(allowed: str | Iterable[str]) -> list[str]:
    places = [allowed] if isinstance(allowed, str) else list(allowed)
    for place in places:
        if not isinstance(place, str):
            raise NetworkError(
                f"networks holds {place!r}; give names of constructors, as 'monai.networks.nets.BasicUNet', or "
                "'folder/file.py:Name'"
            )
    return places


def name_of(place: str) -> str:
    """Returns a constructor's name from its place: the same, without the folders of a file."""
    file, colon, attribute = place.rpartition(":")
    return f"{PurePath(file).name}:{attribute}" if colon else place


def title_of(place: str) -> str:
    """Returns the last part of a constructor's name."""
    return place.replace(":", ".").rpartition(".")[2]


def module_of(place: str) -> str:
    """Returns the name of the module that a constructor lies in."""
    file, colon, _ = place.rpartition(":")
    return PurePath(file).stem if colon else place.rpartition(".")[0]


def absolute(place: str) -> str:
    """Returns a place that holds in other folders too."""
    file, colon, attribute = place.rpartition(":")
    return f"{Path(file).absolute()}:{attribute}" if colon else place


def _imported(place: str) -> Callable[..., nn.Module]:
    file, colon, attribute = place.rpartition(":")
    if colon:
        module = module_of_file(Path(file).absolute())
    else:
        name, _, attribute = place.rpartition(".")
        module = module_of_name(name, place)
    constructor = getattr(module, attribute, None)
    if constructor is None:
        near = ", ".join(_nearest(attribute, module)) or "no network"
        raise NetworkError(f"{place}: {module.__name__} has no {attribute!r}; it has {near}")
    if not _is_constructor(constructor) and not inspect.isfunction(constructor):
        raise NetworkError(f"{place} is no class of a torch.nn.Module, and no function of Python that returns one")
    return constructor


def _nearest(name: str, module: ModuleType) -> list[str]:
    """Returns the networks of a module whose names are most like one, the nearest first.

    Case counts nothing; of names that differ in it alone, there is one, the class's own if it is among them.
    """
    known = {each: value for each, value in vars(module).items() if _is_constructor(value)}
    own_last = sorted(known, key=lambda each: each == known[each].__name__)
    spelled = {each.casefold(): each for each in own_last}
    return [spelled[each] for each in difflib.get_close_matches(name.casefold(), spelled, n=_NEAR, cutoff=0)]


def _is_constructor(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, nn.Module)


def _parameters(constructor: Callable[..., nn.Module]) -> Mapping[str, inspect.Parameter]:
    try:
        found = inspect.signature(constructor).parameters
    except (TypeError, ValueError):
        return {}
    return {name: each for name, each in found.items() if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}
