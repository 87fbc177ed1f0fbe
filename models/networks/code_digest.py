"""The code that a network is made of: versions of packages, and the sources of what is no installed package."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from torch import nn

from models.networks.imported_names import imported_names
from models.networks.outputs import OneOutput
from models.networks.recipe import Recipe


def code_digest(recipe: Recipe, network: nn.Module) -> str:
    """Returns a digest of a network's code: another one where results may be others.

    It holds the version of every installed package that a module of the network comes from, and the sources of all
    others, with what lies beside them and they import, functions included. Data files that code reads are not in it.

    Args:
        recipe: How the network was made.
        network: The network.
    """
    inner = network.network if isinstance(network, OneOutput) else network
    modules = {type(module).__module__ for module in inner.modules()} | {recipe.constructor().__module__}
    own = {name for name in modules if _version(name) is None}
    files, others = _reached(own)
    versions = {_version(name) for name in modules | others} - {None}
    content = hashlib.sha256(" ".join(sorted(filter(None, versions))).encode())
    for name, file in sorted(files.items()):
        content.update(name.encode())
        content.update(file.read_bytes())
    return content.hexdigest()


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


def _reached(modules: Iterable[str]) -> tuple[dict[str, Path], set[str]]:
    """Returns the files of modules and of those beside them that they import, and the names of all other imports."""
    waiting = [(name, root) for name in modules if (root := _root(name)) is not None]
    files: dict[str, Path] = {}
    others: set[str] = set()
    while waiting:
        name, root = waiting.pop()
        file = _file(root, name)
        if file is None:
            others.add(name.partition(".")[0])
        elif name not in files:
            files[name] = file
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            waiting += [(each, root) for each in imported_names(file.read_bytes(), package)]
            waiting += [(name.rpartition(".")[0], root)] if "." in name else []
    return files, others


def _root(module: str) -> Path | None:
    """Returns the folder that an imported module's name counts from; None where it has no file."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return None
    levels = module.count(".") + (Path(file).name == "__init__.py")
    return Path(file).parents[levels]


def _file(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)
