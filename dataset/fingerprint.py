"""Digest of a data set's content: the same wherever the data lies, another one after any change."""

from dataset.errors import combined_error
from dataset.file_digests import digest_files
from dataset.layouts.layout import Wanted
from dataset.layouts.recognise import recognise
from dataset.options import Format
from dataset.sources.local_folder import as_source
from dataset.sources.source import DataRoot


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
    digest = digest_files(source, found.files(unreadable), unreadable, num_workers)
    if unreadable:
        raise combined_error(unreadable)
    return digest
