"""What a step's cached result depends on besides its inputs: the source code below it.

ZenML puts a step's own source, parameters and inputs into its cache key, but no module that the step imports. The
functions here add a digest of all project files that a step reaches through its imports, and of the versions of the
libraries that decide results. A cached step has two lines of it: `sources = sources_of(__name__)`, and
`cache_policy=cached_by_sources(__name__)`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path

from zenml.config.cache_policy import CachePolicy
from zenml.config.source import Source

from models.networks.imported_names import imported_names

ROOT = Path(__file__).resolve().parent.parent
_LIBRARIES = ("torch", "lightning", "monai", "numpy", "opencv-python-headless", "pillow", "pycocotools", "scipy")
_PACKAGES = ("steps", "reporting", "analysis", "models", "torch_lowrank", "dataset", "materializers")

# What a step is given is read by the materializer of its type, which only the step that made it imports.
_READ_BY = {
    "dataset.store": "materializers.dataset",
    "torch_lowrank.curvature.moments": "materializers.statistics",
    "torch_lowrank.decomposition.spectra": "materializers.spectra",
    "models.variant": "materializers.variant",
    "models.evaluation.results": "materializers.records",
}

# A trained network does not depend on how compressed layers are built, or trained in few bits, nor on what can be said
# of a variant.
COMPRESSION_ONLY = ("torch_lowrank.layers.factorized", "torch_lowrank.quantization.training", "models.variant_spec")

# They give users names of the whole package, each imported when it is used. The project imports nothing through them
# (tests/test_architecture.py), so a name more is no reason to train again.
_FACADES = ("torch_lowrank", "analysis")

_REGISTERED: list[Callable[[], str]] = []  # what `sources_of` returned


def sources_of(step: str, without: tuple[str, ...] = (), libraries: tuple[str, ...] = ()) -> Callable[[], str]:
    """Returns the function `sources` of a step's module; it returns `source_digest` of that module.

    Args:
        step: Name of the step's module, its `__name__`.
        without: As for `source_digest`.
        libraries: As for `source_digest`.
    """
    sources = functools.partial(source_digest, step, without, libraries)
    _REGISTERED.append(sources)
    return sources


def cached_by_sources(step: str) -> CachePolicy:
    """Returns the cache policy of a step: its key also holds what `sources` in the step's module returns.

    Args:
        step: Name of the step's module, its `__name__`.
    """
    return CachePolicy(cache_func=Source.from_import_path(f"{step}.sources"))


def fix_sources() -> None:
    """Computes the digests of all imported steps now: a file that is edited during a run is not the code that runs."""
    for sources in _REGISTERED:
        sources()


@functools.cache
def source_digest(module: str, without: tuple[str, ...] = (), libraries: tuple[str, ...] = ()) -> str:
    """Returns a digest over library versions and the files of a module and of all project modules below it.

    Args:
        module: Name of the module, for example `steps.train_unet`.
        without: Modules that are left out, with what only they import.
        libraries: Libraries that decide the result of this step alone.
    """
    content = hashlib.sha256(_versions(_LIBRARIES + libraries).encode())
    for name in sorted(_reached(module, frozenset(without))):
        content.update(name.encode())
        content.update(_file(name).read_bytes())
    return content.hexdigest()


@functools.cache
def _versions(libraries: tuple[str, ...]) -> str:
    return " ".join(f"{package}=={version(package)}" for package in libraries)


def reached_modules(module: str) -> frozenset[str]:
    """Returns the names of the project's modules that a step's module depends on, itself included."""
    return _reached(module, frozenset())


@functools.cache
def _reached(module: str, without: frozenset[str]) -> frozenset[str]:
    waiting = [module, *(_READ_BY[name] for name in _imports(module) if name in _READ_BY)]
    found = set(waiting)
    while waiting:
        for name in _imports(waiting.pop()):
            if name not in found and name not in without:
                found.add(name)
                waiting.append(name)
    return frozenset(found)


@functools.cache
def _imports(module: str) -> tuple[str, ...]:
    """Returns the project modules that one module imports, also inside functions, and all packages on the way to it."""
    package = module if _file(module).stem == "__init__" else module.rpartition(".")[0]
    above = accumulate(module.split("."), "{}.{}".format)
    names = dict.fromkeys([*above, *imported_names(_file(module).read_bytes(), package)])
    left_out = (__name__, *_FACADES)
    return tuple(each for each in names if each.split(".")[0] in _PACKAGES and each not in left_out and _exists(each))


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _exists(module: str) -> bool:
    return _file(module).is_file()
