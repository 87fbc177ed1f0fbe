"""Where a step finds the data set: a folder, or a URI that one of ZenML's artifact stores reads."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import cast

from zenml.artifact_stores import BaseArtifactStore
from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.io.filesystem_registry import default_filesystem_registry
from zenml.models import ComponentResponse
from zenml.stack import StackComponent
from zenml.utils.pagination_utils import depaginate

from dataset.errors import DatasetError
from dataset.local_folder import LocalFolder
from dataset.source import Source, cannot_read, not_a_folder, too_large


def is_uri(data_root: str) -> bool:
    """Tells whether this names a place that is no folder of a machine."""
    return "://" in data_root


def open_source(data_root: str) -> Source:
    """Returns where a data set lies, opened anew: stores remember what they have listed.

    Args:
        data_root: A path, or a URI that lies in one of the registered artifact stores, which need not be in the stack.

    Raises:
        DatasetError: No store has this URI, or its libraries are missing.
    """
    return StoredFolder(_store_of(data_root), data_root) if is_uri(data_root) else LocalFolder(Path(data_root))


class StoredFolder:
    """A data set in an artifact store, read as `dataset.source.Source` says; there are no links in there."""

    def __init__(self, store: BaseArtifactStore, uri: str) -> None:
        self.store = store
        self.uri = uri.rstrip("/")

    def check(self) -> None:
        """Checks that something lies there."""
        try:
            with _as_the_system_would():
                found = self.store.isdir(self.uri)
        except OSError as error:
            raise cannot_read(self.uri, error) from error
        if not found:
            raise not_a_folder(self.uri)

    def folders(self) -> list[str]:
        """Gives the names of the folders in it."""
        try:
            with _as_the_system_would():
                names = {str(name).strip("/") for name in self.store.listdir(self.uri)}
                return sorted(name for name in names if self.store.isdir(self.place(name)))
        except OSError as error:
            raise cannot_read(self.uri, error) from error

    def files(self, split: str, unreadable: list[str]) -> Iterator[str]:
        """Walks a split. Some libraries pass over a folder that may not be listed, or give it as an empty one.

        So each folder that was named must come, and one that comes empty is listed again, which fails where it must.
        """
        announced = {self.place(split)}
        try:
            with _as_the_system_would():
                for top, folders, names in self.store.walk(self.place(split)):
                    folder = str(top).rstrip("/")
                    announced.discard(folder)
                    if not folders and not names:
                        self.store.listdir(folder)
                    announced |= {f"{folder}/{name}" for name in map(str, folders) if not name.startswith(".")}
                    inside = folder.removeprefix(self.uri).strip("/")
                    if not any(part.startswith(".") for part in inside.split("/")):
                        yield from (f"{inside}/{name}" for name in map(str, names) if name and not name.startswith("."))
        except OSError as error:
            unreadable += cannot_read(self.place(split), error).problems
        else:
            unreadable += [f"{folder} cannot be listed: check the permissions" for folder in sorted(announced)]

    def leads_out(self, name: str) -> bool:
        """Tells that nothing does."""
        return False

    def open(self, name: str) -> BufferedReader:
        """Opens a file, which is read in parts."""
        with _as_the_system_would():
            return BufferedReader(self.store.open(self.place(name), "rb"))

    def read(self, name: str, largest: int | None = None) -> bytes:
        """Gives the bytes of a file."""
        with _as_the_system_would(), self.store.open(self.place(name), "rb") as file:
            data: bytes = file.read() if largest is None else file.read(largest + 1)
        if largest is not None and len(data) > largest:
            raise OSError(errno.EFBIG, too_large(len(data), largest))
        return data

    def place(self, name: str = "") -> str:
        """Gives the URI."""
        return f"{self.uri}/{posixpath.normpath(name)}" if name else self.uri


@contextmanager
def _as_the_system_would() -> Iterator[None]:
    """Raises OSError where the library below a store fails."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # every store's library has kinds of its own
        told = " ".join(str(error).split()) or type(error).__name__
        raise OSError(errno.EIO, told) from error


def _store_of(uri: str) -> BaseArtifactStore:
    """Returns the artifact store that a URI lies in; of several, the one whose path says most of it."""
    stores = depaginate(Client().list_stack_components, type=StackComponentType.ARTIFACT_STORE)
    fitting = [store for store in stores if f"{uri}/".startswith(f"{_path(store)}/")]
    if not fitting:
        scheme, _, rest = uri.partition("://")
        raise DatasetError(
            f"{uri} lies in none of ZenML's artifact stores: register one that holds it, for example `zenml "
            f"artifact-store register data --flavor={scheme} --path={scheme}://{rest.partition('/')[0]}`; it need not "
            "be in the stack"
        )
    chosen = max(fitting, key=lambda store: len(_path(store)))
    scheme = f"{uri.partition('://')[0]}://"
    try:
        reading_artifacts = default_filesystem_registry.get_filesystem_for_scheme(scheme)
    except ValueError:
        reading_artifacts = None  # artifacts lie elsewhere
    try:
        store = cast(BaseArtifactStore, StackComponent.from_model(chosen))
    except ImportError as error:
        raise DatasetError(
            f"{uri} lies in the artifact store {chosen.name}, whose libraries are missing: install them by `zenml "
            f"integration install {chosen.flavor.integration}`"
        ) from error
    if reading_artifacts is not None:  # a store that is opened takes its place otherwise
        default_filesystem_registry.register(reading_artifacts)
    return store


def _path(store: ComponentResponse) -> str:
    """Returns what lies in a store; ZenML's own on this machine does not say."""
    return str(store.configuration.get("path", "")).rstrip("/")
