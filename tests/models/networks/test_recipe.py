"""Networks by name: imported where the caller says so, built, and never because a file says so."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from models.networks.errors import NetworkError
from models.networks.recipe import Recipe, absolute, name_of
from tests.models.networks.forgetting import forget

SOURCE = """
from torch import nn
from beside_{n} import width

class Net(nn.Module):
    def __init__(self, in_channels, classes=4, depth=1):
        super().__init__()
        self.layer = nn.Conv2d(in_channels, classes, width)

    def forward(self, x):
        return self.layer(x)

def made(classes):
    return Net(1, classes)

def number(classes):
    return classes

broken = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A module and one beside it; names of their own, as Python keeps what it has imported."""
    number = abs(hash(str(tmp_path)))
    (tmp_path / f"beside_{number}.py").write_text("width = 3")
    file = tmp_path / f"net_{number}.py"
    file.write_text(SOURCE.format(n=number))
    yield file
    forget(tmp_path)


def test_a_class_in_a_file_is_built_and_says_its_arguments(file: Path) -> None:
    network = Recipe(f"{file}:Net", {"in_channels": 2, "classes": 3}).build()
    assert network(torch.zeros(1, 2, 8, 8)).shape == (1, 3, 6, 6)
    assert network.arguments == {"in_channels": 2, "classes": 3}


@pytest.mark.parametrize("own", [nn.ReLU(), "text"])
def test_a_network_keeps_an_attribute_that_is_called_as_ours(own: object, file: Path) -> None:
    file.write_text(
        "from torch import nn\n\nclass Net(nn.Conv2d):\n    def __init__(self):\n        super().__init__(1, 1, 1)\n"
        f"        self.arguments = {'nn.ReLU()' if isinstance(own, nn.Module) else repr(own)}\n"
    )
    assert type(Recipe(f"{file}:Net").build().arguments) is type(own)


def test_a_function_that_returns_a_network_is_taken(file: Path) -> None:
    assert isinstance(Recipe(f"{file}:made", {"classes": 1}).build(), nn.Module)


def test_a_module_in_the_current_folder_is_found(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert isinstance(Recipe(f"{file.stem}.Net", {"in_channels": 1}).build(), nn.Module)


def test_well_known_arguments_follow_from_the_data_unless_they_are_given(file: Path) -> None:
    assert Recipe(f"{file}:Net").filled(3, 2).arguments == {"in_channels": 3, "classes": 2}
    assert Recipe(f"{file}:Net", {"classes": 5}).filled(3, 2).arguments == {"in_channels": 3, "classes": 5}
    of_monai = Recipe("monai.networks.nets.BasicUNet").filled(1, 1).arguments
    assert of_monai == {"spatial_dims": 2, "in_channels": 1, "out_channels": 1}


@pytest.mark.parametrize(
    ("place", "arguments", "said"),
    [
        ("os.system", {"command": "true"}, "no class of a torch.nn.Module"),
        ("no_such_package.nets.Net", {}, "there is no module 'no_such_package'"),
        ("monai.networks.nets.BasicUNt", {}, r"has no 'BasicUNt'; it has BasicUNet, BasicUNetPlusPlus, "),
        ("monai.networks.nets.BASICUNET", {}, r"has no 'BASICUNET'; it has BasicUNet, "),
        ("monai.networks.nets.NoSuchNet", {}, r"has no 'NoSuchNet'; it has (?!AHnet|Ahnet|AHNet|AttentionUnet)"),
        ("torch.nn.Convolution2d", {}, r"has no 'Convolution2d'; it has Conv2d, "),
        ("monai.networks.nets.BasicUNet", {"depth": 3}, r"unexpected keyword.*it takes spatial_dims, in_channels"),
        ("{file}:Other", {}, "has no 'Other'; it has Net"),
        ("{file}:number", {"classes": 1}, "makes a int"),
        ("{file}:broken", {}, "no class of a torch.nn.Module"),
        ("{folder}/gone.py:Net", {}, "gone.py is no Python file that is there"),
        ("torch.nn.LazyConv2d", {"out_channels": 1, "kernel_size": 1}, r"'weight' is lazy.*\(Conv2d for LazyConv2d\)"),
    ],
)
def test_what_cannot_be_built_is_told(file: Path, place: str, arguments: dict, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        Recipe(place.format(file=file, folder=file.parent), arguments).build()


def test_a_file_with_an_error_is_told(file: Path) -> None:
    file.write_text("import no_such_library")
    with pytest.raises(
        NetworkError, match=r"cannot be imported.*no_such_library is not installed: pip install no_such_library, if"
    ):
        Recipe(f"{file}:Net").build()


def test_a_file_whose_name_is_taken_is_told(file: Path) -> None:
    taken = file.with_name("json.py")
    taken.write_text(file.read_text())
    with pytest.raises(NetworkError, match=r"the name 'json' belongs to .*rename the file"):
        Recipe(f"{taken}:Net").build()


def test_a_name_has_no_folders() -> None:
    assert name_of("/home/of/somebody/net.py:Net") == "net.py:Net"
    assert name_of("package.module.Net") == "package.module.Net"
    assert absolute("net.py:Net") == f"{Path.cwd()}/net.py:Net"
    assert Recipe("somewhere/net.py:Net").title == "Net"


def test_a_saved_recipe_is_read_where_its_name_is_allowed(tmp_path: Path) -> None:
    saved = Recipe("/there/net.py:Net", {"classes": 2}, "out").to_dict()
    assert saved == {"name": "net.py:Net", "arguments": {"classes": 2}, "output": "out"}
    assert Recipe.of_saved(saved, ["a.B", "/here/net.py:Net"], tmp_path) == Recipe(
        "/here/net.py:Net", {"classes": 2}, "out"
    )


@pytest.mark.parametrize("allowed", [[], ["monai.networks.nets.BasicUNet"], ["system"], ["system.py:system"]])
def test_a_saved_name_that_is_not_allowed_imports_nothing(allowed: list[str], tmp_path: Path) -> None:
    saved = {"name": "antigravity.system", "arguments": {}, "output": None}
    with pytest.raises(NetworkError, match=r"made by antigravity\.system, and nothing .* imported or run.*networks="):
        Recipe.of_saved(saved, allowed, tmp_path)
    assert "antigravity" not in sys.modules


def test_one_name_is_allowed_by_itself(tmp_path: Path) -> None:
    saved = Recipe("a.b.Net").to_dict()
    assert Recipe.of_saved(saved, "a.b.Net", tmp_path) == Recipe("a.b.Net")
    with pytest.raises(NetworkError, match=r"networks holds <class.*give names of constructors"):
        Recipe.of_saved(saved, [Path], tmp_path)


def test_of_a_renamed_file_both_names_are_told_with_what_to_do(tmp_path: Path) -> None:
    saved = Recipe("/there/net.py:Net").to_dict()
    with pytest.raises(
        NetworkError, match=r"by net\.py:Net.* \(allowed: new\.py:Net\).*must get its name net\.py back"
    ):
        Recipe.of_saved(saved, ["/here/new.py:Net"], tmp_path)


@pytest.mark.parametrize("saved", [{}, {"name": 3, "arguments": {}}, {"name": "a.B", "arguments": [1], "output": None}])
def test_a_damaged_recipe_is_told(saved: dict, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="damaged"):
        Recipe.of_saved(saved, ["a.B"], tmp_path)
