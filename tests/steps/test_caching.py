"""Which source files decide which cached results."""

from importlib import import_module
from pathlib import Path

import pytest

from steps import caching

ROOT = Path(__file__).resolve().parent.parent.parent
REACHES = {
    "steps.ingest_coco": {
        "dataset.annotations.coco",
        "dataset.ingest",
        "dataset.images.masks",
        "materializers.dataset",
    },
    "steps.train_unet": {
        "models.unet",
        "models.training.fit",
        "models.evaluation.metrics",
        "models.training.augmentation",
        "dataset.store",
    },
    "steps.decompose": {"torch_lowrank.decomposition.decompose", "torch_lowrank.layers.factorized"},
    "steps.collect_statistics": {
        "torch_lowrank.curvature.collect",
        "torch_lowrank.curvature.moments",
        "torch_lowrank.curvature.patches",
        "dataset.store",
    },
    "steps.decompose_weighted": {
        "torch_lowrank.decomposition.decompose",
        "torch_lowrank.decomposition.weighted_svd",
        "torch_lowrank.curvature.moments",
    },
    "steps.compress_svd": {
        "torch_lowrank.ranks.rules",
        "torch_lowrank.compression",
        "torch_lowrank.layers.factorized",
        "torch_lowrank.io",
    },
    "steps.compress_arsvd": {"torch_lowrank.ranks.rules", "torch_lowrank.compression"},
    "steps.compress_rule": {"torch_lowrank.ranks.noise", "torch_lowrank.ranks.estimates", "torch_lowrank.compression"},
    "steps.compress_budget": {
        "torch_lowrank.ranks.rules",
        "torch_lowrank.compression",
        "torch_lowrank.decomposition.refine",
        "torch_lowrank.reconstruction",
        "torch_lowrank.recalibration",
        "models.candidates.best",
        "models.evaluation.evaluate",
        "dataset.store",
    },
    "steps.recalibrate": {"torch_lowrank.recalibration", "torch_lowrank.layers.factorized"},
    "steps.finetune": {"models.training.fit", "models.training.losses", "torch_lowrank.layers.factorized"},
    "steps.evaluate": {
        "models.evaluation.metrics",
        "models.evaluation.hausdorff",
        "models.evaluation.evaluate",
        "models.evaluation.cost",
        "torch_lowrank.layers.factorized",
    },
    "steps.time_networks": {
        "models.evaluation.latency",
        "models.unet_inference",
        "torch_lowrank.inference",
        "torch_lowrank.layers.factorized",
        "materializers.records",
    },
    "steps.draw_pictures": {
        "analysis.ranking",
        "analysis.examples",
        "reporting.plots.draw",
        "reporting.plots.masks",
        "reporting.plots.style",
        "models.evaluation.evaluate",
        "dataset.store",
        "materializers.pictures",
        "materializers.spectra",
        "materializers.records",
    },
}
REACHES_NOT = {
    "steps.ingest_coco": {"models.unet", "models.training.augmentation", "torch_lowrank.decomposition.decompose"},
    "steps.train_unet": {
        "torch_lowrank.ranks.rules",
        "torch_lowrank.compression",
        "torch_lowrank.decomposition.decompose",
        "analysis.examples",
        "dataset.annotations.coco",
    },
    "steps.decompose": {"torch_lowrank.ranks.rules", "models.training.fit"},
    "steps.collect_statistics": {
        "torch_lowrank.ranks.rules",
        "models.training.fit",
        "torch_lowrank.decomposition.decompose",
    },
    "steps.decompose_weighted": {
        "torch_lowrank.ranks.rules",
        "models.training.fit",
        "torch_lowrank.curvature.collect",
        "dataset.store",
    },
    "steps.compress_arsvd": {"torch_lowrank.ranks.noise", "models.training.fit"},
    "steps.compress_budget": {"models.training.fit", "torch_lowrank.curvature.collect"},
    "steps.recalibrate": {"torch_lowrank.ranks.rules", "models.training.fit", "models.evaluation.metrics"},
    "steps.finetune": {"torch_lowrank.ranks.rules", "torch_lowrank.recalibration", "models.evaluation.evaluate"},
    "steps.evaluate": {
        "torch_lowrank.ranks.rules",
        "models.training.fit",
        "torch_lowrank.recalibration",
        "analysis.examples",
    },
    "steps.time_networks": {"torch_lowrank.ranks.rules", "models.evaluation.evaluate", "dataset.store"},
    "steps.draw_pictures": {
        "torch_lowrank.ranks.rules",
        "models.training.fit",
        "reporting.html.report",
        "reporting.plots.catalogue",
    },
}


@pytest.mark.parametrize("step", REACHES)
def test_a_step_depends_on_all_modules_below_it(step: str) -> None:
    assert REACHES[step] <= caching.reached_modules(step)


@pytest.mark.parametrize("step", REACHES_NOT)
def test_a_step_depends_on_no_module_that_it_does_not_use(step: str) -> None:
    assert not REACHES_NOT[step] & caching.reached_modules(step)


def test_training_does_not_depend_on_how_compressed_layers_are_built() -> None:
    reached = caching._reached("steps.train_unet", frozenset(caching.COMPRESSION_ONLY))
    assert "torch_lowrank.layers.factorized" not in reached
    assert "models.unet" in reached


def forget() -> None:
    caching._imports.cache_clear()
    caching._reached.cache_clear()
    caching.source_digest.cache_clear()


def test_a_digest_changes_with_any_file_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in {
        "steps/one.py": "from models.a import x",
        "models/__init__.py": "",
        "models/a.py": "def f():\n    from models import b",
        "models/b.py": "y = 1",
        "models/unrelated.py": "",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    monkeypatch.setattr(caching, "ROOT", tmp_path)
    forget()
    before = caching.source_digest("steps.one")
    (tmp_path / "models" / "unrelated.py").write_text("changed")
    forget()
    assert caching.source_digest("steps.one") == before
    (tmp_path / "models" / "b.py").write_text("y = 2")
    assert caching.source_digest("steps.one") == before, "the digest is that of the code that this process runs"
    forget()
    assert caching.source_digest("steps.one") != before
    forget()


def cached_steps() -> dict[str, str]:
    """The modules of the cached steps, and the text of each."""
    files = (ROOT / "steps").glob("*.py")
    return {file.stem: text for file in files if "@step" in (text := file.read_text()) and "enable_cache" not in text}


def test_every_cached_step_names_the_digest_of_its_own_file() -> None:
    assert len(cached_steps()) >= 12
    for name, text in cached_steps().items():
        module = import_module(f"steps.{name}")
        assert "cached_by_sources(__name__)" in text, name
        assert module.sources.args[0] == f"steps.{name}", "the digest is of another step"
        assert f"steps.{name}" in caching.reached_modules(f"steps.{name}")
        policy = getattr(module, name).configuration.cache_policy
        assert policy.cache_func.import_path == f"steps.{name}.sources"
        assert module.sources in caching._REGISTERED, "`fix_sources` leaves it out"


def test_imports_for_type_checkers_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in {
        "steps/one.py": "if TYPE_CHECKING:\n    import models.a\nelse:\n    import models.b",
        "models/__init__.py": "",
        "models/a.py": "",
        "models/b.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(caching, "ROOT", tmp_path)
    forget()
    assert caching.reached_modules("steps.one") == {"steps.one", "models", "models.b"}
    forget()
