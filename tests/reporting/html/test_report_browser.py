"""The report as people see it: in a browser, wide and narrow, without the network."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from analysis.comparison import Comparison
from models.evaluation.results import EvaluationResult
from reporting.html import seen_images
from reporting.html.about import About
from reporting.html.report import render_report
from reporting.plots.draw import Shown, draw_all
from tests.comparisons import of_patients
from tests.seen_images import comparison_of

EVIL = "<img src=x onerror=alert(1)>.jpg"
IMAGES, VARIANTS = 16, 4
EVIL_ROW = 3
PATIENCE = 30_000  # milliseconds: other work may hold the machine


@pytest.fixture(scope="module")
def compared() -> list[EvaluationResult]:
    """Variants that lose more and more."""
    return of_patients(comparison_of(IMAGES, VARIANTS, 48)[0], 12)


@pytest.fixture(scope="module")
def report(compared: list[EvaluationResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on data with a file name that tries to act."""
    seen = comparison_of(IMAGES, VARIANTS, 48)[1]
    samples = [{"file_name": EVIL if row == EVIL_ROW else f"{row}.jpg", "image_id": row} for row in range(IMAGES)]
    splits = {name: {"images": IMAGES, "samples": samples} for name in ("train", "valid", "test")}
    manifest = {"splits": splits, "warnings": [EVIL], "refused": [{"file_name": EVIL, "reason": "x" * 300}]}
    history = {"epochs": [{"epoch": 1, "train_loss": 1.0, "valid_loss": 1.0, "valid_dice": 0.5, "seconds": 1.0}]}
    comparison = Comparison(compared)
    file = tmp_path_factory.mktemp("report") / "report.html"
    about = About(history, manifest, {"seed": 1}, {"command": "python run_pipeline.py"})
    file.write_bytes(render_report(comparison, about, draw_all(Shown(comparison, [history])), seen))
    return file


Opened = Callable[..., Page]


@pytest.fixture
def opened(chromium: Browser, report: Path) -> Iterator[Opened]:
    """Opens the report; what the browser complains of, or asks for, fails the test."""
    pages, faults = [], []

    def open_page(address: str = "", width: int = 1280, **options: object) -> Page:
        page = chromium.new_page(viewport={"width": width, "height": 900}, **options)
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        page.on("request", lambda request: request.url.startswith(("data:", "file:")) or faults.append(request.url))
        page.goto(report.as_uri() + address)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert faults == []


def drawn(page: Page, chart: str = "chart-sizes") -> Page:
    """The page when its charts are there."""
    page.wait_for_selector(f"#{chart}[data-drawn]", state="attached")
    return page


@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_fits_asks_for_nothing_and_shows_names_as_text(opened: Opened, width: int) -> None:
    page = drawn(opened(width=width))
    page.evaluate("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_function("[...document.images].every((image) => image.naturalWidth > 0)")
    table = page.locator(".scroll", has=page.locator("table.sortable"))
    assert table.evaluate("(box) => box.scrollWidth <= box.clientWidth"), "the table is no wider than the page"
    assert page.inner_text("body").count(EVIL) >= 3, "as a warning, as refused, in the film of images"
    assert page.locator("img[src=x]").count() == 0


def test_pointing_at_a_mark_tells_the_variant_and_a_click_chooses_it_everywhere(opened: Opened) -> None:
    page = drawn(opened())
    marks = page.locator("#chart-losses .points path")
    marks.last.scroll_into_view_if_needed()
    marks.last.hover(force=True)
    hover = page.locator("#chart-losses .hoverlayer")
    expect(hover).to_contain_text("parameters")
    for words in ("Dice 0.", "bytes", "MACs", "of the baseline's"):
        assert words in hover.text_content()
    box = marks.last.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    name = page.evaluate("VARIANTS[state.variant].name")
    assert name in hover.text_content() or name != "baseline"
    expect(page.locator("tr.picked > th").first).to_have_text(name)
    assert {box.input_value() for box in page.locator("select.variants").all()} == {str(page.evaluate("state.variant"))}


def test_a_method_is_switched_off_and_an_axis_chosen(opened: Opened) -> None:
    page = drawn(opened())
    before = page.locator("#chart-losses .points path").count()
    page.get_by_role("button", name="ARSVD", exact=True).click()
    expect(page.locator("#chart-losses .points path")).not_to_have_count(before)
    page.select_option("#axis-x", "macs")
    expect(page.locator("#chart-tradeoff .xtitle")).to_have_text("multiply-accumulates of an image")
    assert "off=ARSVD" in page.url and "x=macs" in page.url


def test_a_row_of_the_table_chooses_and_a_heading_sorts(opened: Opened) -> None:
    page = drawn(opened())
    page.locator("table.sortable tbody tr", has_text="arsvd_tau").first.click()
    assert page.evaluate("VARIANTS[state.variant].name").startswith("arsvd_tau")
    expect(page.locator("#right-name")).to_contain_text("arsvd_tau")
    page.get_by_role("button", name="parameters").click()
    assert page.locator("table.sortable tbody th").all_inner_texts()[-1] == "baseline"
    page.get_by_role("button", name="parameters").click()
    assert page.locator("table.sortable tbody th").all_inner_texts()[0] == "baseline"


def test_columns_are_switched_and_csv_has_what_is_shown(opened: Opened, compared: list[EvaluationResult]) -> None:
    page = opened()
    page.locator("summary", has_text="Columns").click()
    page.get_by_role("checkbox", name="precision").check()
    page.get_by_role("checkbox", name="parameters").uncheck()
    with page.expect_download() as download:
        page.click("#csv")
    lines = Path(download.value.path()).read_text().splitlines()
    columns = lines[0].split(",")
    assert columns[:4] == ["variant", "Dice", "Dice low", "Dice high"]
    assert "precision" in columns and "parameters" not in columns and "recall" not in columns
    first = dict(zip(columns, lines[1].split(","), strict=True))
    assert first["variant"] == "baseline"
    assert float(first["Dice"]) == pytest.approx(compared[0].metrics["dice_lesion"])


def test_the_film_is_sorted_by_what_the_variant_loses_and_filtered(
    opened: Opened, compared: list[EvaluationResult]
) -> None:
    result = Comparison(compared).results[-1]
    page = opened(f"#variant={result.name}")
    full, own = (next(each for each in compared if each.name == name) for name in ("baseline", result.name))
    change = [after - before for before, after in zip(full.per_image["dice"], own.per_image["dice"], strict=True)]
    rows = [int(button.get_attribute("data-row")) for button in page.locator("#film button").all()]
    assert len(rows) == IMAGES
    assert [change[row] for row in rows] == sorted(change)
    page.locator("[data-filter=lost]").click()
    lost = [row for row in rows if change[row] < -0.01 and own.per_image["lesion_px"][row] > 0]
    assert [int(each.get_attribute("data-row")) for each in page.locator("#film button").all()] == lost
    expect(page.locator("[data-filter=lost]")).to_have_text(f"lost {len(lost)}")
    page.select_option("#sort", "size")
    sizes = [own.per_image["lesion_px"][int(e.get_attribute("data-row"))] for e in page.locator("#film button").all()]
    assert sizes == sorted(sizes)


def test_the_slider_shows_truth_on_its_left_and_the_variant_on_its_right(opened: Opened) -> None:
    page = opened("#image=0")
    page.wait_for_selector("#stage[data-drawn^='0 slider']")
    slider = page.locator("#split")
    pictures = {}
    for place in ("0", "100"):
        slider.fill(place)
        pictures[place] = page.evaluate("document.getElementById('stage').toDataURL()")
    page.locator("[data-view=variant]").click()
    page.wait_for_selector("#stage[data-drawn^='0 variant']")
    assert pictures["0"] != pictures["100"]
    assert slider.is_hidden()
    page.locator("[data-view=truth]").click()
    page.wait_for_selector("#stage[data-drawn^='0 truth']")
    expect(page.locator("#left-name")).to_have_text("truth")


def test_keys_change_image_variant_and_zoom_and_the_address_leads_back(opened: Opened, report: Path) -> None:
    page = opened()
    stage = page.locator("#stage")
    stage.focus()
    before = page.evaluate("[state.image, state.variant]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("+")
    page.keyboard.press("b")
    after = page.evaluate("[state.image, state.variant]")
    assert after[0] != before[0] and after[1] != before[1]
    assert page.evaluate("stage.zoom") == 1.5
    assert page.locator("[data-view=blink]").get_attribute("aria-pressed") == "true"
    other = opened(page.url.removeprefix(report.as_uri()))
    assert other.evaluate("[state.image, state.variant, state.view]") == [*after, "blink"]


def test_keys_go_on_where_a_frame_of_the_film_was_clicked_and_the_film_is_another(opened: Opened) -> None:
    page = opened()
    page.locator("#film button").nth(2).click()
    row = page.evaluate("state.image")
    page.keyboard.press("ArrowDown")  # another variant, so that the film is made anew
    page.keyboard.press("b")
    assert page.evaluate("[state.image, state.view]") == [row, "blink"]


def test_a_filter_shows_an_image_that_it_leaves_in(opened: Opened) -> None:
    page = opened()
    page.evaluate("pickImage(held().find((row) => !FILTERS.small[1](row)))")
    page.locator("[data-filter=small]").click()
    rows = page.evaluate("film.rows")
    assert 0 < len(rows) < IMAGES
    assert page.evaluate("state.image") == rows[0]


def test_missed_and_false_pixels_have_their_colours(opened: Opened) -> None:
    page = opened()
    painted = page.evaluate("""() => {
      const context = overlayOf(Uint8Array.of(1, 1, 0, 0), Uint8Array.of(1, 0, 1, 0), 2, 2, 1).getContext("2d");
      return [...context.getImageData(0, 0, 2, 2).data];
    }""")
    colors = [painted[place : place + 3] for place in range(0, 16, 4)]
    assert painted[15] == 0, "background stays free"
    for found, expected in zip(colors[1:3], ([255, 176, 0], [61, 123, 255]), strict=True):
        assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 2


def test_dark_by_the_system_and_by_the_button(opened: Opened) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    page = opened(color_scheme="dark")
    assert page.evaluate(background) == "rgb(20, 24, 30)"
    page.click("#theme")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    page.click("#theme")
    assert page.evaluate(background) == "rgb(20, 24, 30)"
    page.emulate_media(media="print")
    assert page.evaluate(background) == "rgb(255, 255, 255)", "paper is white"


def test_without_script_there_are_answer_table_and_pictures(opened: Opened) -> None:
    page = opened(java_script_enabled=False)
    for place in (".answer", ".panels img", "table.sortable tbody tr", "#plots img", "details.failures table"):
        assert page.locator(place).first.is_visible(), place
    for place in ("#charts", "#browser", "#csv", "#theme"):
        assert not page.locator(place).is_visible(), place


def test_a_chosen_variant_changes_the_table_of_patients(opened: Opened, compared: list[EvaluationResult]) -> None:
    last = Comparison(compared).results[-1]
    page = opened(f"#variant={last.name}")
    expect(page.locator("#patients-variant")).to_have_text(last.name)
    row = page.locator("#patients-table tr[data-group=p1]")
    assert f"{last.per_group['p1']:.3f}" in row.inner_text()


def test_an_address_that_names_nothing_known_opens_the_page_as_it_is(opened: Opened) -> None:
    page = opened("#variant=nobody&image=9999&view=inside&x=%3Cscript%3E")
    assert page.evaluate("address()") == ""


def test_the_baseline_is_in_the_chart_of_changes(opened: Opened) -> None:
    page = drawn(opened("#y=change"), "chart-tradeoff")
    marks = "document.getElementById('chart-tradeoff').data.filter((each) => each.name === 'baseline')"
    assert page.evaluate(f"{marks}.map((each) => each.y)") == [[0]]


def test_the_range_of_very_many_values_is_found(opened: Opened) -> None:
    assert opened().evaluate("extent(Array.from({length: 1e6}, (_, place) => place - 5))") == [-5, 999_994]


def test_an_address_of_an_image_that_the_page_leaves_out_opens_the_page_as_it_is(
    chromium: Browser, compared: list[EvaluationResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_images, "MOST_IMAGES", 4)
    file = tmp_path / "report.html"
    seen = comparison_of(IMAGES, VARIANTS, 48)[1]
    file.write_bytes(render_report(Comparison(compared), About({}, {}, {}, {}), {}, seen))
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector("#stage[data-drawn]", timeout=PATIENCE)
    held = page.evaluate("held()")
    shown, left_out = page.evaluate("state.image"), next(row for row in range(IMAGES) if row not in held)
    page.evaluate(f"location.hash = 'view=variant&image={left_out}'")
    page.wait_for_selector("#stage[data-drawn*=' variant']", timeout=PATIENCE)
    assert len(held) == 4
    assert page.evaluate("state.image") == shown
    last = Comparison(compared).results[-1].per_image["dice"][held[-1]]
    assert page.evaluate(f"VARIANTS.at(-1).image_dice[{held[-1]}]") == pytest.approx(last, abs=1e-4)
    assert errors == []
    page.close()


def test_an_image_without_masks_of_a_variant_is_shown_without_marks(
    chromium: Browser, compared: list[EvaluationResult], tmp_path: Path
) -> None:
    seen = comparison_of(IMAGES, VARIANTS, 48)[1]
    only = dataclasses.replace(seen, masks={"baseline": seen.masks["baseline"]})
    file = tmp_path / "report.html"
    file.write_bytes(render_report(Comparison(compared), About({}, {}, {}, {}), {}, only))
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector("#stage[data-drawn]", timeout=PATIENCE)
    expect(page.locator("#image-numbers tbody tr")).to_have_count(2, timeout=PATIENCE)
    assert errors == []
    page.close()
