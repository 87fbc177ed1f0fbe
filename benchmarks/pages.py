"""What all benchmarks share: how results become files and sections of the documentation."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
DOCS = ROOT / "docs"


def machine(device: str = "cpu") -> dict[str, Any]:
    """Returns what measurements on a device depend on: its name, the number of threads, versions."""
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__}


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


def _processor() -> str:
    """Returns the name of the processor, from Linux."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
