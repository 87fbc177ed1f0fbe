"""What a checkpoint's file must be before it is worth reading: told by its first bytes and its table of contents.

Imports no torch, so that a wrong file is told before that takes seconds.
"""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"  # how torch.save begins: now, and before PyTorch 1.6
_SAFETENSORS = b"\0\0\0{"  # from the sixth byte on: the end of the header's length, 8 bytes, and the header
_TORCH_CONTENT = "data.pkl"  # in the zip
_SHOWN = 3  # files in a message


class CheckpointError(ValueError):
    """A file is missing, or does not hold a network that can be loaded."""


def check_checkpoint_file(file: Path) -> None:
    """Checks that a file is a checkpoint by its kind, whatever network it holds.

    A `.safetensors` file must have a header that fits its size. Any other must begin as `torch.save` begins: a zip with
    its pickle in it, or the pickle alone.

    Raises:
        CheckpointError: It is missing, no plain file, unreadable, empty, cut off or of another format.
    """
    try:
        _check_plain(file)
        with file.open("rb") as stream:
            begin = stream.read(9)
        if not begin:
            raise CheckpointError(f"{file} is empty; save or copy the checkpoint again")
        _check_format(file, begin)
    except OSError as error:
        raise unreadable(file, error) from error


def unreadable(file: Path, error: OSError) -> CheckpointError:
    """Returns the error for a file that cannot be read."""
    return CheckpointError(f"{file} cannot be read: {error.strerror or error}; check --checkpoint")


def damaged(file: Path, reason: object) -> CheckpointError:
    """Returns the error for a file whose content is not what its name or its first bytes say."""
    return CheckpointError(f"{file} is damaged, or no such file as its name says: {reason}")


def _check_plain(file: Path) -> None:
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(f"{file} is no file; check --checkpoint") from error
    if stat.S_ISDIR(mode):
        inside = sorted(each.name for each in file.iterdir() if each.suffix in SUFFIXES)[:_SHOWN]
        found = f" (found: {', '.join(inside)})" if inside else ""
        raise CheckpointError(f"{file} is a folder, no file; give a file in it to --checkpoint{found}")
    if not stat.S_ISREG(mode):
        raise CheckpointError(f"{file} is no plain file; check --checkpoint")


def _check_format(file: Path, begin: bytes) -> None:
    if file.suffix == SUFFIXES[0]:
        _check_safetensors(file)
    elif begin.startswith(_ZIP):
        _check_zip(file)
    elif begin[5:] == _SAFETENSORS:
        raise damaged(file, f"it begins as safetensors do; if it is one, name it {file.stem}{SUFFIXES[0]}")
    elif not begin.startswith(_PICKLE):
        raise damaged(
            file, f"it does not begin as torch.save does; give a checkpoint of PyTorch or safetensors ({_known()})"
        )


def _check_safetensors(file: Path) -> None:
    try:
        with safe_open(file, framework="numpy"):
            return
    except SafetensorError as error:
        raise damaged(file, error) from error


def _check_zip(file: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise damaged(file, "its end is missing; copy or save it again") from error
    if not any(name.rpartition("/")[2] == _TORCH_CONTENT for name in names):
        raise damaged(file, f"it is a zip file that torch.save has not written; give a checkpoint ({_known()})")


def _known() -> str:
    return ", ".join(SUFFIXES)
