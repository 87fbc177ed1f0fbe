"""What a log says within long epochs: how much is left, and never much of it."""

import logging
import re
import sys
import types

import pytest

from models.training import fit as training
from models.training.time_left import TimeLeft, rough
from tests.models.training.small_training import OPTIONS, train


def lines_of(seconds_a_batch: float, batches: int, caplog: pytest.LogCaptureFixture, **given: object) -> list[str]:
    """What is logged in an epoch of so many batches; the second of four epochs."""
    clock = [0.0]
    trainer = types.SimpleNamespace(
        **{"is_global_zero": True, "current_epoch": 1, "max_epochs": 4, "num_training_batches": batches, **given}
    )
    caplog.set_level(logging.INFO, "models")
    callback = TimeLeft(clock=lambda: clock[0])
    callback.on_train_epoch_start(trainer, None)
    for batch in range(batches):
        clock[0] += seconds_a_batch
        callback.on_train_batch_end(trainer, None, None, None, batch)
    return caplog.messages


def test_a_long_epoch_says_how_much_is_left_of_it_and_of_the_training(caplog: pytest.LogCaptureFixture) -> None:
    first, *_ = lines_of(10, 60, caplog)
    assert first == "epoch 2/4: 6 of 60 batches, about 9 min left of it, 29 min of the training"


def test_short_epochs_are_not_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    assert lines_of(0.5, 100, caplog) == []


@pytest.mark.parametrize(("seconds", "batches"), [(10, 60), (60, 600), (3600, 20), (1, 1000)])
def test_an_epoch_has_ten_lines_at_most_and_the_last_batch_none(
    caplog: pytest.LogCaptureFixture, seconds: float, batches: int
) -> None:
    lines = lines_of(seconds, batches, caplog)
    assert 5 <= len(lines) <= 10
    assert not any(f"{batches} of {batches}" in line or "\r" in line for line in lines)


def test_other_processes_and_terminals_have_no_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lines_of(10, 60, caplog, is_global_zero=False) == []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert lines_of(10, 60, caplog) == []


def test_a_training_calls_it(tmp_path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "TimeLeft", lambda: TimeLeft(seconds=0))
    caplog.set_level(logging.INFO, "models")
    train(tmp_path, OPTIONS)
    within = [line for line in caplog.messages if "left of it" in line]
    assert all(re.match(r"epoch \d/4: 1 of 2 batches, about ", line) for line in within)
    assert {line[:9] for line in within} == {f"epoch {number}/4" for number in (1, 2, 3, 4)}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *(
            (0.2, "1 s"),
            (59.4, "59 s"),
            (59.6, "1 min"),
            (60, "1 min"),
            (3540, "59 min"),
            (3600, "1 h"),
            (4200, "1 h 10 min"),
        ),
        *((7140, "2 h"), (3599, "1 h"), (36_000, "10 h"), (39_000, "11 h"), (360_000, "100 h")),
    ],
)
def test_durations_are_as_exact_as_an_estimate_is(seconds: float, said: str) -> None:
    assert rough(seconds) == said
