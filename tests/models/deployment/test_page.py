"""docs/deploy.md: what it says of files runs as it stands, in a process that knows nothing of this project."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from models.deployment.layout import PLACES
from models.deployment.make import Maker
from tests.conftest import ROOT
from tests.models.deployment.networks import images, small_unet, variant

PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
ENDS = '\nassert probabilities.shape == (1, 1, 128, 128) and session.get_modelmeta().custom_metadata_map["labels"]\n'


def blocks(title: str) -> str:
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


@pytest.mark.slow
def test_the_python_of_the_page_opens_the_files(tmp_path: Path) -> None:
    maker = Maker(variant(small_unet()), images(2), ["tumor"])
    for kind in ("onnx", "onnx_w8", "pt2"):
        for name, content in maker.make(kind).files.items():
            file = tmp_path / "export" / "svd_rank_16" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    for title, session in (("ONNX Runtime", True), ("PyTorch program (pt2)", False)):
        code = blocks(title) + (ENDS if session else ENDS.partition(" and")[0])
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_page_names_every_format_and_its_file() -> None:
    for kind, place in PLACES.items():
        assert re.search(rf"^\| `{kind}` \| `{re.escape(place)}/?` \|", PAGE, re.MULTILINE), kind
