"""Training on several devices, here two processes on the CPU: one result, whole epochs, and no waiting for the dead."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch import nn
from torch.multiprocessing.spawn import start_processes

from models.networks.imports import module_of_file
from models.training.batches import Batches
from models.training.checkpoints import LAST_CHECKPOINT
from models.training.fit import fit
from models.training.multiprocess import ProcessLostError, check_devices, run_together
from models.training.options import TrainingError
from tests.models.networks.forgetting import forget
from tests.models.training.process_work import (
    Unreadable,
    end_without_a_word,
    fail_in_an_unexpected_way,
    fail_with_a_long_text,
    fail_with_an_own_error,
    interrupt_parent,
    sleep,
)
from tests.models.training.small_training import OPTIONS, PLAIN, VALID, Split, make_split, same_weights, train

pytestmark = pytest.mark.usefixtures("one_thread")

TWO = dataclasses.replace(OPTIONS, devices=2)


@dataclasses.dataclass
class Watched:
    """Images that write down who reads which, or end the process that reads them after the first epoch."""

    array: np.ndarray
    folder: Path
    deadly: bool = False
    dtype = np.dtype(np.uint8)

    @property
    def ndim(self):
        return self.array.ndim

    @property
    def shape(self):
        return self.array.shape

    def __len__(self):
        return len(self.array)

    def __getitem__(self, indices):
        rank = os.environ["RANK"]
        if self.deadly and rank == "1" and (self.folder / LAST_CHECKPOINT).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        with (self.folder / f"read by {rank}").open("a") as file:
            file.write(" ".join(map(str, indices)) + "\n")
        return self.array[indices]


@pytest.mark.parametrize(("images", "size", "processes"), [(9, 4, 2), (10, 4, 2), (23, 6, 3), (2, 2, 2), (5, 2, 2)])
def test_processes_share_the_batches_of_one(images, size, processes):
    ranks = [Batches(images, size, 0, rank, processes) for rank in range(processes)]
    for batches in zip(*ranks, strict=True):
        assert all(batches)
        assert max(map(len, batches)) - min(map(len, batches)) <= 1
    read = [index for rank in ranks for batch in rank for index in batch]
    assert sorted(read) == list(range(images))
    one = Batches(images, size, 0)
    if len(one) == len(ranks[0]):
        assert [sorted(itertools.chain(*shares)) for shares in zip(*ranks, strict=True)] == list(one)


def test_every_image_counts_alike_in_the_mean_over_processes():
    ranks = [Batches(9, 4, 0, rank, 2) for rank in range(2)]
    for number, shares in enumerate(zip(*ranks, strict=True)):
        counted = [rank.weight(number) / len(share) for rank, share in zip(ranks, shares, strict=True)]
        assert counted[0] == pytest.approx(counted[1])
        assert sum(rank.weight(number) for rank in ranks) == pytest.approx(2)


def test_two_processes_train_as_one_does_and_read_each_image_once_an_epoch(tmp_path, caplog):
    """Without BatchNorm and dropout, which see a share at a time, up to the order of sums."""
    split, options = make_split(12, 0), dataclasses.replace(TWO, epochs=3, augment="none")
    found = Split(Watched(split.images, tmp_path), split.masks)
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))]
    networks.append(copy.deepcopy(networks[0]))
    with caplog.at_level(logging.INFO):
        together = fit(networks[0], found, VALID, PLAIN, options, classes=1, checkpoint_dir=tmp_path, device="cpu")
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    options = dataclasses.replace(options, devices=1)
    alone = fit(networks[1], split, VALID, PLAIN, options, classes=1, checkpoint_dir=tmp_path / "one", device="cpu")
    for one, other in zip(together.epochs, alone.epochs, strict=True):
        for key in ("train_loss", "valid_loss", "valid_dice", "valid_iou"):
            assert getattr(one, key) == pytest.approx(getattr(other, key), abs=1e-5)
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
    read = [[[*map(int, line.split())] for line in (tmp_path / f"read by {rank}").open()] for rank in range(2)]
    assert [len(batches) for batches in read] == [3 * 3, 3 * 3]
    for epoch in range(3):
        batches = itertools.chain(*(rank[3 * epoch : 3 * epoch + 3] for rank in read))
        assert sorted(itertools.chain(*batches)) == list(range(12))


@pytest.mark.slow
def test_a_killed_process_ends_all_with_a_message_and_the_same_again_goes_on(tmp_path):
    split = make_split(12, 0)
    with pytest.raises(TrainingError, match=r"process 2 of 2 .* ended by SIGKILL .* goes on from the last whole epoch"):
        train(tmp_path, TWO, train=Split(Watched(split.images, tmp_path, deadly=True), split.masks))
    network, result = train(tmp_path, TWO, train=split)
    whole, expected = train(tmp_path / "whole", TWO, train=split)
    assert [record.valid_dice for record in result.epochs] == [record.valid_dice for record in expected.epochs]
    assert same_weights(network, whole)


@pytest.mark.slow
def test_what_one_process_refuses_is_told_as_if_there_were_one(tmp_path):
    masks = make_split(12, 0).masks
    masks[5, 2, 2] = 7
    with pytest.raises(ValueError, match="mask of image 5 holds label 7; with 2 labels give 0 to 1"):
        train(tmp_path, TWO, train=Split(make_split(12, 0).images, masks))


def test_an_interrupt_ends_all_processes():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore interrupts
    try:
        with pytest.raises(KeyboardInterrupt):
            run_together(interrupt_parent, None, 2)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_start_that_fails_half_way_leaves_no_process_running(monkeypatch):
    start, started = SpawnProcess.start, []

    def fail_at_the_second(process):
        if started:
            raise KeyboardInterrupt
        start(process)
        started.append(process)

    monkeypatch.setattr(SpawnProcess, "start", fail_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_together(sleep, None, 2)
    alive = [process for process in started if process.is_alive()]
    for process in alive:
        process.kill()
    assert len(started) == 1
    assert not alive


START = """
import pathlib, sys
from models.training.multiprocess import run_together
from tests.models.training.process_work import note_and_sleep
run_together(note_and_sleep, pathlib.Path(sys.argv[1]), 2)
"""


def is_alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_processes_end_with_their_parent_however_it_ends(tmp_path):
    with subprocess.Popen([sys.executable, "-c", START, tmp_path], cwd=Path(__file__).parents[3]) as parent:
        notes = [tmp_path / f"pid of {rank}" for rank in range(2)]
        while not all(note.exists() and note.read_text() for note in notes):
            assert parent.poll() is None
            time.sleep(0.1)
        children = [int(note.read_text()) for note in notes]
        assert all(map(is_alive, children))
        parent.kill()
    end = time.monotonic() + 30
    while any(map(is_alive, children)):
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def limited():
    """Fails a test that waits forever."""

    def stop(*_):
        raise AssertionError("still waiting after two minutes")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files, in this process and in those it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_an_unexpected_error_ends_all_processes_with_its_traceback_and_leaves_no_file(temporary):
    with pytest.raises(RuntimeError, match="KeyError: 'name'") as caught:
        run_together(fail_in_an_unexpected_way, None, 2)
    assert "in fail_in_an_unexpected_way" in str(caught.value.__cause__)
    assert list(temporary.rglob("*")) == []


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    ("work", "job", "error", "message"),
    [
        (sleep, Unreadable(), RuntimeError, "^LookupError: no such data$"),
        (fail_with_a_long_text, None, ValueError, r"^too long .* \(180000 bytes in all\)$"),
        (fail_with_an_own_error, None, OSError, r"^\[Errno 5\] the disk of images is gone: 'images.npy'$"),
    ],
)
def test_an_error_reaches_the_parent_wherever_and_whatever_it_is(work, job, error, message):
    with pytest.raises(error, match=message) as caught:
        run_together(work, job, 2)
    assert len(str(caught.value)) < 11_000
    assert "Traceback" in str(caught.value.__cause__)


@pytest.mark.usefixtures("limited")
def test_a_process_that_ends_without_a_word_is_named_and_no_file_of_others_is_read(temporary, monkeypatch):
    def plant(*arguments):
        context = start_processes(*arguments)
        for file in context.error_files:
            Path(file).write_bytes(pickle.dumps("planted"))
        return context

    monkeypatch.setattr("models.training.multiprocess.start_processes", plant)
    with pytest.raises(ProcessLostError, match=r"process [12] of 2 that train together ended with status 3") as caught:
        run_together(end_without_a_word, None, 2)
    assert "planted" not in str(caught.value.__cause__)


def test_more_devices_than_images_or_than_there_are_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"^valid: 1 images cannot be shared by 2 devices"):
        train(tmp_path, TWO, valid=Split(VALID.images[:1], VALID.masks[:1]))
    with pytest.raises(ValueError, match="batch_size is 1 and devices 2"):
        dataclasses.replace(TWO, batch_size=1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match="devices is 2 and there are 1 CUDA devices"):
        check_devices("cuda", 2)
    with pytest.raises(ValueError, match="without a number"):
        check_devices("cuda:1", 2)


def test_modules_beside_the_file_of_a_network_are_found_in_each_process(tmp_path: Path) -> None:
    file = tmp_path / "beside_of_a_test.py"
    file.write_text("def note(folder, rank):\n    (folder / f'rank {rank}').touch()\n")
    try:
        run_together(module_of_file(file).note, tmp_path, 2)
    finally:
        forget(tmp_path)
    assert {each.name for each in tmp_path.glob("rank *")} == {"rank 0", "rank 1"}
