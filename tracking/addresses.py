"""Addresses of the servers and databases that runs are recorded in."""

from __future__ import annotations

import urllib.parse
from pathlib import Path


def database_file(uri: str) -> Path | None:
    """Returns the file of an SQLite database; None for all others."""
    scheme, _, database = uri.partition(":///")
    return Path(database).absolute() if scheme == "sqlite" else None


def lock_of(tracking_uri: str, root: Path) -> Path:
    """Returns the lock file of MLflow's database: beside it where it is a file, in the repository for a server."""
    database = database_file(tracking_uri)
    return (database.parent if database else root) / ".mlflow.lock"


def without_password(uri: str) -> str:
    """Returns a URI as it may be shown: without user and password."""
    parts = urllib.parse.urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri
