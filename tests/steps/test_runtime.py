"""What a training takes of its machine is kept, and is never in its way."""

from typing import Any

import pytest

from steps import runtime


def test_what_a_training_took_is_kept_with_its_artifact(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[dict[str, Any]] = []
    monkeypatch.setattr(runtime, "log_metadata", lambda **given: kept.append(given))
    with runtime.watched("train_history"):
        pass
    assert kept == [{"metadata": {"machine_load": {}}, "artifact_name": "train_history", "infer_artifact": True}]


def test_a_training_does_not_fail_because_zenml_does_not_keep_what_it_took(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**given: object) -> None:
        raise RuntimeError("the server is away")

    monkeypatch.setattr(runtime, "log_metadata", refuse)
    with runtime.watched("train_history"):
        pass
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "RuntimeError: the server is away" in capsys.readouterr().err


def test_an_error_of_the_training_itself_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "log_metadata", lambda **given: pytest.fail("nothing is kept of a failed training"))
    with pytest.raises(RuntimeError, match="diverged"), runtime.watched("train_history"):
        raise RuntimeError("diverged")
