"""What people see in MLflow's own pages after a run, a second one, and a lost database."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.pipelines.workshop import TINY_VARIANTS, Workshop

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

SECONDS_TO_START = 120
SHOWN_MS = 180_000  # a busy machine takes its time
RUN_LINK = "a[href*='/runs/']"
MODEL_LINK = "a[href*='/models/m-'], a[href*='/models/tumor-unet/']"  # the second once a test has registered it


@contextlib.contextmanager
def mlflow_ui(workshop: Workshop) -> Iterator[str]:
    """The address of `mlflow ui` over the project's database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port), "--workers", "1"]
    environment = {
        **workshop.environment,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (workshop.root.parent / "mlflow_ui.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=workshop.root, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(f"{address}/health")
        yield address
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def wait_for(url: str) -> None:
    for _ in range(2 * SECONDS_TO_START):
        with contextlib.suppress(URLError, ConnectionError):
            urllib.request.urlopen(url, timeout=5)
            return
        time.sleep(0.5)
    pytest.fail(f"{url} does not answer")


def shown_runs(page: Page) -> list[tuple[str, str]]:
    """Names and ids of the rows of the runs table, from the top."""
    rows = page.eval_on_selector_all(RUN_LINK, "links => links.map((a) => [a.textContent, a.getAttribute('href')])")
    ends = ((name, link.rpartition("/")[2]) for name, link in rows)
    return [(name, run) for name, run in ends if re.fullmatch("[0-9a-f]{32}", run)]  # not those of the description


def wait_for_runs(page: Page, number: int) -> None:
    page.wait_for_function("n => document.querySelectorAll(\"a[href*='/runs/']\").length >= n", arg=number)


def quoted(value: Any) -> str:
    return urllib.parse.quote(json.dumps(value))


def as_shown(value: float) -> str:
    """A metric as MLflow's compare page rounds it: three digits after the point below 10, two below 100, and so on."""
    return f"{round(value, max(0, 3 - len(str(int(value))) + 1)):g}"


def click_on_experiment(page: Page, address: str) -> None:
    """Opens the experiment from the list, in a browser that was told once that this is about training models."""
    page.goto(f"{address}/#/experiments")
    page.get_by_text("Model training", exact=True).click()
    page.get_by_role("link", name="arsvd_comparison").click()
    page.wait_for_url("**/runs?*")


def look_at_training(page: Page, address: str, pictures: Path) -> None:
    """Opens the pages of a training's run, and checks that its report and the load of its machine are there."""
    page.goto(address)
    page.get_by_role("link", name="The report").wait_for()
    page.goto(f"{address}/artifacts/report.html")
    page.frame_locator("iframe").get_by_role("heading").first.wait_for()
    files = page.locator("[role=treeitem], .tree-node, li").all_inner_texts()
    assert [name for name in ("results", "report.html") if any(name in text for text in files)]
    page.screenshot(path=pictures / "artifacts.png")


def look_at_model(page: Page, address: str, workshop: Workshop, pictures: Path) -> None:
    """Opens the page of a model, and that of a version of it, and checks what they show."""
    ((model, run, experiment),) = workshop.query(
        "SELECT model_id, source_run_id, experiment_id FROM logged_models "
        "WHERE name = 'svd_rank_2' AND lifecycle_stage = 'active'"
    )
    # In a process of its own: this one may still hold a database of the same name that another test has removed.
    code = (
        "import sys; from tracking.registry import register;"
        "print(register('sqlite:///mlflow.db', 'tumor-unet', 'svd_rank_2', sys.argv[1], 'A description.'))"
    )
    version = workshop.call("python", "-c", code, run).stdout.split()[-1]
    page.goto(f"{address}/#/experiments/{experiment}/models/{model}")
    for shown in ("dice_lesion", "training.epochs", "tumor-unet"):
        page.get_by_text(shown).first.wait_for()
    page.screenshot(path=pictures / "model.png")
    page.goto(f"{address}/#/models/tumor-unet/versions/{version}")
    page.get_by_text("Inputs (1)").click()
    page.get_by_text("Tensor (dtype: uint8, shape: [-1,-1,-1,1])").wait_for()
    page.get_by_text("weights_bytes").wait_for()
    page.screenshot(path=pictures / "version.png")


def look(chromium: Browser, workshop: Workshop, variants: set[str], pictures: Path) -> None:
    """Opens the runs table, the compare page and the view of the comparison, and checks what they show."""
    ((experiment,),) = workshop.query("SELECT experiment_id FROM experiments WHERE name = 'arsvd_comparison'")
    page = chromium.new_page(viewport={"width": 2400, "height": 1200})  # cells at the edge may not be drawn
    page.set_default_timeout(SHOWN_MS)
    with mlflow_ui(workshop) as address:
        click_on_experiment(page, address)
        wait_for_runs(page, len(variants) + 1)
        page.screenshot(path=pictures / "runs.png")
        (parent, training), *children = shown_runs(page)
        assert parent.startswith("training data, 4 filters, seed 42, 32x32 gray, ")
        assert sorted(name for name, _ in children) == sorted(variants), "unfolded below the one training"
        expect(page.locator(MODEL_LINK)).to_have_count(len(variants), timeout=SHOWN_MS)
        look_at_training(page, f"{address}/#/experiments/{experiment}/runs/{training}", pictures)
        look_at_model(page, address, workshop, pictures)

        compare = f"compare-runs?runs={quoted([run for _, run in children])}&experiments={quoted([str(experiment)])}"
        page.goto(f"{address}/#/{compare}")
        page.get_by_text("Show diff only").first.wait_for()
        page.screenshot(path=pictures / "compare.png", full_page=True)
        page.set_viewport_size({"width": 4000, "height": 3000})  # columns out of sight are not drawn
        for name, entry in workshop.variants().items():
            for shown in (name, "dice", "latency_ms", as_shown(entry["info"]["latency_ms"])):
                page.wait_for_function("shown => document.body.innerText.split(/\\s+/).includes(shown)", arg=shown)
        assert f"Comparing {len(variants)} Runs" in page.inner_text("body")

        page.goto(f"{address}/#/experiments/{experiment}/runs")
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="The latest comparison").click()
        view = opened.value
        view.set_default_timeout(SHOWN_MS)
        wait_for_runs(view, len(variants))
        for column in ("dice", "dice_lesion", "size_mb", "time_ratio"):
            view.get_by_role("columnheader", name=column, exact=True).first.wait_for()
        view.get_by_role("button", name="Latest comparison").first.wait_for()  # of the menu "Views"
        view.screenshot(path=pictures / "view.png")
        assert sorted(name for name, _ in shown_runs(view)) == sorted(variants)
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="charts").click()
        opened.value.get_by_text("Trade-offs", exact=True).wait_for(timeout=SHOWN_MS)
        opened.value.screenshot(path=pictures / "charts.png")
    page.context.close()


@pytest.mark.parametrize(
    "case",
    [
        "a fresh run",
        "a cached run with one tau more",
        "the database was deleted",
    ],
)
def test_every_variant_is_shown_once_below_its_training(
    chromium: Browser, workshop: Workshop, case: str, tmp_path: Path
) -> None:
    variants, taus = set(TINY_VARIANTS), "0.5,0.8"
    if case != "a fresh run":
        taus = f"{taus},0.9"
        variants.add("arsvd_tau_0.9")
        if case == "the database was deleted":
            (workshop.root / "mlflow.db").unlink()
        workshop.run("--arsvd_taus", taus)
    pictures = Path(os.environ.get("SCREENSHOTS", tmp_path)) / case.replace(" ", "_")
    pictures.mkdir(parents=True, exist_ok=True)
    look(chromium, workshop, variants, pictures)
