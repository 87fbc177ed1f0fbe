"""What a step's cached result depends on besides its inputs: the source code below it.

ZenML puts a step's own source, parameters and inputs into its cache key, but no module that the step imports. The
functions here add a digest of all project files that a step reaches through its imports, and of the versions of the
libraries that decide results. Each is named by a step's `CachePolicy(cache_func=...)`.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from importlib.metadata import version
from importlib.util import resolve_name
from itertools import accumulate
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_LIBRARIES = ("torch", "lightning", "monai", "numpy", "opencv-python-headless", "pycocotools", "scipy")
_PACKAGES = ("steps", "reporting", "analysis", "models", "torch_lowrank", "dataset", "materializers")

# What a step is given is read by the materializer of its type, which only the step that made it imports.
_READ_BY = {
    "dataset.store": "materializers.dataset",
    "torch_lowrank.curvature.moments": "materializers.statistics",
    "torch_lowrank.decomposition.spectra": "materializers.spectra",
    "models.variant": "materializers.variant",
    "models.evaluation.results": "materializers.records",
}

# A trained network does not depend on how compressed layers are built.
_NO_COMPRESSION = ("torch_lowrank.layers.factorized",)


def ingest_sources() -> str:
    """Digest of what `ingest_coco` depends on."""
    return source_digest("steps.ingest_coco")


def train_sources() -> str:
    """Digest of what `train_unet` depends on; not on the code of compression."""
    return source_digest("steps.train_unet", _NO_COMPRESSION)


def import_sources() -> str:
    """Digest of what `import_checkpoint` depends on."""
    return source_digest("steps.import_checkpoint", _NO_COMPRESSION)


def decompose_sources() -> str:
    """Digest of what `decompose` depends on."""
    return source_digest("steps.decompose")


def statistics_sources() -> str:
    """Digest of what `collect_statistics` depends on."""
    return source_digest("steps.collect_statistics")


def decompose_weighted_sources() -> str:
    """Digest of what `decompose_weighted` depends on."""
    return source_digest("steps.decompose_weighted")


def svd_sources() -> str:
    """Digest of what `compress_svd` depends on."""
    return source_digest("steps.compress_svd")


def arsvd_sources() -> str:
    """Digest of what `compress_arsvd` depends on."""
    return source_digest("steps.compress_arsvd")


def solved_sources() -> str:
    """Digest of what `compress_solved` depends on."""
    return source_digest("steps.compress_solved")


def budget_sources() -> str:
    """Digest of what `compress_budget` depends on."""
    return source_digest("steps.compress_budget")


def recalibrate_sources() -> str:
    """Digest of what `recalibrate` depends on."""
    return source_digest("steps.recalibrate")


def finetune_sources() -> str:
    """Digest of what `finetune` depends on."""
    return source_digest("steps.finetune")


def evaluate_sources() -> str:
    """Digest of what `evaluate` depends on."""
    return source_digest("steps.evaluate")


def picture_sources() -> str:
    """Digest of what `draw_pictures` depends on; Matplotlib decides no other result."""
    digest = source_digest("steps.draw_pictures")
    return f"{digest} {version('matplotlib')}"


def fix_sources() -> None:
    """Computes all digests now: a file that is edited while a run goes on is not the code that the run executes."""
    for sources in (
        ingest_sources,
        train_sources,
        import_sources,
        decompose_sources,
        statistics_sources,
        decompose_weighted_sources,
        svd_sources,
        arsvd_sources,
        solved_sources,
        budget_sources,
        recalibrate_sources,
        finetune_sources,
        evaluate_sources,
        picture_sources,
    ):
        sources()


@functools.cache
def source_digest(module: str, without: tuple[str, ...] = ()) -> str:
    """Returns a digest over library versions and the files of a module and of all project modules below it.

    Args:
        module: Name of the module, for example `steps.train_unet`.
        without: Modules that are left out, with what only they import.
    """
    content = hashlib.sha256(_versions().encode())
    for name in sorted(_reached(module, frozenset(without))):
        content.update(name.encode())
        content.update(_file(name).read_bytes())
    return content.hexdigest()


@functools.cache
def _versions() -> str:
    return " ".join(f"{package}=={version(package)}" for package in _LIBRARIES)


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
    names = [module]
    for node in ast.walk(ast.parse(_file(module).read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            names += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    # `models` runs before `models.unet`
    packages = {each: None for name in names for each in accumulate(name.split("."), "{}.{}".format)}
    return tuple(each for each in packages if each.split(".")[0] in _PACKAGES and each != __name__ and _exists(each))


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _exists(module: str) -> bool:
    return _file(module).is_file()
