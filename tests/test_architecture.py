"""Who may import whom, and that importing does nothing else."""

import ast
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from tests.conftest import LONGEST

ROOT = Path(__file__).resolve().parent.parent
# Each room and the rooms below it, as in CONTRIBUTING.md. `reporting` fills what `materializers` stores and `tracking`
# records.
MAY_IMPORT = {
    "torch_lowrank": set(),
    "configs": {"models", "dataset", "torch_lowrank"},  # of these the choices alone, see below
    "dataset": {"torch_lowrank"},
    "models": {"torch_lowrank"},
    "analysis": {"models", "dataset", "torch_lowrank"},
    "reporting": {"analysis", "models", "dataset", "torch_lowrank"},
    "materializers": {"reporting", "analysis", "models", "dataset", "torch_lowrank"},
    "tracking": {"reporting", "analysis", "models", "dataset", "torch_lowrank"},
    "steps": {"configs", "tracking", "reporting", "materializers", "analysis", "models", "dataset", "torch_lowrank"},
}
MAY_IMPORT["pipelines"] = {"steps", *MAY_IMPORT["steps"]}
# What a package may not import; of the engine, all that it may.
FORBIDDEN = {
    "models": {"zenml", "mlflow", "pydantic"},
    "dataset": {"zenml", "mlflow", "pydantic", "torch"},
    "analysis": {"zenml", "mlflow", "pydantic"},
}
ENGINE = {"torch", "numpy", "safetensors", "rich"}  # rich where it is installed: progress bars
BESIDE_STEPS = ("steps.caching", "steps.runtime", "steps.data_roots")  # what steps share
FILES = sorted(file for package in MAY_IMPORT for file in (ROOT / package).rglob("*.py"))


def name_of(file: Path) -> str:
    """The module's name."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in FILES}


@functools.cache
def imported(file: Path) -> set[str]:
    """All modules that a file imports, also inside functions; for `from a import b` both a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_every_file_is_looked_at() -> None:
    assert len(FILES) > 120
    rooms = {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert rooms == {*MAY_IMPORT}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_downward_only(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        packages = {name.split(".")[0] for name in imported(file)}
        assert (packages & {*MAY_IMPORT}) - MAY_IMPORT[package] <= {package}, file
        assert not packages & FORBIDDEN.get(package, set()), file


def test_the_engine_needs_three_libraries() -> None:
    for file in (ROOT / "torch_lowrank").rglob("*.py"):
        packages = {name.split(".")[0] for name in imported(file)}
        assert packages - {*sys.stdlib_module_names} <= {"torch_lowrank", *ENGINE}, file


def test_the_configuration_loads_nothing_heavy() -> None:
    """What is wrong with the command line is told before libraries that take seconds are imported."""
    for file in (ROOT / "configs").rglob("*.py"):
        assert {
            name
            for name in imported(file)
            if name in MODULES and name.startswith(("models.", "dataset.", "torch_lowrank."))
        } <= {
            "models.training",
            "models.training.options",
            "models.deployment",
            "models.deployment.options",
            "models.variant_spec",
            "dataset.options",
            "torch_lowrank.quantization",
            "torch_lowrank.quantization.bits",
        }
    code = "import sys, configs.loading; sys.exit(bool({'torch', 'lightning', 'zenml', 'mlflow'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_there_is_no_circle() -> None:
    graph = {module: imported(file) & {*MODULES} - {module} for module, file in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_circles_are_found() -> None:
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


def test_nothing_imports_through_a_package() -> None:
    """A cache key holds the files that a step reaches: of a package that gathers others it would hold all of them."""
    packages = {module for module, file in MODULES.items() if file.stem == "__init__"}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in packages and file.stem != "__init__":
                assert all(f"{node.module}.{alias.name}" in MODULES for alias in node.names), file


def test_a_step_imports_no_other_step() -> None:
    for file in (ROOT / "steps").rglob("*.py"):
        for name in imported(file):
            if name.startswith("steps."):
                assert name.startswith(BESIDE_STEPS), f"{file} imports {name}"


@pytest.mark.parametrize("package", ["analysis", "reporting", "tracking"])
def test_what_comes_after_results_knows_no_networks(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        assert not {name for name in imported(file) if name in MODULES and name.startswith("models.")} - {
            "models.evaluation",
            "models.evaluation.coded_masks",
            "models.evaluation.results",
            "models.predicted",
            "models.deployment",
            "models.deployment.layout",
            "models.deployment.records",
            "models.variant_spec",
        }, file


def test_the_library_imports_without_zenml_mlflow_and_monai() -> None:
    modules = [module for module in MODULES if module.split(".")[0] in ("torch_lowrank", "models", "dataset")]
    code = "\n".join(
        [
            "import sys",
            "for name in ('zenml', 'mlflow', 'monai', 'pydantic'): sys.modules[name] = None",
            *(f"import {module}" for module in modules),
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# The start of a run comes first, and has not drawn anything yet.
IMPORT_ALL = f"""
import sys
import pipelines.execution.run
print("matplotlib" in sys.modules)
import {", ".join(MODULES)}
"""


@pytest.fixture(scope="module")
def imported_all(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which a process has imported every module, and what that printed."""
    folder = tmp_path_factory.mktemp("imports")
    (folder / "import_all.py").write_text(IMPORT_ALL)
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(folder), "ZENML_CONFIG_PATH": str(folder / "zenml")}
    environment["MPLCONFIGDIR"] = matplotlib.get_cachedir()  # else it looks for all fonts of this machine again
    done = subprocess.run(
        [sys.executable, "import_all.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_importing_has_no_side_effect(imported_all: tuple[Path, str]) -> None:
    folder, _ = imported_all
    assert not (folder / "zenml" / "local_stores").exists()
    assert not (folder / "mlflow.db").exists()


def test_a_run_that_draws_nothing_does_not_import_matplotlib(imported_all: tuple[Path, str]) -> None:
    _, printed = imported_all
    assert printed.startswith("False\n")


MAX_ROOM, MAX_FILE, MAX_FUNCTION = 15, 300, 50  # files, lines, and lines without the docstring
MANY_FILES = {"steps"}  # one step a file


def code_lines(function: ast.FunctionDef) -> int:
    """The lines of a function, blank ones included, without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function):
        lines -= (function.body[0].end_lineno or 0) - function.body[0].lineno + 1
    return lines


def test_rooms_files_and_functions_are_of_a_size_that_fits_in_the_head() -> None:
    for file in FILES:
        room = file.parent
        files = [each for each in room.glob("*.py") if each.name != "__init__.py"]
        assert len(files) <= MAX_ROOM or room.name in MANY_FILES, room
        text = file.read_text()
        assert len(text.splitlines()) <= MAX_FILE, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert code_lines(node) <= MAX_FUNCTION, f"{file}: {node.name}"


def test_the_files_of_tests_that_start_first_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []
