"""The values that tell the steps of a run where and how to work, without being part of their cache keys."""

from __future__ import annotations

from pathlib import Path

from zenml.client import Client

from configs.schema import RunConfig
from dataset.sources.source import is_uri
from pipelines.execution.abandoned_runs import this_process
from steps.data_roots.phantoms import phantom_folder
from steps.runtime import Runtime
from tracking.provenance import git_commit


def runtime_of(config: RunConfig, root: Path, command: str, remote: bool) -> Runtime:
    """Returns the runtime values of a run.

    Args:
        config: The run.
        root: The repository.
        command: The command line, for the report.
        remote: Whether each step runs on another machine, without access to this one.
    """
    folder = Path(config.remote_dir) if remote else config.out_dir.absolute()
    phantoms = config.data_root is None and config.reuse_training is None
    stack = f"{Client().active_stack_model.name}/" if remote else ""
    return Runtime(
        data_root=str(phantom_folder(folder, config.seed)) if phantoms else _absolute(config.data_root or ""),
        out_dir=str(folder),
        num_workers=config.num_workers,
        resume=not config.no_cache,
        command=command,
        process=f"{stack}{this_process()}",  # work on other machines continues when this process ends
        phantom_seed=config.seed if phantoms else None,
        commit=git_commit(root) if remote else None,
        checkpoint=str(config.checkpoint.absolute()) if config.checkpoint else None,
    )


def _absolute(data_root: str) -> str:
    return str(Path(data_root).absolute()) if data_root and not is_uri(data_root) else data_root
