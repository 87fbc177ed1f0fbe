"""What is no plain file in the data set's folder: unreadable, a pipe, a device, a folder, a link that leads out."""

import errno
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from dataset.ingest import ingest
from dataset.layout import ANNOTATION_FILE
from dataset.sources.local_folder import read_file
from tests.dataset.coco_folder import noise, options, png, read_image


@pytest.fixture(autouse=True)
def _ends_in_time():
    """Ends the process where a test hangs."""
    signal.alarm(30)
    yield
    signal.alarm(0)


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "stored"


def complaint(root, out) -> str:
    with pytest.raises(DatasetError) as caught:
        ingest(root, out, options())
    return str(caught.value)


def make_socket(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path is limited to 108 bytes
    try:
        server.bind(path.name)
    finally:
        os.chdir(here)
        server.close()


SPECIAL = {"a pipe": os.mkfifo, "a folder": os.mkdir, "a socket": make_socket}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", ["first.png", ANNOTATION_FILE])
def test_special_file_is_refused_by_its_kind_and_stops_no_fingerprint(coco, out, kind, name):
    path = coco.write() / "train" / name
    path.unlink()
    SPECIAL[kind](path)
    fingerprint(coco.root)
    message = complaint(coco.root, out)
    assert f"cannot be read (it is {kind}, no file)" in message
    assert name in message


def test_device_is_refused():
    with pytest.raises(OSError, match="it is a device, no file"):
        read_file(Path("/dev/zero"))


def test_image_file_of_more_bytes_than_any_allowed_image_is_not_read(coco, out):
    path = coco.write() / "train" / "first.png"
    with path.open("r+b") as file:
        file.truncate(2**29 + 2**20)  # sparse: takes no room
    assert "it has 513 MB, more than 512 MB" in complaint(coco.root, out)


def forbid(monkeypatch, function: str, name: str) -> None:
    """Lets a function of `os` or `Path` fail for paths of this name, as it does for users who are not root."""
    owner = Path if hasattr(Path, function) and function != "scandir" else os
    real = getattr(owner, function)

    def refuse(path=".", *arguments, **more):
        if Path(path).name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *arguments, **more)

    monkeypatch.setattr(owner, function, refuse)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("scandir", "data"),  # the data set itself
        ("scandir", "train"),
        ("scandir", "sub"),
        ("stat", "valid"),
        ("stat", "first.png"),
        ("open", "first.png"),
        ("open", ANNOTATION_FILE),
    ],
)
def test_fingerprint_stops_at_what_may_not_be_read(coco, monkeypatch, function, name):
    coco.image("train", "sub/a.png", png(noise(16, 16, 5)))
    coco.write()
    forbid(monkeypatch, function, name)
    with pytest.raises(DatasetError, match=rf"{name} cannot be read \(Permission denied\)"):
        fingerprint(coco.root)


def test_fingerprint_names_all_that_may_not_be_read(coco, monkeypatch):
    coco.write()
    forbid(monkeypatch, "open", "first.png")
    with pytest.raises(DatasetError, match="3 problems") as caught:
        fingerprint(coco.root)
    assert all(f"{split}/first.png cannot be read" in str(caught.value) for split in coco.content)


@pytest.mark.parametrize(
    ("function", "name"), [("scandir", "data"), ("stat", "train"), ("open", "first.png"), ("open", ANNOTATION_FILE)]
)
def test_ingest_names_what_may_not_be_read(coco, out, monkeypatch, function, name):
    coco.write()
    forbid(monkeypatch, function, name)
    message = complaint(coco.root, out)
    assert name in message
    assert "cannot be read (Permission denied)" in message


def test_split_folder_that_is_a_link_to_itself_is_missing(coco, out):
    shutil.rmtree(coco.write() / "valid")
    (coco.root / "valid").symlink_to(coco.root / "valid")
    fingerprint(coco.root)
    assert "with no folder valid" in complaint(coco.root, out)


def test_what_else_lies_beside_the_splits_need_not_be_readable(coco, out, monkeypatch):
    (coco.write() / "odd").mkdir()
    forbid(monkeypatch, "stat", "odd")
    fingerprint(coco.root)
    ingest(coco.root, out, options())
    shutil.rmtree(coco.root / "valid")
    assert "with no folder valid (found: odd, test, train)" in complaint(coco.root, out.with_name("other"))


def test_split_that_is_a_file_is_missing(coco, out):
    shutil.rmtree(coco.write() / "valid")
    (coco.root / "valid").write_text("")
    assert "with no folder valid (found: test, train)" in complaint(coco.root, out)


@pytest.mark.parametrize("target", ["file", "folder", "relative", "missing"])
def test_link_that_leads_out_is_refused(coco, out, tmp_path, target):
    coco.image("train", "sub/a.png" if target == "folder" else "a.png", None)
    coco.write()
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "a.png").write_bytes(png(noise(16, 16, 3)))
    link = {"file": "a.png", "folder": "sub", "relative": "a.png", "missing": "a.png"}[target]
    to = {"file": tmp_path / "away" / "a.png", "folder": tmp_path / "away", "relative": Path("../../away/a.png")}
    (coco.root / "train" / link).symlink_to(to.get(target, tmp_path / "none.png"))
    message = complaint(coco.root, out)
    assert "a.png (image 2): the file is a link that leads out of the data set's folder: copy the image" in message


def test_annotation_file_that_leads_out_is_refused(coco, out, tmp_path):
    path = shutil.move(coco.write() / "train" / ANNOTATION_FILE, tmp_path / "away.json")
    (coco.root / "train" / ANNOTATION_FILE).symlink_to(path)
    assert f"{ANNOTATION_FILE} is a link that leads out" in complaint(coco.root, out)


def test_links_within_the_data_set_and_linked_split_folders_are_read(coco, out, tmp_path):
    coco.image("train", "other.png", None)
    coco.image("valid", "own.png", None)
    coco.image("valid", "deep/first.png", None)
    (coco.write() / "store").mkdir()
    (coco.root / "store" / "x.png").write_bytes(png(noise(16, 16, 8)))
    (coco.root / "train" / "other.png").symlink_to("../store/x.png")
    shutil.move(coco.root / "valid", tmp_path / "valid_elsewhere")
    (coco.root / "valid").symlink_to(tmp_path / "valid_elsewhere")
    (coco.root / "valid" / "own.png").symlink_to("first.png")
    (coco.root / "valid" / "deep").symlink_to(tmp_path / "valid_elsewhere")
    (tmp_path / "link").symlink_to(coco.root)
    stored = ingest(tmp_path / "link", out, options())
    assert stored["train"].file_names == ["first.png", "other.png"]
    assert len(stored["valid"]) == 3


def test_image_that_is_a_link_to_itself_is_refused(tmp_path):
    (tmp_path / "a.png").symlink_to("a.png")
    with pytest.raises(ValueError, match="Too many levels of symbolic links"):
        read_image(tmp_path / "a.png", 4, 4, 1)
