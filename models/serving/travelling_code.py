"""The code that travels with an MLflow model, so that it opens where this project is not.

Of this project that is `segmenter` and what it imports of `models`, fifteen small files; `torch_lowrank` is installed
there. The package gets a name of its own, with a digest of its content: it meets no other package called `models`, and
models of several versions can be open in one process. Of networks that are not ours, installed packages are named as
requirements, and other files travel, too, as modules of that package.
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Mapping
from importlib.machinery import PathFinder
from importlib.metadata import version
from pathlib import Path

import torch_lowrank
from models.networks.code_digest import code_of
from models.networks.reached_files import reached_files
from models.serving.renamed_imports import renamed_imports
from models.serving.segmenter import NETWORK_CODE
from models.variant import Variant

_ROOT = Path(__file__).resolve().parents[2]
_OURS, _LOADER = "models", "serving.segmenter"
_NAME = "lowrank_segmenter"
_LIBRARIES = ("torch", "numpy", "safetensors")
_DIGITS = 12


@dataclasses.dataclass(frozen=True)
class TravellingCode:
    """What a variant needs to be opened elsewhere.

    Attributes:
        loader: The module that opens the variant.
        files: Place in the folder of code to content.
        requirements: Packages as pip reads them.
    """

    loader: str
    files: Mapping[str, bytes]
    requirements: tuple[str, ...]


def travelling_code(variant: Variant) -> TravellingCode:
    """Returns the code of a variant's network; variants of one training have the same.

    Raises:
        NetworkError: The network's constructor is there no more.
    """
    reached, _ = reached_files([(f"{_OURS}.{_LOADER}", _ROOT)])
    ours = {_place(name, file): file.read_bytes() for name, file in reached.items() if name.split(".")[0] == _OURS}
    theirs, packages = _of_network(variant)
    digest = hashlib.sha256()
    for place, content in sorted([*ours.items(), *theirs.items()]):
        digest.update(f"{place} {len(content)} ".encode() + content)
    package = f"{_NAME}_{digest.hexdigest()[:_DIGITS]}"
    files = {place.replace(_OURS, package, 1): renamed_imports(each, {_OURS: package}) for place, each in ours.items()}
    own = {name: f"{package}.{NETWORK_CODE.name}.{name}" for name in map(_top, theirs)}
    files |= {f"{package}/{NETWORK_CODE.name}/{place}": renamed_imports(each, own) for place, each in theirs.items()}
    libraries = {name: f"{name}=={version(name)}" for name in _LIBRARIES}
    named = {each.partition("==")[0]: each for each in packages if "==" in each}
    needed = {**named, **libraries, "torch-lowrank": f"torch-lowrank=={torch_lowrank.__version__}"}
    # Without the local part of a version (`+cpu`), which no index of packages has.
    return TravellingCode(
        f"{package}.{_LOADER}", files, tuple(sorted(need.partition("+")[0] for need in needed.values()))
    )


def _of_network(variant: Variant) -> tuple[dict[str, bytes], set[str]]:
    """Returns the files of a network that is not ours, and the packages that it comes from."""
    if variant.recipe is None:
        return {}, set()
    files, packages = code_of(variant.recipe, variant.network)
    return {_place(name, file): file.read_bytes() for name, file in files.items() if _is_run(name, file)}, packages


def _is_run(name: str, file: Path) -> bool:
    """Returns whether a file is what its name imports, and no module of Python or an installed package goes before."""
    top = name.partition(".")[0]
    if top in sys.builtin_module_names:
        return False
    found = getattr(sys.modules.get(top), "__file__", None) or getattr(PathFinder.find_spec(top), "origin", None)
    return found is None or _root(top, Path(found)) == _root(name, file)


def _root(name: str, file: Path) -> Path:
    """Returns the folder that a module's name counts from."""
    return file.parents[name.count(".") + (file.name == "__init__.py")].resolve()


def _place(name: str, file: Path) -> str:
    """Returns a module's place, relative to the folder that its name counts from."""
    path = name.replace(".", "/")
    return f"{path}/{file.name}" if file.name == "__init__.py" else f"{path}.py"


def _top(place: str) -> str:
    """Returns the first part of a module's name from its place."""
    return place.removesuffix(".py").partition("/")[0]
