"""Measures the report: bytes of the file, and the time until a browser has opened it and can be used.

The images are phantoms, the masks those of variants that err more and more; both are as large and as varied as real
ones, and every picture of a run is drawn. Time is Chromium's own, from the start of the navigation: until the answer is
painted, until table and image browser react, and until the first chart is drawn. The medians of several openings count.

    python benchmarks/report_size.py
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, sync_playwright  # noqa: E402

from analysis.comparison import Comparison  # noqa: E402
from benchmarks.pages import machine, write_result, write_section  # noqa: E402
from reporting.html.about import About  # noqa: E402
from reporting.html.report import render_report  # noqa: E402
from reporting.plots.draw import Shown, draw_all  # noqa: E402
from tests.seen_images import comparison_of  # noqa: E402

SIZES = ((200, 15), (1_000, 40))
_PATIENCE = 120_000  # milliseconds
_TIMES = """() => new Promise((done) => {
  const at = {};
  const look = () => {
    const root = document.documentElement;
    if (root.dataset.ready && !at.usable) at.usable = Number(root.dataset.ready);
    const chart = document.querySelector("#chart-tradeoff[data-drawn]");
    if (chart) {
      at.charts = Number(chart.dataset.drawn);
      at.answer = performance.getEntriesByName("first-contentful-paint")[0].startTime;
      done(at);
    } else setTimeout(look, 20);
  };
  look();
})"""


def main() -> None:
    """Runs the benchmark and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "load": round(os.getloadavg()[0]), "reports": []}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for images, variants in SIZES:
            file = Path(folder) / f"{images}.html"
            made = write_report(file, images, variants, arguments.image_size)
            result["reports"].append(made | opened(browser, file, arguments.rounds))
            print(json.dumps(result["reports"][-1]))
        browser.close()
    if not arguments.dry_run:
        write_result("report_size", result)
        write_section("performance.md", "report_size", table(result))


def write_report(file: Path, images: int, variants: int, size: int) -> dict[str, Any]:
    """Writes a report, and returns what it is of and how large it has become."""
    results, seen = comparison_of(images, variants, size)
    comparison = Comparison(results)
    samples = [{"file_name": f"image_{row:05d}.png"} for row in range(images)]
    manifest = {"splits": {"test": {"images": images, "samples": samples}}, "image_size": [size, size]}
    epochs = [{"epoch": at, "train_loss": 1 / at, "valid_loss": 1 / at, "valid_dice": 1 - 1 / at} for at in (1, 2, 3)]
    pictures = draw_all(Shown(comparison, [{"epochs": epochs}]))
    start = time.perf_counter()
    page = render_report(comparison, About({"epochs": epochs}, manifest, {}, {}), pictures, seen)
    seconds = time.perf_counter() - start
    file.write_bytes(page)
    held = page.count(b"data:image/webp")
    return {
        "images": images,
        "variants": variants,
        "image_size": size,
        "bytes": len(page),
        "pictures_held": held - 3,  # but those of the first screen
        "seconds_to_write": round(seconds, 1),
    }


def opened(browser: Browser, file: Path, rounds: int) -> dict[str, int]:
    """Returns milliseconds until the answer is seen, the page can be used, and the first chart is there."""
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(_PATIENCE)
        page.goto(file.as_uri(), wait_until="load", timeout=_PATIENCE)
        found.append(page.evaluate(_TIMES))
        page.close()
    return {
        f"{name}_ms": round(statistics.median(each[name] for each in found)) for name in ("answer", "usable", "charts")
    }


def table(result: dict[str, Any]) -> list[str]:
    """Returns the section of the documentation."""
    rows = [
        f"| {each['images']:,} of {each['image_size']} x {each['image_size']}, {each['pictures_held']:,} in the page | "
        f"{each['variants']} | {each['bytes'] / 1e6:.1f} | {each['seconds_to_write']:.0f} | "
        f"{each['answer_ms'] / 1e3:.1f} | {each['usable_ms'] / 1e3:.1f} | {each['charts_ms'] / 1e3:.1f} |"
        for each in result["reports"]
    ]
    return [
        f"{result['machine']['device']}, Chromium; the machine's load was {result['load']} on {os.cpu_count()} cores.",
        "",
        "| test images | variants | MB | s to write | s until the answer | s until it can be used | s until charts |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *rows,
    ]


if __name__ == "__main__":
    main()
