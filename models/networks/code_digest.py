"""The code that a network is made of: versions of packages, and the sources of what is no installed package."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from torch import nn

from models.networks.outputs import OneOutput
from models.networks.reached_files import reached_files
from models.networks.recipe import Recipe, module_of


def code_digest(recipe: Recipe, network: nn.Module) -> str:
    """Returns a digest of a network's code: another one where results may be others.

    It holds the version of every installed package that a module of the network comes from, and the sources of all
    others, with what lies beside them and they import, functions included. Data files that code reads are not in it.

    Args:
        recipe: How the network was made.
        network: The network.
    """
    files, versions = code_of(recipe, network)
    content = hashlib.sha256(" ".join(sorted(versions)).encode())
    for name, file in sorted(files.items()):
        content.update(name.encode())
        content.update(file.read_bytes())
    return content.hexdigest()


def code_of(recipe: Recipe, network: nn.Module) -> tuple[dict[str, Path], set[str]]:
    """Returns what a network's code consists of.

    Args:
        recipe: How the network was made.
        network: The network.

    Returns:
        The files that are not installed, by the names of their modules; and the installed packages, `name==version`,
        beside names of the standard library.
    """
    inner = network.network if isinstance(network, OneOutput) else network
    modules = {type(module).__module__ for module in inner.modules()} | {recipe.constructor().__module__}
    modules.add(module_of(recipe.place))  # it may take its constructor from elsewhere, and change it
    own = {name for name in modules if _version(name) is None}
    files, others = reached_files((name, root) for name in own if (root := _root(name)) is not None)
    return files, set(filter(None, map(_version, modules | others)))


def _version(module: str) -> str | None:
    """Returns name and version of the package that a module was installed with; None where it was not installed."""
    return _version_of(module.partition(".")[0])


@functools.cache
def _version_of(top: str) -> str | None:
    """Does the same for the first part of a name. What is installed in place, to be edited, counts as not installed."""
    if top in sys.stdlib_module_names:
        return top  # its version is the interpreter's
    file = getattr(sys.modules.get(top), "__file__", None)
    for package in _distributions().get(top, ()):
        try:
            found = distribution(package)
        except PackageNotFoundError:
            continue
        if file is None or Path(file).resolve().is_relative_to(Path(str(found.locate_file(""))).resolve()):
            return f"{package}=={found.version}"
    return None


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()  # a look at every file that is installed: a second


def _root(module: str) -> Path | None:
    """Returns the folder that an imported module's name counts from; None where it has no file."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return None
    levels = module.count(".") + (Path(file).name == "__init__.py")
    return Path(file).parents[levels]
