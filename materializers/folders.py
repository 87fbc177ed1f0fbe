"""Artifacts that are a folder of files, sealed: what was damaged in the store since then is never used."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar

from zenml import get_step_context
from zenml.artifact_stores import BaseArtifactStore
from zenml.client import Client
from zenml.materializers.base_materializer import BaseMaterializer

SEAL = "seal.json"  # file to digest, of all files of an artifact


class DamagedArtifactError(RuntimeError):
    """An artifact's files are not those that were stored.

    Attributes:
        uri: Where the artifact lies.
    """

    def __init__(self, uri: str, what: str) -> None:
        super().__init__(f"the stored artifact {uri} is damaged ({what}); a run without --reuse_training makes it anew")
        self.uri = uri


class FolderMaterializer(BaseMaterializer):
    """Stores data as files, in any artifact store; a materializer says how they are written to a folder and read.

    Attributes:
        FOLDER: Where the files lie within the artifact.
        LAZY: The files are read after `read` has returned; a downloaded copy is kept until the process ends.
    """

    SKIP_REGISTRATION: ClassVar = True
    FOLDER: ClassVar[str] = "content"
    LAZY: ClassVar[bool] = False

    def write(self, data: Any, folder: Path) -> None:
        """Writes the data into an empty folder."""
        raise NotImplementedError

    def read(self, folder: Path) -> Any:
        """Reads what `write` wrote."""
        raise NotImplementedError

    def save(self, data: Any) -> None:
        """Writes the files, then the seal."""
        with tempfile.TemporaryDirectory() as temporary:
            self.write(data, Path(temporary))
            self.upload(Path(temporary))
            self.seal(Path(temporary))

    def load(self, data_type: type[Any]) -> Any:
        """Reads the files, after a look at the seal.

        Raises:
            DamagedArtifactError: A file is missing, or is not the one that was stored.
        """
        seal = _read_seal(self.artifact_store, self.uri)
        with self._local(seal) as folder:
            seal.check(self.uri, {name: _digest_if_any(folder / name) for name in seal.digests})
            return self.read(folder)

    def seal(self, folder: Path) -> None:
        """Writes the digests of the files that were written."""
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        digests = {file.relative_to(folder).as_posix(): _digest_of(file) for file in files}
        with self.artifact_store.open(self.place(SEAL), "w") as file:
            json.dump(dataclasses.asdict(_Seal(self.FOLDER, digests)), file)

    def place(self, *parts: str) -> str:
        """Returns where something lies within the artifact."""
        return f"{self.uri}/{PurePosixPath(*parts)}"

    def upload(self, folder: Path) -> None:
        """Copies the files of a local folder into the artifact."""
        store = self.artifact_store
        for file in (file for file in sorted(folder.rglob("*")) if file.is_file()):
            target = self.place(self.FOLDER, file.relative_to(folder).as_posix())
            store.makedirs(target.rpartition("/")[0])
            with file.open("rb") as source, store.open(target, "wb") as copy:
                shutil.copyfileobj(source, copy)

    @contextmanager
    def _local(self, seal: _Seal) -> Iterator[Path]:
        """Yields a local folder with the files: the artifact's own where the store is local."""
        if self.artifact_store.config.is_local:
            yield Path(self.place(self.FOLDER))
            return
        with self.get_temporary_directory(delete_at_exit=not self.LAZY) as temporary:
            for name in seal.digests:
                target = Path(temporary, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                place = self.place(self.FOLDER, name)
                with _opened(self.artifact_store, self.uri, place) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
            yield Path(temporary)


def folder_to_fill(name: str) -> Path:
    """Returns where the running step may write the files of its output before a materializer sees them.

    Args:
        name: `FOLDER` of the materializer.

    Returns:
        A folder that is missing: of the artifact itself if the store is local, else a temporary one.
    """
    if Client().active_stack.artifact_store.config.is_local:
        return Path(get_step_context().get_output_artifact_uri()) / name
    folder = Path(tempfile.mkdtemp(prefix="artifact-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / name


@dataclasses.dataclass(frozen=True)
class _Seal:
    """What an artifact holds.

    Attributes:
        folder: Where its files lie within it.
        digests: File name to the SHA-256 of its content.
    """

    folder: str
    digests: dict[str, str]

    def check(self, uri: str, found: Mapping[str, str | None]) -> None:
        """Compares digests with those of the files that are there.

        Raises:
            DamagedArtifactError: One is another.
        """
        for name, digest in self.digests.items():
            if found[name] is None:
                raise DamagedArtifactError(uri, f"{name} is missing")
            if found[name] != digest:
                raise DamagedArtifactError(uri, f"{name} has changed since it was stored")


def check_artifact(store: BaseArtifactStore, uri: str) -> None:
    """Compares an artifact's files with its seal.

    Args:
        store: Where it lies.
        uri: An artifact of a `FolderMaterializer`.

    Raises:
        DamagedArtifactError: A file is missing, or is not the one that was stored.
    """
    seal, found = _read_seal(store, uri), {}
    for name in seal.digests:
        with _opened(store, uri, f"{uri}/{seal.folder}/{name}") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # buffered
    seal.check(uri, found)


def _read_seal(store: BaseArtifactStore, uri: str) -> _Seal:
    try:
        with _opened(store, uri, f"{uri}/{SEAL}") as file:
            content = json.loads(file.read())
            return _Seal(str(content["folder"]), dict(content["digests"]))
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedArtifactError(uri, f"{SEAL} cannot be read") from error


@contextmanager
def _opened(store: BaseArtifactStore, uri: str, place: str) -> Iterator[BinaryIO]:
    if not store.exists(place):
        raise DamagedArtifactError(uri, f"{place.rpartition('/')[2]} is missing")
    with store.open(place, "rb") as file:
        yield file


def _digest_of(file: Path) -> str:
    """Returns the digest of a file, computed again only if the file has changed."""
    about = file.stat()
    return _digest(file, about.st_size, about.st_mtime_ns)


def _digest_if_any(file: Path) -> str | None:
    """Returns the digest of a file, or None if there is no such file."""
    try:
        return _digest_of(file)
    except FileNotFoundError:
        return None


@functools.lru_cache(maxsize=4096)
def _digest(file: Path, size: int, modified: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
