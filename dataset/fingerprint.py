"""Digest of a data set's content: the same wherever the data lies, another one after any change."""

import functools
import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.progress import track

from dataset.cores import usable_cores
from dataset.errors import DatasetError, combined_error
from dataset.layouts.layout import Wanted
from dataset.layouts.recognise import recognise
from dataset.options import Format
from dataset.sources.local_folder import as_source
from dataset.sources.source import DataRoot, Source, cannot_read


def fingerprint(root: DataRoot, num_workers: int = 0, layout: Format = "auto") -> str:
    """Digests the relative names and bytes of all files that `ingest` might read in this layout.

    Hidden files, pipes, devices, and links that lead out of the data set are left out: `ingest` refuses them. Missing
    or wrong files are reported by `ingest`, all at once. Files are read in blocks, several at a time, so that memory
    does not grow with the data.

    Args:
        root: The data set's folder, or another source.
        num_workers: Threads; 0 for as many as cores may be used.
        layout: The family of layouts that `ingest` is told.

    Returns:
        SHA-256 as 64 hexadecimal digits.

    Raises:
        DatasetError: `root` is no folder or of no known layout, or files or folders in it cannot be read: a digest
            without them would not notice that they change.
    """
    source = as_source(root)
    source.check()
    found = recognise(source, Wanted(layout))
    unreadable: list[str] = []
    files = sorted((os.fsencode(name), name) for name in found.files(unreadable))
    total = hashlib.sha256()
    with ThreadPoolExecutor(num_workers or usable_cores()) as pool:
        digests = pool.map(functools.partial(_digest, source), [name for _, name in files])
        shown = track(
            digests,
            "fingerprint",
            len(files),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        for (name, _), digest in zip(files, shown, strict=True):
            if isinstance(digest, DatasetError):
                unreadable += digest.problems
            else:
                total.update(len(name).to_bytes(8, "big") + name + digest)
    if unreadable:
        raise combined_error(unreadable)
    return total.hexdigest()


def _digest(source: Source, name: str) -> bytes | DatasetError:
    try:
        with source.open(name) as file:
            return hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]
    except FileNotFoundError:  # a link to nothing, which `ingest` refuses
        return b""
    except OSError as error:
        return cannot_read(source.location(name), error)
