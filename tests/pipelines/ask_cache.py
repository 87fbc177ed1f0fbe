"""Which steps a command would run, without running it: `python ask_cache.py QUESTIONS`, in a project that has run.

QUESTIONS is JSON: a list of command lines, each a list of words. The answers are JSON too, on the last line. All is as
in a run up to the point where ZenML starts the first step: there, the cache key of every step is computed for what the
last finished run has made, and looked for.
"""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent


class AnsweredError(BaseException):
    """Ends a run in the place of its steps; no handler of errors takes it for one.

    Attributes:
        changed: The steps that have no cached result for what the finished run has made.
        follow: The steps after them.
    """

    def __init__(self, changed: list[str], follow: list[str]) -> None:
        self.changed = changed
        self.follow = follow


def answer(snapshot: Any, stack: Any, run: Any, finished: dict[str, Any]) -> NoReturn:
    """Compares keys, and raises AnsweredError."""
    changed = [name for name in snapshot.step_configurations if not is_known(name, snapshot, stack, run, finished)]
    cached = {name for name, step in snapshot.step_configurations.items() if step.config.enable_cache is not False}
    reached = {name for name in changed if name in cached}
    follow = []
    for name, step in snapshot.step_configurations.items():  # in the order of the pipeline
        if reached & set(step.spec.upstream_steps):
            reached.add(name)
            follow.append(name)
    raise AnsweredError(changed, follow)


def is_known(name: str, snapshot: Any, stack: Any, run: Any, finished: dict[str, Any]) -> bool:
    """Whether a step has a cached result for the inputs that the finished run has made."""
    from zenml.client import Client  # noqa: PLC0415
    from zenml.exceptions import InputResolutionError  # noqa: PLC0415
    from zenml.orchestrators import cache_utils, input_utils, utils  # noqa: PLC0415

    step = snapshot.step_configurations[name]
    if not utils.is_setting_enabled(step.config.enable_cache, snapshot.pipeline_configuration.enable_cache):
        return False
    try:
        inputs = input_utils.resolve_step_inputs(step, pipeline_run=run, step_runs=dict(finished))
    except InputResolutionError:
        return False
    key = cache_utils.generate_cache_key(step, inputs, stack.artifact_store, Client().active_project.id)
    return cache_utils.get_cached_step_run(key) is not None


def main(questions: list[list[str]]) -> None:
    import run_pipeline  # noqa: PLC0415 - of the project that this was copied to

    run_pipeline._set_environment(verbose=False)
    from tracking.stack import prepare_stack  # noqa: PLC0415

    prepare_stack(ROOT)
    from zenml.client import Client  # noqa: PLC0415
    from zenml.orchestrators import BaseOrchestrator  # noqa: PLC0415

    from configs.loading import load_config  # noqa: PLC0415
    from pipelines.execution.run import run  # noqa: PLC0415

    newest = Client().list_pipeline_runs(sort_by="desc:created", status="completed", size=1).items[0]
    finished = dict(newest.steps)
    BaseOrchestrator.run = lambda _, snapshot, stack, run: answer(snapshot, stack, run, finished)
    answers = []
    for words in questions:
        try:
            run(load_config(words), ROOT, command="")
        except AnsweredError as answered:
            answers.append([answered.changed, answered.follow])
    print(json.dumps(answers))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
