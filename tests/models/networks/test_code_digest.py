"""A digest of a network's code: another one where its results may be others."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from monai.networks.nets import BasicUNet

from models.networks import code_digest as digesting
from models.networks.code_digest import code_digest
from models.networks.imported_names import imported_names
from models.networks.recipe import Recipe
from tests.models.networks.forgetting import forget

FILES = {
    "net.py": "from torch import nn\nfrom digested import blocks\n\nclass Net(nn.Sequential):\n"
    "    def __init__(self):\n        super().__init__(blocks.Block(1, 1, 1))\n",
    "__init__.py": "",
    "blocks.py": "from torch import nn\n\nclass Block(nn.Conv2d):\n"
    "    def forward(self, x):\n        from . import later\n        return later.same(super().forward(x))\n",
    "later.py": "def same(x):\n    return x\n",
    "other.py": "",
}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[tuple[Path, Recipe, object]]:
    package, path = tmp_path / "digested", list(sys.path)
    package.mkdir()
    for name, content in FILES.items():
        (package / name).write_text(content)
    sys.path.append(str(tmp_path))
    recipe = Recipe("digested.net.Net")
    yield package, recipe, recipe.build()
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("digested")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", FILES)
def test_an_edit_of_what_the_network_reaches_gives_another_digest(made, name: str) -> None:
    package, recipe, network = made
    before = code_digest(recipe, network)
    assert code_digest(recipe, network) == before
    (package / name).write_text(f"{FILES[name]}\n# edited\n")
    assert (code_digest(recipe, network) != before) == (name != "other.py")


def test_another_version_of_the_package_gives_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe("monai.networks.nets.BasicUNet")
    network = BasicUNet(2, features=[2, 2, 2, 2, 2, 2])
    before = code_digest(recipe, network)
    known = digesting._version_of
    monkeypatch.setattr(digesting, "_version_of", lambda top: "monai==0" if top == "monai" else known(top))
    assert code_digest(recipe, network) != before


def test_imports_are_read_from_the_text() -> None:
    source = b"import a.b\nfrom ..c import d\nif TYPE_CHECKING:\n    import e\ndef f():\n    from g import h\n"
    assert imported_names(source, "p.q") == ("a", "a.b", "p", "p.c", "p.c.d", "g", "g.h")


def test_files_that_cannot_be_followed_are_read_as_far_as_they_go() -> None:
    either = b"try:\n    from .blocks import B\nexcept ImportError:\n    from blocks import B\n"
    assert imported_names(either, "") == ("blocks", "blocks.B")
    assert imported_names(b"print 'of another Python'", "p") == ()
    assert imported_names(b"a = 1\0", "p") == ()


BEYOND = """
from monai.networks.nets import BasicUNet as Net
from {0} import scale
try:
    from . import {0}
except ImportError:
    import {0}
"""


@pytest.mark.parametrize("edited", ["named.py", "beside_named.py"])
def test_an_edit_of_the_file_that_is_named_counts_wherever_its_constructor_is_from(tmp_path: Path, edited: str) -> None:
    beside = f"beside_{abs(hash(str(tmp_path)))}"
    files = {"named.py": tmp_path / f"named_{beside}.py", "beside_named.py": tmp_path / f"{beside}.py"}
    files["named.py"].write_text(BEYOND.format(beside))
    files["beside_named.py"].write_text("scale = 2\n")
    recipe, network = Recipe(f"{files['named.py']}:Net"), BasicUNet(2, features=[2, 2, 2, 2, 2, 2])
    before = code_digest(recipe, network)
    files[edited].write_text(files[edited].read_text() + "# edited\n")
    assert code_digest(recipe, network) != before
    forget(tmp_path)
