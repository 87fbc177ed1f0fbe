"""What a person sees of a run."""

import json
import logging
from pathlib import Path

import pytest

from configs.schema import RunConfig
from pipelines.execution import final_output
from pipelines.execution.console import StepMessages


def record(name: str, message: str, *arguments: object, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord(name, level, "file", 1, message, arguments, None)


@pytest.mark.parametrize(
    ("name", "message", "line"),
    [
        ("zenml.orchestrators", "Step `train_unet` has finished in `2m9s`.", "train_unet                   2m9s"),
        ("zenml.orchestrators", "Using cached version of step `decompose`.", "decompose                    cached"),
        ("models.training.checkpoints", "epoch 1/2: train loss 0.5", "epoch 1/2: train loss 0.5"),
        ("zenml.client", "Using user: `default`", None),
        ("other", "chatter", None),
    ],
)
def test_steps_and_epochs_are_lines_and_chatter_is_none(
    capsys: pytest.CaptureFixture[str], name: str, message: str, line: str | None
) -> None:
    StepMessages(verbose=False).emit(record(name, message))
    assert capsys.readouterr().err == ("" if line is None else f"{line}\n")


def test_a_line_of_a_training_names_its_step(capsys: pytest.CaptureFixture[str]) -> None:
    messages = StepMessages(verbose=False)
    for step in ("train_unet", "train_unet_filters_8_distilled"):
        messages.emit(record("zenml.orchestrators.step_launcher", f"Step `{step}` has started."))
        messages.emit(record("models.training.checkpoints", "epoch 1/2: train loss 0.5"))
    assert capsys.readouterr().err.splitlines() == [
        "train_unet                   epoch 1/2: train loss 0.5",
        "train_unet_filters_8_distilled epoch 1/2: train loss 0.5",
    ]


def test_errors_of_other_libraries_are_never_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    StepMessages(verbose=False).emit(record("other", "disk on fire", level=logging.ERROR))
    assert "disk on fire" in capsys.readouterr().err


def test_the_error_of_a_failed_step_is_kept() -> None:
    messages = StepMessages(verbose=False)
    failed = record(
        "zenml.orchestrators.local.local_orchestrator", "Step %s failed.", "train_unet", level=logging.ERROR
    )
    cause = ValueError("why")
    failed.exc_info = (ValueError, cause, None)
    messages.emit(failed)
    assert messages.failures == [("train_unet", cause)]


def test_warnings_and_notes_about_the_data_are_a_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = {"warnings": ["class 'edema' has no object in train"], "notes": ["iscrowd is null (4 times)"]}
    (tmp_path / "dataset_manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(final_output, "print_comparison", lambda *_: None)
    monkeypatch.setattr(final_output, "_places", lambda *_: {})
    final_output.print_results(RunConfig(out_dir=tmp_path), tmp_path, None, "")
    assert capsys.readouterr().out.split("\n") == [
        "warning: class 'edema' has no object in train",
        "note: iscrowd is null (4 times)",
        "",
        "",
    ]
