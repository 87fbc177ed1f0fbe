"""The page reads masks as they were coded."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from reporting.html.scripts import script
from tests.seen_images import coded


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (64, 48), (300, 211)])
def test_the_page_decodes_the_run_length_code(chromium: Browser, shape: tuple[int, int], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dense = rng.integers(0, 3, shape)
    blob = np.zeros(shape, int)
    blob[shape[0] // 3 : 2 * shape[0] // 3 + 1, shape[1] // 4 :] = 2
    masks = np.stack([dense, blob, np.zeros(shape), np.ones(shape)]).astype(np.uint8)
    stored = coded(masks, labels=2)
    file = tmp_path / "page.html"
    file.write_text(f"<script>{script('masks.js')}</script>")
    page = chromium.new_page()
    page.goto(file.as_uri())
    for row, mask in enumerate(masks):
        codes = [stored.codes(row), *shape]
        found = page.evaluate("([codes, height, width]) => [...labelsOf(codes, height, width)]", codes)
        np.testing.assert_array_equal(np.array(found).reshape(shape), mask)
        np.testing.assert_array_equal(stored.decoded(row), mask)
    page.close()
