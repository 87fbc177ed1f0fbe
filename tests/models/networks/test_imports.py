"""Modules of networks: what is installed first, and of a folder what is named, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.networks.errors import NetworkError
from models.networks.imports import module_of_file

ROOT = Path(__file__).resolve().parent.parent.parent.parent
NET = "from torch import nn\n\nclass Net(nn.Conv2d):\n    pass\n"
RAN = "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\n"
# Of a folder in which any module that is imported leaves a trace: libraries look for `optional`, and do without it.
BUILD = """
import sys
sys.path = [path for path in sys.path if path] + sys.argv[1:2]
from models.networks.recipe import Recipe
network = Recipe(sys.argv[2], {"in_channels": 1, "out_channels": 1, "kernel_size": 1}).build()
try:
    import optional
except ImportError:
    pass
print(getattr(network, "later", str)())
"""


def build(place: str, folder: Path) -> subprocess.CompletedProcess:
    """Builds a network in a process of its own, whose current folder is the one given."""
    return subprocess.run(
        [sys.executable, "-P", "-c", BUILD, str(ROOT), place],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("optional", "einops", "torchvision", "monai", "json"):
        (tmp_path / f"{name}.py").write_text(RAN)
    return tmp_path


def test_files_of_the_current_folder_are_not_run_for_what_is_installed(folder: Path) -> None:
    done = build("torch.nn.Conv2d", folder)
    assert done.returncode == 0, done.stderr
    done = build("monai.networks.nets.UNt", folder)
    assert "has no 'UNt'" in done.stderr
    assert not [*folder.glob("*.ran")]


@pytest.mark.parametrize("place", ["net.Net", "{0}/net.py:Net"])
def test_of_a_files_folder_those_modules_are_run_that_it_names_and_installed_ones_before_them(
    place: str, folder: Path
) -> None:
    (folder / "net.py").write_text(
        "import json\n\nfrom beside import used\n"
        f"{NET}    def later(self):\n        import needed\n        return needed.word\n"
    )
    (folder / "beside.py").write_text(f"{RAN}import deeper.part\nused = 1\n")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "__init__.py").touch()
    (folder / "deeper" / "part.py").write_text(RAN)
    (folder / "needed.py").write_text(f"{RAN}word = 'imported when it was called'\n")
    done = build(place.format(folder), folder)
    assert done.stdout == "imported when it was called\n", done.stderr
    assert {file.stem for file in folder.rglob("*.ran")} == {"beside", "part", "needed"}


def test_a_file_whose_name_is_none_in_python_is_told_with_its_repair(tmp_path: Path) -> None:
    file = tmp_path / "my.net.py"
    file.write_text(NET)
    with pytest.raises(NetworkError, match=r"'my\.net' is no name in Python; rename it"):
        module_of_file(file)


TWICE = """
import os, sys
from models.networks.recipe import Recipe
from models.networks.errors import NetworkError
arguments = {"in_channels": 1, "out_channels": 1, "kernel_size": 1}
for folder, place in zip(sys.argv[1::2], sys.argv[2::2]):
    os.chdir(folder)
    try:
        print(Recipe(place, arguments).build().word)
    except NetworkError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("places", "name"),
    [
        (("net.py:Net", "net.py:Net"), "beside"),
        (("net.Net", "net.Net"), "beside"),
        (("alone.py:Net", "alone.py:Net"), "alone"),
        (("net.py:Net", "other.py:Net"), "beside"),
    ],
)
def test_a_second_module_of_one_name_is_refused_and_not_taken_for_the_first(
    places: tuple[str, str], name: str, tmp_path: Path
) -> None:
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "beside.py").write_text(f"word = {number}\n")
        (tmp_path / folder / "alone.py").write_text(f"{NET}    word = {number}\n")
        for file in ("net.py", "other.py"):
            (tmp_path / folder / file).write_text(f"from beside import word as said\n{NET}    word = said\n")
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    done = subprocess.run(
        [sys.executable, "-P", "-c", TWICE, one, places[0], two, places[1], one, places[0]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    first, refused, again = done.stdout.splitlines()
    assert (first, again) == ("0", "0")
    assert f"given {tmp_path}/one/{name}.py, as" in refused
    assert "use this network in another process" in refused
