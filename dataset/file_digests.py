"""Digest of the names and bytes of files."""

import functools
import hashlib
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.progress import track

from dataset.cores import usable_cores
from dataset.errors import DatasetError
from dataset.sources.source import Source, cannot_read


def digest_files(source: Source, names: Iterable[str], unreadable: list[str], num_workers: int = 0) -> str:
    """Digests names and bytes of files, in the order of their names.

    Args:
        source: Where they lie.
        names: Which.
        unreadable: What cannot be read is appended to it; the digest is then of no use.
        num_workers: Threads; 0 for as many as cores may be used.

    Returns:
        SHA-256 as 64 hexadecimal digits.
    """
    files = sorted((os.fsencode(name), name) for name in names)
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
    return total.hexdigest()


def _digest(source: Source, name: str) -> bytes | DatasetError:
    try:
        with source.open(name) as file:
            return hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]
    except FileNotFoundError:  # a link to nothing, which `ingest` refuses
        return b""
    except OSError as error:
        return cannot_read(source.location(name), error)
