"""Opens the data set that a step reads: a folder, or a URI that one of ZenML's artifact stores reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
from dataset.sources.local_folder import LocalFolder
from dataset.sources.source import Source, is_uri
from steps.data_roots.bucket import StoredFolder

_FLAVORS = {"s3": "s3", "gs": "gcp", "az": "azure", "abfs": "azure"}  # of ZenML's artifact stores, by scheme


@contextmanager
def open_data_root(data_root: str) -> Iterator[Source]:
    """Yields the source for a data set; it is read afresh, without anything cached earlier.

    Args:
        data_root: A path, or a URI that lies in one of the registered artifact stores, which need not be in the stack.

    Raises:
        DatasetError: No store has this URI, or its libraries are missing.
    """
    if not is_uri(data_root):
        yield LocalFolder(Path(data_root))
        return
    store = _open_store(_component_of(data_root), data_root)
    try:
        yield StoredFolder(store, data_root)
    finally:
        store.cleanup()


def store_containing(uri: str, paths: Iterable[str]) -> str | None:
    """Returns the store's path that a URI lies in; of several, the longest; None if it lies in none."""
    fitting = [path for path in paths if path and f"{uri.rstrip('/')}/".startswith(f"{path.rstrip('/')}/")]
    return max(fitting, key=len, default=None)


def _component_of(uri: str) -> ComponentResponse:
    """Returns the artifact store that a URI lies in, as ZenML has registered it."""
    found = depaginate(Client().list_stack_components, type=StackComponentType.ARTIFACT_STORE)
    active = Client().active_stack_model.components[StackComponentType.ARTIFACT_STORE][0].id
    stores = {  # of several with the same path, the active one; ZenML's default store has no path
        str(store.configuration.get("path", "")): store for store in sorted(found, key=lambda each: each.id == active)
    }
    path = store_containing(uri, stores)
    if path is None:
        known = ", ".join(filter(None, stores)) or "none"
        raise DatasetError(f"{uri} lies in none of ZenML's artifact stores (known: {known}): {_repair(uri)}")
    return stores[path]


def _repair(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    if scheme not in _FLAVORS:
        return f"register one that reads {scheme}://, or give a folder"
    bucket = f"{scheme}://{rest.partition('/')[0]}"
    command = f"zenml artifact-store register data --flavor={_FLAVORS[scheme]} --path={bucket}"
    return f"register one that holds it, for example `{command}`; it need not be in the stack"


def _open_store(component: ComponentResponse, uri: str) -> BaseArtifactStore:
    """Returns a store, ready to be read; the store that artifacts are read from stays registered for its scheme."""
    scheme = f"{uri.partition('://')[0]}://"
    try:
        reading_artifacts = default_filesystem_registry.get_filesystem_for_scheme(scheme)
    except ValueError:
        reading_artifacts = None  # artifacts are kept in a store of another kind
    try:
        store = cast(BaseArtifactStore, StackComponent.from_model(component))
    except (ImportError, ValueError) as error:  # libraries are missing, or its configuration no longer holds
        message = " ".join(str(error).split())
        raise DatasetError(f"{uri}: the artifact store {component.name} cannot be opened: {message}") from error
    if reading_artifacts is not None:
        default_filesystem_registry.register(reading_artifacts)
    return store
