from pathlib import Path

import pytest
from coco_folder import CocoFolder  # beside this file; pytest puts its folder on the path


@pytest.fixture
def coco(tmp_path: Path) -> CocoFolder:
    return CocoFolder(tmp_path / "data")
