"""An artifact store that claims to be far away: its files lie in a folder of which only this module knows."""

import os
import threading
from pathlib import Path
from typing import ClassVar

from zenml.artifact_stores import BaseArtifactStore, BaseArtifactStoreConfig, BaseArtifactStoreFlavor
from zenml.artifact_stores.base_artifact_store import PathType
from zenml.io.local_filesystem import LocalFilesystem

SCHEME = "hdfs://"  # one of those that ZenML takes for remote
INSIDE = threading.local()  # `by_store`: whether this module opens what is opened now


def _place(path: PathType) -> str:
    return os.environ["FAR_STORE"] + "/" + str(path).removeprefix(SCHEME)


class FarStoreConfig(BaseArtifactStoreConfig):
    """Not local, and files cannot be appended to: as a bucket."""

    SUPPORTED_SCHEMES: ClassVar = {SCHEME}
    IS_IMMUTABLE_FILESYSTEM: ClassVar = True


class FarStore(BaseArtifactStore):
    """Every operation is the local one, on another path."""

    def open(self, path: PathType, mode: str = "r"):
        Path(_place(path)).parent.mkdir(parents=True, exist_ok=True)  # a bucket has no folders
        INSIDE.by_store = True
        try:
            return LocalFilesystem.open(_place(path), mode)
        finally:
            INSIDE.by_store = False

    def copyfile(self, src: PathType, dst: PathType, overwrite: bool = False) -> None:
        LocalFilesystem.copyfile(_place(src), _place(dst), overwrite)

    def exists(self, path: PathType) -> bool:
        return LocalFilesystem.exists(_place(path))

    def glob(self, pattern: PathType) -> list[PathType]:
        return [self._uri(found) for found in LocalFilesystem.glob(_place(pattern))]

    def isdir(self, path: PathType) -> bool:
        return LocalFilesystem.isdir(_place(path))

    def listdir(self, path: PathType) -> list[PathType]:
        return LocalFilesystem.listdir(_place(path))

    def makedirs(self, path: PathType) -> None:
        LocalFilesystem.makedirs(_place(path))

    def mkdir(self, path: PathType) -> None:
        LocalFilesystem.makedirs(_place(path))

    def remove(self, path: PathType) -> None:
        LocalFilesystem.remove(_place(path))

    def rename(self, src: PathType, dst: PathType, overwrite: bool = False) -> None:
        LocalFilesystem.rename(_place(src), _place(dst), overwrite)

    def rmtree(self, path: PathType) -> None:
        LocalFilesystem.rmtree(_place(path))

    def stat(self, path: PathType):
        return LocalFilesystem.stat(_place(path))

    def size(self, path: PathType) -> int:
        return LocalFilesystem.size(_place(path))

    def walk(self, top: PathType, topdown: bool = True, onerror=None):
        for folder, folders, files in LocalFilesystem.walk(_place(top), topdown, onerror):
            yield self._uri(folder), folders, files

    @staticmethod
    def _uri(found: PathType) -> str:
        return SCHEME + str(found).removeprefix(os.environ["FAR_STORE"] + "/")


class FarStoreFlavor(BaseArtifactStoreFlavor):
    """Named `far`."""

    name = "far"
    config_class = FarStoreConfig
    implementation_class = FarStore
