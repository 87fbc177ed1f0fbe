"""Who may import whom, and that importing does nothing else."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"configs", "dataset", "materializers", "models", "pipelines", "steps", "tracking"}
MAY_IMPORT = {
    "configs": set(),
    "dataset": set(),
    "models": set(),
    "materializers": {"models", "dataset"},
    "tracking": {"models"},
    "steps": {"configs", "models", "dataset", "materializers", "tracking"},
    "pipelines": {"configs", "steps", "models", "dataset", "materializers", "tracking"},
}
FORBIDDEN_LIBRARIES = {"models": {"zenml", "mlflow", "pydantic"}, "dataset": {"zenml", "mlflow", "pydantic", "torch"}}
STEP_HELPERS = {"steps.runtime", "steps.caching", "steps.phantoms", "steps.sources", "steps.stored_folder"}
FILES = sorted(file for package in OURS for file in (ROOT / package).glob("*.py"))


def imported(file: Path) -> set[str]:
    """All modules that a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_file_is_looked_at() -> None:
    assert len(FILES) > 40


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_downward_only(file: Path) -> None:
    package = file.parent.name
    packages = {name.split(".")[0] for name in imported(file)}
    assert (packages & OURS) - MAY_IMPORT[package] <= {package}
    libraries = FORBIDDEN_LIBRARIES.get(package, set())
    assert not packages & libraries


@pytest.mark.parametrize("file", sorted((ROOT / "steps").glob("*.py")), ids=lambda file: file.stem)
def test_a_step_imports_no_other_step(file: Path) -> None:
    siblings = {name for name in imported(file) if name.startswith("steps.")}
    assert {".".join(name.split(".")[:2]) for name in siblings} <= STEP_HELPERS


@pytest.mark.parametrize("file", sorted((ROOT / "tracking").glob("*.py")), ids=lambda file: file.stem)
def test_tracking_knows_results_and_not_networks(file: Path) -> None:
    assert {name.rpartition(".")[0] for name in imported(file) if name.startswith("models.")} <= {
        "models.findings",
        "models.progress",
        "models.results",
    }


def test_the_library_imports_without_zenml_mlflow_and_monai() -> None:
    modules = [f"{file.parent.name}.{file.stem}" for file in FILES if file.parent.name in ("models", "dataset")]
    code = "\n".join(
        [
            "import sys",
            "for name in ('zenml', 'mlflow', 'monai', 'pydantic'): sys.modules[name] = None",
            *(f"import {module}" for module in modules if not module.endswith("__init__")),
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_has_no_side_effect(tmp_path: Path) -> None:
    modules = [f"{file.parent.name}.{file.stem}" for file in FILES if file.stem != "__init__"]
    script = tmp_path / "import_all.py"
    script.write_text("\n".join(f"import {module}" for module in modules))
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "ZENML_CONFIG_PATH": str(tmp_path / "zenml")}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "zenml" / "local_stores").exists()
    assert not (tmp_path / "mlflow.db").exists()
