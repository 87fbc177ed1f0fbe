"""Where and how fast a step works: what changes no result, and so is no part of a cache key.

The pipeline carries these values in the `extra` of its configuration, which ZenML leaves out of cache keys.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from zenml import get_step_context, log_metadata
from zenml.exceptions import ZenMLBaseException
from zenml.metadata.metadata_types import MetadataType

_KEY = "runtime"
_SHORT = 40  # signs of a folder's name that names of runs have
# What ZenML's client raises: its own, those that its server's answers become, those of the database and the network.
_ZENML_ERRORS = (ZenMLBaseException, SQLAlchemyError, OSError, RuntimeError, KeyError, ValueError)
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Runtime:
    """Where and how fast.

    Attributes:
        data_root: Folder or URI of the data set; not read where a trained network brings its data.
        out_dir: Folder of the results.
        num_workers: Threads that decode images (0: one a core), and processes that load batches (0: none).
        resume: Whether training may go on from checkpoints that a crashed run left.
        command: The command line, for the report.
        process: The process that runs the pipeline; those that have others run it say so by a name of their own.
        phantom_seed: The data are the phantoms of this seed, made where they are missing; None is other data.
        commit: The commit, where steps see no repository.
        gpu_steps: Steps that have a GPU of their own, for the report.
        checkpoint: File of a network that was trained elsewhere.
        network: Folder of the network that predicts.
        network_code: Digest of the code of a network that is not ours.
        network_changed: Whether that code is another than that with which the reused network was trained.
        data_name: Name of the data that a reused training was made of, as `short_data_name` returns it.
    """

    data_root: str
    out_dir: str
    num_workers: int
    resume: bool
    command: str
    process: str
    checkpoint: str | None = None
    network: str | None = None
    network_code: str | None = None
    network_changed: bool = False
    phantom_seed: int | None = None
    commit: str | None = None
    gpu_steps: tuple[str, ...] = ()
    data_name: str | None = None

    @property
    def checkpoint_file(self) -> str:
        """The file of the network that was trained elsewhere.

        Raises:
            ValueError: The run has none.
        """
        if self.checkpoint is None:
            raise ValueError("this run has no checkpoint; give --checkpoint")
        return self.checkpoint

    @property
    def network_folder(self) -> str:
        """The folder of the network that predicts.

        Raises:
            ValueError: The run has none.
        """
        if self.network is None:
            raise ValueError("this run predicts nothing; give --predict and --model")
        return self.network

    def to_extra(self) -> dict[str, Any]:
        """Returns the pipeline's `extra` that `current` reads."""
        return {_KEY: dataclasses.asdict(self)}

    def checkpoint_dir(self, *identity: Any) -> Path:
        """Returns the folder of a training's checkpoints, another for all that makes another training (JSON-like)."""
        all_of_it = identity if self.network_code is None else (*identity, self.network_code)
        digest = hashlib.sha256(json.dumps(all_of_it).encode()).hexdigest()
        return Path(self.out_dir) / "checkpoints" / digest[:16]


def process_of(extra: Mapping[str, Any]) -> str | None:
    """Returns which process runs, or ran, a pipeline with this `extra`; None where it is none of this project."""
    return extra.get(_KEY, {}).get("process")


def network_code_of(extra: Mapping[str, Any]) -> str | None:
    """Returns the digest of the network's code in a pipeline with this `extra`; None where the network is ours."""
    return extra.get(_KEY, {}).get("network_code")


def data_name_of(extra: Mapping[str, Any]) -> str | None:
    """Returns the name of the data of a pipeline with this `extra`, without the folders that it lay in."""
    told = extra.get(_KEY, {})
    if told.get("phantom_seed") is not None:
        return f"built-in phantoms of seed {told['phantom_seed']}"
    return data_name(told["data_root"]) if told.get("data_root") else None


def short_data_name(extra: Mapping[str, Any]) -> str | None:
    """Returns the name of the data as names of runs have it, in at most 40 signs."""
    told = extra.get(_KEY, {})
    if told.get("data_name") is not None:
        return str(told["data_name"])
    if told.get("phantom_seed") is not None:
        return "phantoms"
    return data_name(told["data_root"])[:_SHORT] if told.get("data_root") else None


def data_name(data_root: str) -> str:
    """Returns the name of a folder of data: the last part of its path or URI."""
    return Path(data_root.rpartition("://")[2]).absolute().name


def current() -> Runtime:
    """Returns the values for the step that runs now."""
    return Runtime(**get_step_context().step_run.config.extra[_KEY])


@contextlib.contextmanager
def never_fails(otherwise: str) -> Iterator[None]:
    """Turns a failure of ZenML into a warning, around what no result depends on.

    The screen, which shows no warnings of loggers, has a line; the log has the traceback, too.

    Args:
        otherwise: What is missing then, as a sentence without a full stop.
    """
    try:
        yield
    except _ZENML_ERRORS as error:
        text = f"{otherwise}: {type(error).__name__}: {error}"
        print(f"warning: {text}", file=sys.stderr)
        _log.warning("%s", text, exc_info=error)


@contextlib.contextmanager
def watched(artifact: str) -> Iterator[None]:
    """Keeps what a training takes of its machine as metadata of one of the step's artifacts, which no key holds.

    That ZenML does not take it is a warning, as a training may have lasted hours.
    """
    from tracking.pages.machine_load import LOAD, MachineLoad  # noqa: PLC0415 - for a training alone

    with MachineLoad() as load:
        yield
    taken: dict[str, MetadataType] = {LOAD: dict(load.columns())}
    with never_fails("what the training took of its machine is not kept"):
        log_metadata(metadata=taken, artifact_name=artifact, infer_artifact=True)
