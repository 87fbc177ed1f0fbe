"""Which cached results are forgotten when a source file is edited: a table of all files, made by thinking.

A step group is a function of `steps/caching.py`, named without its `_sources`. A file belongs where a step's result can
depend on it. What is wider than that says so: imports decide, and they know modules, not the functions within.
"""

import ast
import functools
import inspect
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from pydantic import BaseModel

from materializers.folders import FolderMaterializer
from steps import caching

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("torch_lowrank", "models", "dataset", "analysis", "reporting", "materializers", "steps")
STEP_OF = {  # the groups, and each one's step
    "ingest": "ingest_coco",
    "train": "train_unet",
    "distilled": "train_distilled",
    "import": "import_checkpoint",
    "decompose": "decompose",
    "statistics": "collect_statistics",
    "decompose_weighted": "decompose_weighted",
    "svd": "compress_svd",
    "arsvd": "compress_arsvd",
    "rule": "compress_rule",
    "budget": "compress_budget",
    "smallest": "compress_smallest",
    "size": "compress_size",
    "pruned": "compress_pruned",
    "round": "round_weights",
    "recalibrate": "recalibrate",
    "finetune": "finetune",
    "evaluate": "evaluate",
    "time": "time_networks",
    "pictures": "draw_pictures",
    "predict": "predict_images",
    "choose": "choose_variant",
    "export": "export",
    "name": "name_dense",
}

ALL = frozenset(STEP_OF)
INGEST = frozenset({"ingest"})
PREDICT = frozenset({"predict"})
READERS = frozenset(
    {
        "train",
        "distilled",
        "statistics",
        "budget",
        "smallest",
        "pruned",
        "recalibrate",
        "finetune",
        "evaluate",
        "pictures",
        "export",
    }
)  # of the data set
NETWORKS = ALL - INGEST
COMPRESSION = frozenset({"svd", "arsvd", "rule", "budget", "smallest", "size"})
OF_STATISTICS = frozenset({"budget", "smallest", "size", "round"})
SEARCHED = frozenset({"budget", "smallest"})  # they evaluate what they make
EVALUATION = SEARCHED | {"evaluate"}
SPECTRA = COMPRESSION | {"decompose", "decompose_weighted"}  # they make or read them
LOW_RANK = NETWORKS - {"train", "distilled", "import"}  # they see compressed layers, or what layers can become
# A network that was trained elsewhere has an empty history, and this class stands beside the training. Importing again
# takes a second, and as the network comes out the same, nothing follows.
TRAINING = frozenset({"train", "distilled", "finetune", "import"})
EXPORT = frozenset({"export"})
NOTHING = frozenset()

# Which results an edit of a file forgets: groups of steps, a room, its files.
TABLE: list[tuple[frozenset[str], str, str]] = [
    (ALL, "steps", "__init__"),
    (ALL, "materializers", "__init__ folders"),
    # From the data folder to arrays, and what reads the arrays.
    (
        INGEST,
        "dataset/annotations",
        "__init__ annotation_file classes coco image_entries json_stream json_values segmentation segmentation_cache "
        "shortages usual_forms value_names",
    ),
    (INGEST, "dataset/images", "label_maps masks true_size"),
    (INGEST, "dataset/images", "volume_intensity"),
    (INGEST, "dataset/layouts", "coco_files coco_images coco_splits dicom divide layout nifti"),
    (INGEST, "dataset/layouts", "paired_files pairing patients picture_files recognise units"),
    (NOTHING, "dataset/layouts", "name_check"),  # it refuses before anything runs
    (INGEST, "dataset/sources", "near_names"),
    (INGEST, "dataset", "group_warnings groups ingest notes split_statistics splitting"),
    (INGEST, "dataset/leaks", "__init__ across_splits near_duplicates"),
    (INGEST, "dataset", "fingerprint"),  # wider: only to see that nothing changed meanwhile
    (INGEST, "steps/data_roots", "__init__ open_data_root bucket"),
    (INGEST | READERS, "dataset", "manifest store"),
    (INGEST | READERS | PREDICT, "dataset", "__init__ layout options"),
    (INGEST | READERS, "materializers", "dataset"),
    # Wider: the store raises errors, whose texts train nothing.
    (INGEST | READERS | PREDICT, "dataset", "errors message_text"),
    # Images without masks are read as ingestion reads those with masks. Wider: `layout` and `split_names` go with that.
    (INGEST | PREDICT, "dataset/images", "__init__ decode image_headers opencv_settings orientation resize"),
    (INGEST | PREDICT, "dataset/layouts", "__init__ file_roles"),
    (INGEST | PREDICT, "dataset/sources", "__init__ local_folder source split_names"),
    (INGEST | PREDICT, "dataset", "cores file_digests"),
    (PREDICT, "dataset/pictures", "__init__ find read"),
    (PREDICT, "models", "network_files predicted prediction"),
    (PREDICT, "analysis", "mask_numbers"),
    (PREDICT, "reporting", "overlay prediction_folder predictions"),
    (PREDICT, "materializers", "predictions"),
    (PREDICT | {"pictures"}, "reporting", "__init__ label_colors"),
    # Wider: the fingerprint sees the bytes that the phantoms are written as.
    (INGEST, "steps/data_roots", "phantoms"),
    (INGEST, "dataset/phantoms", "__init__ write_phantoms brain_slices"),
    # Networks.
    (ALL, "torch_lowrank", "whole_files"),  # wider: files come out the same however they are written
    (NOTHING, "torch_lowrank", "__init__"),  # for users; nothing here imports through it
    (NETWORKS, "models", "__init__ unet variant preprocessing"),
    (LOW_RANK, "models", "variant_spec"),
    # Wider: our U-Net needs none of it. The code of other networks is in the keys by itself.
    (NETWORKS, "models/networks", "__init__ errors imported_names imports outputs reached_files recipe"),
    (frozenset({"train", "import"}), "models/networks", "trial"),
    (NOTHING, "models/networks", "code_digest"),  # it makes keys
    (NOTHING, "models", "checkpoint_description"),  # it fills in the configuration, which is in the keys
    (
        NOTHING,
        "models/serving",
        "__init__ renamed_imports segmenter travelling_code",
    ),  # what MLflow opens, which `compare` records
    (NETWORKS, "materializers", "variant"),
    (NETWORKS, "torch_lowrank", "io narrowing report"),
    (NETWORKS, "torch_lowrank/quantization", "__init__ bits coding packing stored_state"),
    (COMPRESSION | EXPORT | {"round"}, "torch_lowrank/quantization", "quantize rounding thin_moments"),
    (COMPRESSION, "torch_lowrank/quantization", "expected_rounding size_allocation size_budget size_options"),
    (frozenset({"finetune"}), "torch_lowrank/quantization", "training"),
    (LOW_RANK, "torch_lowrank/layers", "factorized"),
    (NETWORKS, "torch_lowrank/layers", "__init__"),
    (LOW_RANK, "torch_lowrank/layers", "unfolding"),
    (NETWORKS, "torch_lowrank", "checks"),  # wider: it refuses, and changes nothing
    (TRAINING | {"pruned"}, "models/training", "__init__"),
    (TRAINING, "models/training", "history"),
    (frozenset({"finetune"}), "models/training", "recovery"),
    (
        TRAINING - {"import"},
        "models/training",
        "augmentation batches checkpoints fit module multiprocess time_left winograd",
    ),
    # Channels are judged by the training's loss. Wider: `options` names it, among others.
    (TRAINING - {"import"} | {"pruned"}, "models/training", "losses options"),
    (TRAINING - {"import"} | EVALUATION | PREDICT | {"pictures", "export"}, "models/evaluation", "metrics"),
    # Wider for exports: histories of trainings are stored by the same file.
    (TRAINING | EVALUATION | {"time", "pictures", "choose", "export"}, "materializers", "records"),
    # Wider: histories, results and times are stored by one file.
    (TRAINING | EVALUATION | {"time", "pictures", "choose", "export"}, "models/evaluation", "results"),
    (TRAINING | EVALUATION | PREDICT | {"time", "pictures", "choose", "export"}, "models/evaluation", "__init__"),
    # Wider: the engine leaves contexts that the steps are never in, training switches modes only for a teacher.
    (NETWORKS, "torch_lowrank", "modes"),
    (LOW_RANK - {"finetune", "choose", "pruned", "name"}, "torch_lowrank", "progress"),  # wider: shows
    (frozenset({"import"}), "models", "checkpoint checkpoint_file"),
    (SEARCHED | {"recalibrate"}, "torch_lowrank", "recalibration"),
    (SEARCHED | {"recalibrate", "statistics", "time", "export"}, "torch_lowrank", "batches"),
    (SEARCHED, "torch_lowrank", "reconstruction"),
    (frozenset({"evaluate", "time", "export"}), "models/evaluation", "cost"),  # wider: times are of the same image
    (frozenset({"time", "export"}), "models/evaluation", "latency"),
    (frozenset({"evaluate"}), "models/evaluation", "coded_masks"),
    (frozenset({"evaluate"}), "materializers", "masks"),
    # Wider: pictures show predictions, for which `evaluate` has the function; of metrics, they show what was stored.
    (EVALUATION | {"pictures"}, "models/evaluation", "evaluate hausdorff"),
    (frozenset({"time", "export"}), "models", "unet_inference"),
    (frozenset({"time", "export"}), "torch_lowrank", "branches inference norm_folding"),
    # Files to deploy.
    (EXPORT, "models/deployment", "__init__ coded_weights deployed errors export layout make measure monai_bundle"),
    (EXPORT, "models/deployment", "onnx_files options records runtimes sizes static_int8"),
    (EXPORT, "materializers", "exports"),
    # Curvature, spectra, compression. Wider: `decompose` makes plain and weighted spectra in one file, and
    # `compression` knows all rules and the refinement, which compress_budget alone uses. All of it is fast.
    (frozenset({"statistics"}), "torch_lowrank/curvature", "collect"),
    (SEARCHED | {"statistics"}, "torch_lowrank/curvature", "patches sums"),
    (SEARCHED, "torch_lowrank/decomposition", "refit"),
    # Wider for exports: weights are rounded to 8 bits without moments.
    (SPECTRA | {"statistics", "round", "export"}, "torch_lowrank/curvature", "__init__ moments"),
    (SPECTRA | {"statistics", "evaluate", "round", "export", "pruned"}, "torch_lowrank/layers", "eligibility padding"),
    (frozenset({"evaluate"}), "torch_lowrank/layers", "parameter_shares"),
    (frozenset({"statistics", "decompose_weighted", *OF_STATISTICS}), "materializers", "statistics"),
    (SPECTRA, "torch_lowrank/decomposition", "decompose svd weighted_svd"),
    (SPECTRA | {"pictures"}, "torch_lowrank/decomposition", "__init__ spectra"),
    (SPECTRA | {"pictures"}, "materializers", "spectra"),
    (COMPRESSION, "torch_lowrank", "compression"),
    (COMPRESSION, "torch_lowrank/decomposition", "refine"),
    (COMPRESSION, "torch_lowrank/ranks", "allocation budgets exact_allocation joint_allocation plan points rules"),
    (frozenset({"rule"}), "torch_lowrank/ranks", "bayesian_factorisation estimates marchenko_pastur noise"),
    (COMPRESSION | {"pruned"}, "torch_lowrank/ranks", "__init__ costs options"),  # which count multiply-accumulates
    (COMPRESSION, "models", "compress_variant"),
    (frozenset({"round"}), "models", "round_variant"),
    (frozenset({"smallest"}), "models", "smallest"),
    (SEARCHED, "models/candidates", "__init__ at_budget best reconstruct_variant"),
    (frozenset({"pruned"}), "models/pruning", "__init__ channels importance prune prune_variant"),
    (SEARCHED | {"recalibrate"}, "models", "recalibrate_variant"),
    # Pictures. Wider: of `equal_size` they show nothing.
    (frozenset({"pictures"}), "analysis", "at_sizes comparison equal_bytes equal_size examples front intervals"),
    (frozenset({"pictures"}), "analysis", "over_trainings quality"),
    (SEARCHED | {"pictures", "choose"}, "analysis", "ranking"),
    (NOTHING, "analysis", "__init__"),  # names for users; the project imports nothing through it
    (frozenset({"pictures"}), "analysis", "signed_numbers singular_values"),
    (frozenset({"pictures"}), "reporting/plots", "__init__ draw labels layer_ranks masks series spectra style sweeps"),
    (frozenset({"pictures"}), "reporting/plots", "tradeoffs training"),
    (frozenset({"pictures"}), "materializers", "pictures"),
    # Steps. `runtime` is wider: where and how fast changes no result.
    *((frozenset({group}), "steps", step) for group, step in STEP_OF.items()),
    (TRAINING | INGEST | PREDICT, "steps", "runtime"),
    # Steps that run always, and what only they and the start of a run use.
    (NOTHING, "steps", "fingerprint_dataset fingerprint_checkpoint compare"),
    (NOTHING, "steps", "fingerprint_images fingerprint_network write_predictions"),
    (NOTHING, "materializers", "report"),
    (NOTHING, "analysis", "conclusions table_rows"),
    (NOTHING, "analysis/sentences", "__init__ baselines false_alarms questions spoken"),
    (NOTHING, "analysis/reading", "__init__ results_folder"),
    (NOTHING, "reporting", "bundle console console_cells console_trainings exports summary"),
    (NOTHING, "reporting/html", "__init__ about failures formatting opening payload report scripts seen_images"),
    (NOTHING, "reporting/plots", "catalogue"),  # captions, which the report prints below the pictures
    (NOTHING, "steps", "caching"),  # it makes the keys: a change matters by the digests that come out
]
WEB = (".jinja", ".css", ".js")  # the report's, which is made in every run
EXPECTED = {f"{room}/{name}.py": groups for groups, room, names in TABLE for name in names.split()}
FILES = sorted(
    file.relative_to(ROOT).as_posix()
    for package in PACKAGES
    for file in (ROOT / package).rglob("*")
    if file.is_file() and file.suffix not in (".pyc", ".typed", *WEB)
)

# Imported by code that cached steps reach, and not in their keys. A step's own parameters come through configs/schema.
NO_RESULT = {
    "rich": "shows progress",
    "scikit-image": "draws the phantoms, whose bytes the fingerprint sees",
    "zenml": "runs the steps, and brings its own keys",
    "SQLAlchemy": "is where ZenML keeps its records: `steps.runtime` knows its errors",
    "safetensors": "what it reads is what was written, bit by bit",
}


# Libraries that decide the results of some steps alone.
OF_SOME = {"matplotlib": frozenset({"pictures"}), "nibabel": INGEST, "pydicom": INGEST}
OF_SOME |= {"torch-pruning": frozenset({"pruned"})}
OF_SOME |= {"onnx": EXPORT, "onnxruntime": EXPORT, "onnxscript": EXPORT}
THROUGH_TORCH = {"onnxscript"}  # which torch.onnx imports


def forget() -> None:
    caching._imports.cache_clear()
    caching._reached.cache_clear()
    caching._versions.cache_clear()
    caching.source_digest.cache_clear()


def digests() -> dict[str, str]:
    return {group: import_module(f"steps.{step}").sources() for group, step in STEP_OF.items()}


def reached(group: str) -> frozenset[str]:
    without = frozenset(caching.COMPRESSION_ONLY if group in ("train", "distilled", "import") else ())
    return caching._reached(f"steps.{STEP_OF[group]}", without)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project's packages in another place, where they can be edited."""
    folder = tmp_path_factory.mktemp("sources")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(caching, "ROOT", folder)
        patched.setattr(caching, "version", functools.cache(caching.version))  # a look into the environment takes long
        forget()
        yield folder
    forget()


@pytest.fixture(scope="module")
def before(copy: Path) -> dict[str, str]:
    return digests()


def test_the_table_names_every_file_and_no_other() -> None:
    assert set(FILES) - set(EXPECTED) == set(), "say in TABLE which steps depend on these"
    assert set(EXPECTED) - set(FILES) == set(), "these are gone, or are no Python files"
    assert len(EXPECTED) == sum(len(names.split()) for _, _, names in TABLE), "a file is named twice"


def test_the_table_names_every_digest(before: dict[str, str]) -> None:
    assert set(before) == ALL
    assert len(set(before.values())) == len(ALL), "two steps have one digest"


@pytest.mark.parametrize("name", FILES)
def test_an_edit_forgets_the_results_that_depend_on_it_and_no_others(
    name: str, copy: Path, before: dict[str, str]
) -> None:
    content = (copy / name).read_bytes()
    try:
        (copy / name).write_bytes(content + b"\n_EDITED = True\n")
        caching.source_digest.cache_clear()  # what modules reach stays: the edit imports nothing
        after = digests()
    finally:
        (copy / name).write_bytes(content)
    assert {group for group in ALL if after[group] != before[group]} == EXPECTED[name]


def test_an_edit_undone_gives_the_digests_that_there_were(copy: Path, before: dict[str, str]) -> None:
    forget()
    assert digests() == before


@pytest.mark.parametrize(
    "line",
    [
        "import models.added",
        "from models.added import X",
        "from models import added",
        "from .. import added",
        "from ..added import X",
        "def later():\n    from models.added import X",
        "if __debug__:\n    import models.added as other",
    ],
)
def test_a_new_module_is_part_of_the_digest_however_it_is_imported(copy: Path, line: str) -> None:
    file = copy / "models" / "evaluation" / "cost.py"
    content = file.read_text()
    (copy / "models" / "added.py").write_text("X = 1")
    try:
        file.write_text(f"{content}\n{line}\n")
        forget()
        assert {group for group in ALL if "models.added" in reached(group)} == {"evaluate", "time", "export"}
    finally:
        file.write_text(content)
        (copy / "models" / "added.py").unlink()
        forget()


def sources(group: str) -> list[Path]:
    return [caching._file(name) for name in sorted(reached(group))]


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


# It imports the network that a run names, whose code is in the keys of all steps that build or run it.
IMPORTS_BY_NAME = "models/networks/imports.py"


@pytest.mark.parametrize("group", STEP_OF)
def test_nothing_is_imported_in_a_way_that_cannot_be_followed(group: str) -> None:
    for file in {*sources(group)} - {caching.ROOT / IMPORTS_BY_NAME}:
        called = {
            ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.Call)
        }
        assert not called & {"__import__", "exec", "eval", "compile", "import_module", "importlib.import_module"}, file
        names = {name for name in imported(file) if name.split(".")[0] in ("importlib", "runpy")}
        assert not names - {"importlib.util.resolve_name"}, file  # which imports nothing


@pytest.mark.parametrize("group", STEP_OF)
def test_of_the_project_only_the_configuration_is_outside_of_what_is_digested(group: str) -> None:
    ours = {file.stem for file in ROOT.iterdir() if file.suffix == ".py" or (file.is_dir() and any(file.glob("*.py")))}
    assert ours >= {*PACKAGES, "configs", "tracking", "run_pipeline"}
    outside = {name for file in sources(group) for name in imported(file) if name.split(".")[0] in ours - set(PACKAGES)}
    watched = {"tracking.pages", "tracking.pages.machine_load"}  # what a training takes of its machine: no result
    assert {name.rpartition(".")[0] for name in outside} - watched <= {"configs.schema", "configs.sections"}


def inputs(group: str) -> set[type]:
    """The types of what a step is given; of `Thing | None`, both."""
    name = STEP_OF[group]
    entrypoint = getattr(import_module(f"steps.{name}"), name).entrypoint
    annotations = inspect.get_annotations(entrypoint, eval_str=True)
    given = [kind for parameter, kind in annotations.items() if parameter != "return"]
    return {part for kind in given for part in getattr(kind, "__args__", (kind,)) if isinstance(part, type)}


@pytest.mark.parametrize("group", STEP_OF)
def test_a_section_of_the_configuration_brings_values_and_no_code(group: str) -> None:
    """Its values are in the cache key, defaults included; a method that a step calls would not be."""
    for section in (kind for kind in inputs(group) if issubclass(kind, BaseModel)):
        checks = section.__pydantic_decorators__
        allowed = {*checks.field_validators, *checks.model_validators}
        code = {
            name for name, value in vars(section).items() if inspect.isroutine(value) or isinstance(value, property)
        }
        assert {name for name in code if not name.startswith("__")} <= allowed


@pytest.mark.parametrize("group", STEP_OF)
def test_a_step_depends_on_what_reads_its_inputs(group: str) -> None:
    modules = [import_module(f"materializers.{file.stem}") for file in (ROOT / "materializers").glob("*.py")]
    kinds = {kind for module in modules for kind in vars(module).values() if inspect.isclass(kind)}
    readers = {kind for kind in kinds if issubclass(kind, FolderMaterializer) and kind is not FolderMaterializer}
    assert len(readers) >= 6
    needed = {kind.__module__ for kind in readers if inputs(group) & set(kind.ASSOCIATED_TYPES)}
    assert needed <= reached(group)


@functools.cache
def installed() -> Mapping[str, list[str]]:
    """The distributions that bring a module."""
    return packages_distributions()


def libraries(file: Path) -> set[str]:
    """The distributions that a file imports."""
    modules = (
        {name.split(".")[0] for name in imported(file)} - sys.stdlib_module_names - {*PACKAGES, "configs", "tracking"}
    )
    return {distribution for module in modules for distribution in installed()[module]}


def test_the_digests_know_the_version_of_every_library_that_decides_results() -> None:
    found = {library for file in {file for group in ALL for file in sources(group)} for library in libraries(file)}
    assert found | THROUGH_TORCH == {*caching._LIBRARIES, *NO_RESULT, *OF_SOME}
    assert not {*caching._LIBRARIES} & {*NO_RESULT}


@pytest.mark.parametrize("library", [*caching._LIBRARIES, *OF_SOME])
def test_another_version_of_a_library_forgets_all_results_that_it_decides(
    library: str, copy: Path, before: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = caching.version
    monkeypatch.setattr(caching, "version", lambda name: "0.0.0" if name == library else version(name))
    forget()
    after = digests()
    forget()
    decided = OF_SOME.get(library, ALL)
    assert {group for group in ALL if after[group] != before[group]} == decided
