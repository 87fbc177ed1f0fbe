"""Between an artifact, which may lie in any store, and a folder on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zenml.materializers.base_materializer import BaseMaterializer


def upload(materializer: BaseMaterializer, folder: Path, into: str) -> None:
    """Copies the files of a local folder into a sub-folder of the artifact."""
    store, target = materializer.artifact_store, f"{materializer.uri}/{into}"
    store.makedirs(target)
    for file in sorted(folder.iterdir()):
        with file.open("rb") as source, store.open(f"{target}/{file.name}", "wb") as copy:
            shutil.copyfileobj(source, copy)


@contextmanager
def downloaded(materializer: BaseMaterializer, name: str, *, keep: bool = False) -> Iterator[Path]:
    """Yields a local folder with the files of an artifact's sub-folder; the sub-folder itself where it is local.

    Args:
        materializer: The artifact's materializer.
        name: The sub-folder.
        keep: Keeps a downloaded copy until the step ends, for data that is read lazily.
    """
    store, origin = materializer.artifact_store, f"{materializer.uri}/{name}"
    if store.config.is_local:
        yield Path(origin)
        return
    with materializer.get_temporary_directory(delete_at_exit=not keep) as temporary:
        for file in store.listdir(origin):
            with store.open(f"{origin}/{file}", "rb") as source, Path(temporary, file).open("wb") as copy:
                shutil.copyfileobj(source, copy)
        yield Path(temporary)
