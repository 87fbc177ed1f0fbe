"""The ZenML stack of this repository: where runs are recorded.

An active stack with an MLflow tracker is used as it is. Otherwise a stack is created once, which records next to the
repository, and is activated for this repository alone (`.zen`). What is active elsewhere is never touched.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from filelock import FileLock
from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.integrations.registry import integration_registry
from zenml.utils import source_utils
from zenml.utils.io_utils import create_dir_recursive_if_not_exists, get_global_config_directory

from tracking.database_setup import zenml_database

_TRACKER = StackComponentType.EXPERIMENT_TRACKER
_PREFIX = "arsvd_"
_SECONDS_TO_WAIT = 120


def prepare_stack(root: Path) -> None:
    """Makes sure that runs started from this repository have a stack with an MLflow tracker.

    To be called before any step is imported: that import makes ZenML create its database, which two processes at once
    would break.

    Args:
        root: The repository, which is also the root that ZenML finds the steps' sources from.
    """
    source_utils.set_custom_source_root(str(root))
    _leave_out("sklearn")
    config = Path(get_global_config_directory())
    create_dir_recursive_if_not_exists(str(config))
    with FileLock(config / "arsvd-setup.lock", timeout=_SECONDS_TO_WAIT), zenml_database(config):
        if _has_own_tracker():
            return
        if not Client.is_repository_directory(root):
            Client.initialize(root)
        Client().activate_root(root)
        if not _has_own_tracker() and not _is_ours(root):
            Client().activate_stack(_make_stack(root))


def tracking_uri(root: Path) -> str:
    """Returns where MLflow records: `MLFLOW_TRACKING_URI`, else the active stack's tracker, else the repository."""
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return uri
    tracker = Client().active_stack.experiment_tracker
    if tracker is None or tracker.flavor != "mlflow":
        return _database(root)
    from zenml.integrations.mlflow.experiment_trackers import MLFlowExperimentTracker  # noqa: PLC0415 - imports MLflow

    if not isinstance(tracker, MLFlowExperimentTracker):
        raise TypeError(f"the stack's tracker of the flavor mlflow is a {type(tracker).__name__}")
    tracker.configure_mlflow()
    return tracker.get_tracking_uri()


def _leave_out(integration: str) -> None:
    """Keeps ZenML from importing a library at the start of every run, for types of artifacts that no step here has."""
    known = integration_registry.integrations  # read first: reading fills it, over what was registered before

    class LeftOut(known[integration]):  # type: ignore[misc, valid-type]
        """Registers itself in place of the integration that it is derived from, by the same name."""

        @classmethod
        def activate(cls) -> None:
            """Imports nothing."""


def _has_own_tracker() -> bool:
    """Returns whether the user has chosen a stack with an MLflow tracker; those made here do not count."""
    stack = Client().active_stack_model
    trackers = stack.components.get(_TRACKER, [])
    return not stack.name.startswith(_PREFIX) and any(tracker.flavor_name == "mlflow" for tracker in trackers)


def _is_ours(root: Path) -> bool:
    return Client().active_stack_model.name == _stack_name(root)


def _make_stack(root: Path) -> str:
    """Registers the parts of the repository's stack that are missing, and returns its name."""
    client, name = Client(), _stack_name(root)
    if not client.list_stack_components(name=name, type=_TRACKER).items:
        client.create_stack_component(
            name=name, flavor="mlflow", component_type=_TRACKER, configuration={"tracking_uri": _database(root)}
        )
    if not client.list_stacks(name=name).items:
        parts = dict.fromkeys((StackComponentType.ORCHESTRATOR, StackComponentType.ARTIFACT_STORE), "default")
        client.create_stack(name=name, components={**parts, _TRACKER: name})
    return name


def _stack_name(root: Path) -> str:
    return _PREFIX + hashlib.sha256(str(root).encode()).hexdigest()[:10]


def _database(root: Path) -> str:
    return f"sqlite:///{root / 'mlflow.db'}"
