"""The report as people see it: in a browser, wide and narrow, without the network."""

import dataclasses
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from analysis.comparison import Comparison
from models.evaluation.results import EvaluationResult
from reporting.html.about import About
from reporting.html.report import render_report
from reporting.plots.draw import Shown, draw_all

EVIL = "<img src=x onerror=alert(1)>.jpg"


@pytest.fixture
def report(results: list[EvaluationResult], history: dict, tmp_path: Path) -> Path:
    """A report on data with a file name that tries to act."""
    worse = [
        dataclasses.replace(
            result,
            per_image={
                "dice": [max(0.0, result.metrics["dice"] - 0.1 * image) for image in range(4)],
                "iou": [0.5, 0.4, 0.3, 0.2],
                "lesion_px": [40.0, 90.0, 400.0, 0.0],
            },
        )
        for result in results
    ]
    samples = [{"file_name": EVIL if row == 3 else f"{row}.jpg", "image_id": row} for row in range(4)]
    splits = {name: {"images": 4, "samples": samples} for name in ("train", "valid", "test")}
    manifest = {"splits": splits, "warnings": [EVIL], "refused": [{"file_name": EVIL, "reason": "x" * 300}]}
    comparison = Comparison(worse)
    pictures = draw_all(Shown(comparison, [history]))
    file = tmp_path / "report.html"
    about = About(history, manifest, {"seed": 1}, {"command": "python run_pipeline.py"})
    file.write_bytes(render_report(comparison, about, pictures))
    return file


@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_fits_asks_for_nothing_and_shows_names_as_text(chromium: Browser, report: Path, width: int) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 900})
    errors, requests, dialogs = [], [], []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
    assert errors == []
    assert dialogs == []
    assert page.inner_text("body").count(EVIL) >= 3, "as a warning, as refused, as an image that was lost"
    page.close()


def test_a_click_on_a_heading_sorts(chromium: Browser, report: Path) -> None:
    page = chromium.new_page()
    page.goto(report.as_uri())
    assert first_names(page)[0] == "baseline"
    page.get_by_role("button", name="parameters").click()
    assert first_names(page)[:2] == ["svd_rank_16", "budget_0.25"]
    page.get_by_role("button", name="parameters").click()
    assert first_names(page)[0] == "baseline"
    page.close()


def test_the_whole_variants_table_is_seen_on_a_desktop(chromium: Browser, report: Path) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(report.as_uri())
    box = page.locator(".scroll", has=page.locator("table.sortable"))
    assert box.evaluate("(box) => box.scrollWidth <= box.clientWidth")
    page.close()


def first_names(page: Page) -> list[str]:
    return page.locator("table.sortable tbody th").all_inner_texts()
