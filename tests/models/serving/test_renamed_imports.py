"""Imports that are found within a package, and do what they did."""

import pytest

from models.serving.renamed_imports import renamed_imports

NAMES = {"blocks": "package.blocks", "net": "package.net"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import blocks", "import package.blocks as blocks"),
        ("import blocks as b", "import package.blocks as b"),
        ("import blocks.deep as d", "import package.blocks.deep as d"),
        ("import blocks.deep", "import package.blocks.deep; import package.blocks as blocks"),
        ("import os, blocks", "import os; import package.blocks as blocks"),
        ("from blocks import A, B as C  # why", "from package.blocks import A, B as C  # why"),
        ("from blocks.deep import *", "from package.blocks.deep import *"),
        ("from blocks import (\n    A,\n    B,\n)\nx = 1", "from package.blocks import A, B\nx = 1"),
        (
            "if True: import blocks; x = 'ä'; import net",
            "if True: import package.blocks as blocks; x = 'ä'; import package.net as net",
        ),
        ("def f():\n\tfrom net import g", "def f():\n\tfrom package.net import g"),
    ],
)
def test_absolute_imports_are_renamed_and_bind_the_same(before: str, after: str) -> None:
    assert renamed_imports(before.encode(), NAMES).decode() == after


@pytest.mark.parametrize(
    "source",
    [
        b"import blocks_other, network\nfrom . import blocks\nfrom .net import x\n",
        b"s = 'import blocks'\r\n# import net\r\n",
        b"import blocks(",
        b"import blocks\x00",
        b"",
    ],
)
def test_all_else_stays_byte_by_byte(source: bytes) -> None:
    assert renamed_imports(source, NAMES) == source


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig"])
def test_a_file_keeps_its_encoding(encoding: str) -> None:
    cookie = "# coding: latin-1\n" if encoding == "latin-1" else ""
    source = f"{cookie}s = 'é'; import net\n"
    changed = renamed_imports(source.encode(encoding), NAMES)
    assert changed == source.replace("import net", "import package.net as net").encode(encoding)
