"""The files to deploy in words, as a table, and on disk."""

import dataclasses
import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from analysis.comparison import Comparison
from models.deployment.records import ExportedFile, Exports, Measured
from models.evaluation.results import Latency
from reporting.exports import NOTHING, export_faults, export_sentences, exports_summary, print_exports, write_exports
from reporting.html.about import About
from reporting.html.report import render_report
from reporting.summary import to_json
from tests.comparisons import MACHINE

FAULT = "pt2 does not compute what svd_rank_16 does"


def made(lost: float = 0.0) -> Exports:
    latency = Latency(2.0, 0.5, 0.45, 0.55, MACHINE)
    found = Measured(0.25, 0.001, {"dice": 0.7, "dice_lesion": 0.75 - lost}, latency)
    return Exports(
        variant="svd_rank_16",
        metrics={"dice": 0.7, "dice_lesion": 0.75},
        latency=Latency(4.0, 1, 1, 1, MACHINE),
        formats=[
            ExportedFile("onnx_int8", "model_int8.onnx", 123_456, "any number of images", found),
            ExportedFile("pt2", "model.pt2", 200_000, "one image", None, FAULT),
        ],
        files={"model_int8.onnx": b"content", "monai_bundle/configs/metadata.json": b"{}"},
    )


def test_files_are_written_with_a_record_of_them(tmp_path: Path) -> None:
    write_exports(made(), tmp_path / "export")
    folder = tmp_path / "export" / "svd_rank_16"
    assert (folder / "model_int8.onnx").read_bytes() == b"content"
    assert (folder / "monai_bundle/configs/metadata.json").read_bytes() == b"{}"
    assert json.loads((folder / "export.json").read_text())["formats"][1]["fault"] == FAULT
    assert [file.name for file in (tmp_path / "export").iterdir()] == ["svd_rank_16"]


def test_a_record_is_strict_json_where_a_file_gives_no_numbers(tmp_path: Path) -> None:
    (measured, fault) = made().formats
    nothing = dataclasses.replace(measured.measured, max_difference=math.inf, metrics={"dice": math.nan})
    exports = dataclasses.replace(made(), formats=[dataclasses.replace(measured, measured=nothing), fault])
    write_exports(exports, tmp_path)
    written = json.loads((tmp_path / "svd_rank_16" / "export.json").read_bytes(), parse_constant=pytest.fail)
    assert written["formats"][0]["measured"]["max_difference"] is None
    again = Exports.from_dict(written)
    assert again.formats[0].measured.max_difference == math.inf
    assert math.isnan(again.formats[0].measured.metrics["dice"])


@pytest.mark.parametrize("later", [None, Exports(None), dataclasses.replace(made(), variant="baseline")])
def test_files_of_another_run_are_removed_and_those_of_others_left(tmp_path: Path, later: Exports | None) -> None:
    write_exports(made(), tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.onnx").write_bytes(b"of somebody")
    write_exports(later, tmp_path)
    expected = {"mine"} | ({later.variant} if later and later.variant else set())
    assert {file.name for file in tmp_path.iterdir()} == expected


def test_files_that_a_run_does_not_make_any_more_are_gone(tmp_path: Path) -> None:
    write_exports(made(), tmp_path)
    write_exports(dataclasses.replace(made(), files={"model.pt2": b"new"}), tmp_path)
    assert {file.name for file in (tmp_path / "svd_rank_16").iterdir()} == {"model.pt2", "export.json"}


def test_a_loss_above_what_is_tolerated_is_said_of_files_that_are_handed_out() -> None:
    assert export_sentences(made(0.005), 0.01) == [FAULT]
    fault, loss = export_sentences(made(0.02), 0.01)
    assert fault == FAULT
    assert loss.startswith("model_int8.onnx loses 0.0200 of svd_rank_16's Dice on the test images, more than the 0.01")


def test_nothing_recommended_is_a_fault() -> None:
    assert export_faults(Exports(None)) == [NOTHING]
    assert export_faults(None) == []
    assert export_faults(made(0.5)) == [FAULT]


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_names_files_and_what_was_measured(results, width: int) -> None:
    text = io.StringIO()
    print_exports(made(0.02), Comparison(results), Console(file=text, width=width))
    line = next(line for line in text.getvalue().splitlines() if line.startswith("model_int8.onnx"))
    assert line.split() == ["model_int8.onnx", "0.12", "0.7300", "0.2", "0.1", "%", "2.0", "0.50"]
    own = next(line for line in text.getvalue().splitlines() if line.startswith("(PyTorch)"))
    assert own.split() == ["(PyTorch)", "0.77", "0.7500", "4.0", "1.00"]
    assert "(pt2)" in text.getvalue()
    assert "0.7500" in text.getvalue()
    assert FAULT in text.getvalue()


def test_the_summary_holds_all_that_was_measured(results) -> None:
    found = json.loads(to_json(exports_summary(made(0.02), Comparison(results))))
    assert found["variant"] == "svd_rank_16"
    assert found["formats"][0]["measured"]["latency"]["ratio"] == 0.5
    assert len(found["notes"]) == 2


def test_the_report_has_a_section_where_files_were_made(results, history) -> None:
    about = About(history, {}, {}, {})
    assert b"Files to deploy" not in render_report(Comparison(results), about, {})
    page = render_report(Comparison(results), dataclasses.replace(about, exports=made()), {}).decode()
    section = page[page.index("Files to deploy") :]
    assert ">0.77<" in section, "the megabytes of the network's own weights file"
    assert all(text in section for text in ("model_int8.onnx", "pt2: not handed out", "0.45 to 0.55", FAULT))
    nothing = render_report(Comparison(results), dataclasses.replace(about, exports=Exports(None)), {}).decode()
    assert NOTHING in nothing
