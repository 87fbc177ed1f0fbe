"""What all benchmarks share: how results become files and sections of the documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from models.evaluation.latency import this_machine

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DOCS = ROOT / "docs"


def machine(device: str = "cpu") -> dict[str, Any]:
    """Returns what measurements on a device depend on: its name, the number of threads, versions."""
    measured_on = this_machine(device, torch.get_num_threads())
    return {"device": measured_on.device, "threads": measured_on.threads, "torch": torch.__version__}


def write_result(name: str, result: dict[str, Any]) -> None:
    """Writes a benchmark's figures to `results/<name>.json`."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def read_result(name: str) -> dict[str, Any]:
    """Returns the figures that an earlier run wrote; none if there was none."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def write_section(page: str, name: str, lines: list[str]) -> None:
    """Replaces the text between `<!-- name -->` and `<!-- end name -->` in a page of the documentation.

    Raises:
        ValueError: If the page has not each of these marks once.
    """
    file, start, end = DOCS / page, f"<!-- {name} -->", f"<!-- end {name} -->"
    text = file.read_text(encoding="utf-8")
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"{file} needs the marks {start} and {end}, once each: put them where the section shall stand")
    before, rest = text.split(start)
    file.write_text("\n".join([f"{before}{start}", *lines, f"{end}{rest.split(end)[1]}"]), encoding="utf-8")
