"""The fuzzer finds nothing in a few hundred cases, and does find what is planted; the long run is `tests.fuzz`."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from dataset.errors import DatasetError
from dataset.images.masks import DrawnMask
from tests.fuzz import __main__ as command
from tests.fuzz import judging
from tests.fuzz.annotations import odd_values
from tests.fuzz.judging import Case, Outcome, run_case
from tests.fuzz.running import Tally, Worker, fuzz

CASES = [Case("annotations", number) for number in range(200)] + [Case("folders", number) for number in range(100)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> list[Outcome]:
    place = tmp_path_factory.mktemp("fuzz")
    worker = Worker()
    found = [worker.run(case, place / f"{case.part}-{case.number}") for case in CASES]
    worker.close()
    return found


def test_random_damage_ends_in_a_result_or_a_refusal(outcomes):
    assert [(case, each.finding) for case, each in zip(CASES, outcomes, strict=True) if each.finding] == []


def test_both_ends_occur_and_many_kinds_of_refusal(outcomes):
    assert sum(not each.refusals for each in outcomes) > 50
    assert len({kind for each in outcomes for kind in each.refusals}) > 50


def test_same_number_gives_the_same_folder_whatever_ran_before(tmp_path):
    cases = [Case(part, number) for part in judging.BUILDERS for number in range(40)]
    options: dict[str, dict[Case, object]] = {"a": {}, "b": {}}
    for name, order in (("a", cases), ("b", cases[::-1])):
        odd_values.cache_clear()
        for case in order:
            place = tmp_path / name / f"{case.part}{case.number}" / "data"
            options[name][case] = judging.BUILDERS[case.part](place, case.number)
    assert options["a"] == options["b"]
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) > 200
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_values_are_drawn_the_same_again():
    first = repr(odd_values(7))
    odd_values.cache_clear()
    assert repr(odd_values(7)) == first


def plant(monkeypatch, reader) -> None:
    monkeypatch.setattr(judging, "fingerprint", reader)


def planted_key_error(*_):
    raise KeyError("planted")


def planted_long_message(*_):
    raise DatasetError("x" * 30_000)


def planted_control_character(*_):
    raise DatasetError("a\x1b[31mb")


def planted_leak(root: Path, *_):
    (root.parent / "stored" / ".dataset.partial").mkdir(parents=True)
    raise DatasetError("bad")


def planted_delay(*_):
    time.sleep(0.2)
    raise DatasetError("bad")


@pytest.mark.parametrize(
    ("bug", "message"),
    [
        (planted_key_error, "KeyError: 'planted'"),
        (planted_long_message, "the message is too long"),
        (planted_control_character, "control characters"),
        (planted_leak, "left behind: ['.dataset.partial']"),
        (planted_delay, "it took 0.2 s"),
    ],
)
def test_planted_bug_is_found_and_its_folder_kept(tmp_path, monkeypatch, bug, message):
    plant(monkeypatch, bug)
    monkeypatch.setattr(judging, "SECONDS", 0.15)
    outcome = run_case(Case("folders", 0), tmp_path / "case")
    assert message in str(outcome.finding)
    assert (tmp_path / "case" / "data").is_dir()


def test_wrong_mask_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "dataset.ingest.draw_mask", lambda shapes, size, stored: DrawnMask(np.full(stored, 9, np.uint8), 0, 0)
    )
    found = [run_case(Case("annotations", number), tmp_path / str(number)).finding for number in range(30)]
    assert any("wrong result: train has label 9" in str(text) for text in found)


def planted_run(case: Case, place: Path) -> Outcome:
    """Hangs, dies, grows, or does well, by the number; runs in the worker's process."""
    if case.number == 1:
        time.sleep(60)
    if case.number == 2:
        os.abort()
    return Outcome(("kind",), "it took 2000 MB" if case.number == 3 else None, 0.1, 2000 if case.number == 3 else 100)


def test_hanging_and_dying_processes_are_found_and_replaced(tmp_path, capfd):
    worker, tally = Worker(planted_run, patience=5.0), Tally()
    fuzz("folders", range(6), 60.0, tmp_path, worker, tally)
    worker.close()
    assert [case.number for case, _ in tally.findings] == [1, 2, 3]
    assert "hung for more than 5 s" in tally.findings[0][1]
    assert "died (exit code -6)" in tally.findings[1][1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folders-1", "folders-2", "folders-3"]
    assert "repeat: python -m tests.fuzz --case folders 2" in capfd.readouterr().out


@pytest.mark.parametrize(("planted", "status"), [(True, 1), (False, 0)])
def test_command_ends_with_status_1_after_a_finding(tmp_path, monkeypatch, capsys, planted, status):
    class Direct:
        """Runs in this process, where a bug can be planted."""

        def run(self, case, place):
            return run_case(case, place)

        def close(self):
            pass

    monkeypatch.setattr(command, "Worker", Direct)
    monkeypatch.setattr(judging, "MEGABYTES", 10**6)  # this process has run other tests
    if planted:
        plant(monkeypatch, planted_key_error)
    assert command.main(["--minutes", "0", "--folders", "2", "--keep", str(tmp_path)]) == status
    assert ("repeat: python -m tests.fuzz --case folders 0" in capsys.readouterr().out) is planted
    assert bool(list(tmp_path.iterdir())) is planted
