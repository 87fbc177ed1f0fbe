"""The code that travels with MLflow models."""

import ast
import importlib
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from models.networks.recipe import Recipe
from models.preprocessing import Preprocessing
from models.serving.segmenter import Segmenter
from models.serving.travelling_code import TravellingCode, travelling_code
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE

SMALL_NET = """
from torch import nn
from blocks_beside import scaled

class Small(nn.Module):
    def __init__(self, in_channels, classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, classes, 3, padding=1)

    def forward(self, x):
        import json  # of Python itself, although a file beside has that name
        import found_late
        assert json.loads("1")
        return found_late.same(scaled(self.conv(x)))
"""
BESIDE = "def scaled(x):\n    return 2 * x\n"
OTHER_FILES = {
    "found_late.py": "def same(x):\n    return x\n",
    "json.py": "raise ImportError('the wrong one')\n",
    "not_imported.py": "",
}
STORED = np.random.default_rng(0).integers(0, 256, (2, 20, 24, 1), np.uint8)


def unet() -> Variant:
    return Variant(BASELINE, UNet(1, 1, 4).eval(), Preprocessing(0.3, 0.2), 1)


def named(place: str, **arguments: object) -> Variant:
    torch.manual_seed(0)
    recipe = Recipe(place, arguments).filled(1, 1)
    return Variant(BASELINE, recipe.build().eval(), Preprocessing(0.3, 0.2), 1, recipe=recipe)


def opened(code: TravellingCode, variant: Variant, folder: Path) -> Segmenter:
    """A variant as MLflow opens it, where the folder of code is on the path."""
    variant.save(folder / "network")
    for place, content in code.files.items():
        (folder / "code" / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / "code" / place).write_bytes(content)
    sys.path.insert(0, str(folder / "code"))
    return importlib.import_module(code.loader)._load_pyfunc(str(folder / "network"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """A folder with a network of a user's; what a test imports is forgotten after it."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name, content in {"small_net.py": SMALL_NET, "blocks_beside.py": BESIDE, **OTHER_FILES}.items():
        (folder / name).write_text(content)
    path, modules = [*sys.path], {*sys.modules}
    yield folder
    sys.path[:] = path
    sys.meta_path[:] = [finder for finder in sys.meta_path if str(tmp_path) not in getattr(finder, "folder", "")]
    for name in {*sys.modules} - modules:
        if name.startswith(("lowrank_segmenter", "small_net", "blocks_beside", "found_late")):
            del sys.modules[name]


def test_our_code_needs_three_packages_and_the_engine_and_nothing_called_models() -> None:
    code = travelling_code(unet())
    package = code.loader.partition(".")[0]
    imported = set()
    for place, content in code.files.items():
        assert place.startswith(f"{package}/")
        for node in ast.walk(ast.parse(content)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).partition(".")[0])
    assert imported - {*sys.stdlib_module_names} == {package, "torch_lowrank", "torch", "numpy"}
    assert [need.partition("==")[0] for need in code.requirements] == ["numpy", "safetensors", "torch-lowrank", "torch"]
    assert len(code.files) < 20


def test_every_module_that_travelling_code_imports_of_itself_travels() -> None:
    code = travelling_code(unet())
    package = code.loader.partition(".")[0]
    there = {place.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for place in code.files}
    for content in code.files.values():
        for node in ast.walk(ast.parse(content)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(package):
                assert node.module in there


def test_no_requirement_is_one_that_an_index_cannot_have() -> None:
    assert not [need for need in travelling_code(unet()).requirements if "+" in need]


def test_an_installed_network_is_a_requirement(own: Path, tmp_path: Path) -> None:
    variant = named("monai.networks.nets.BasicUNet", features=[4, 4, 4, 4, 4, 4])
    code = travelling_code(variant)
    assert any(need.startswith("monai==") for need in code.requirements)
    assert not [place for place in code.files if "network_code" in place]
    stored = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 1), np.uint8)
    found = opened(code, variant, tmp_path / "model").predict(stored)
    np.testing.assert_array_equal(found, Segmenter(variant).predict(stored))


def test_the_files_of_an_own_network_travel_and_no_others(own: Path) -> None:
    code = travelling_code(named(f"{own}/small_net.py:Small"))
    theirs = {Path(place).name for place in code.files if "network_code" in place}
    assert theirs == {"small_net.py", "blocks_beside.py", "found_late.py"}


def test_two_versions_of_an_own_network_are_open_at_once(own: Path, tmp_path: Path) -> None:
    variant = named(f"{own}/small_net.py:Small")
    first = travelling_code(variant)
    (own / "blocks_beside.py").write_text(BESIDE.replace("2 * x", "-2 * x"))
    second = travelling_code(variant)
    assert first.loader != second.loader
    (own / "small_net.py").unlink()  # they run from their own folders
    segmenters = [opened(code, variant, tmp_path / code.loader) for code in (first, second)]
    one, other = (segmenter.predict(STORED) for segmenter in segmenters)
    np.testing.assert_allclose(one, 1 - other, atol=1e-6)
    assert np.ptp(one) > 0.1


def test_what_a_function_imports_is_of_its_own_version_whichever_ran_before(own: Path, tmp_path: Path) -> None:
    variant = named(f"{own}/small_net.py:Small")
    first = travelling_code(variant)
    (own / "found_late.py").write_text("def same(x):\n    return -x\n")
    second = travelling_code(variant)
    sys.modules["found_late"] = ModuleType("found_late")  # the process's own, which has nothing of it
    one, other = (opened(code, variant, tmp_path / code.loader) for code in (first, second))
    for _ in range(2):
        np.testing.assert_allclose(one.predict(STORED), 1 - other.predict(STORED), atol=1e-6)
    assert np.ptp(one.predict(STORED)) > 0.1
    assert not hasattr(sys.modules["found_late"], "same")


def test_versions_can_be_opened_by_several_threads(own: Path, tmp_path: Path) -> None:
    slow = "super().__init__()\n        import time; time.sleep(0.05)  # so that they meet"
    (own / "small_net.py").write_text(SMALL_NET.replace("super().__init__()", slow))
    variant = named(f"{own}/small_net.py:Small")
    known, loads = sys.modules["small_net"], []
    for factor in (2, -2):
        (own / "blocks_beside.py").write_text(BESIDE.replace("2", f"{factor}"))
        code = travelling_code(variant)
        opened(code, variant, tmp_path / code.loader)
        loads.append(partial(sys.modules[code.loader]._load_pyfunc, str(tmp_path / code.loader / "network")))
    with ThreadPoolExecutor(4) as threads:
        segmenters = list(threads.map(lambda load: load(), loads * 4))
    one, other, *more = (each.predict(STORED) for each in segmenters)
    np.testing.assert_allclose(one, 1 - other, atol=1e-6)
    for number, probabilities in enumerate(more):
        np.testing.assert_array_equal(probabilities, (one, other)[number % 2])
    assert sys.modules["small_net"] is known


def test_a_model_leaves_no_module_by_the_names_of_its_files(own: Path, tmp_path: Path) -> None:
    variant = named(f"{own}/small_net.py:Small")
    code = travelling_code(variant)
    for name in ("small_net", "blocks_beside"):
        sys.modules.pop(name)
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "folder", "") != str(own)]
    opened(code, variant, tmp_path / "model").predict(STORED)
    for name in ("small_net", "blocks_beside", "found_late"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)


def test_a_network_in_a_package_of_a_user_is_opened_with_what_its_package_imports(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = own / "found_late_package"
    package.mkdir()
    (package / "__init__.py").write_text("import found_late_package.inner\n")
    (package / "inner.py").write_text("FACTOR = 3\n")
    late = "import found_late_package.inner, found_late\n        x = found_late_package.inner.FACTOR * x"
    (package / "net.py").write_text(SMALL_NET.replace("import found_late\n", f"{late}\n"))
    monkeypatch.chdir(own)
    variant = named("found_late_package.net.Small")
    expected = Segmenter(variant).predict(STORED)
    code = travelling_code(variant)
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(package)
    np.testing.assert_array_equal(opened(code, variant, tmp_path / "model").predict(STORED), expected)


def test_a_file_that_python_goes_before_does_not_travel_although_it_is_not_imported_yet(own: Path) -> None:
    assert "wsgiref" not in sys.modules
    for name in ("wsgiref/__init__.py", "wsgiref/util.py", "time.py"):
        (own / name).parent.mkdir(exist_ok=True)
        (own / name).write_text("raise ImportError('the wrong one')\n")
    imports = "import found_late, time, wsgiref.util"
    (own / "small_net.py").write_text(SMALL_NET.replace("import found_late\n", f"{imports}\n"))
    code = travelling_code(named(f"{own}/small_net.py:Small")).files
    places = {place.partition("network_code/")[2]: content.decode() for place, content in code.items()}
    assert {*places} - {""} == {"small_net.py", "blocks_beside.py", "found_late.py"}
    assert "found_late as found_late; import time; import wsgiref.util\n" in places["small_net.py"]
