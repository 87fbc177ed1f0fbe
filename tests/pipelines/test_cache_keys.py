"""What a changed setting runs again, for every setting: asked of the cache keys, as to run all of it takes an hour.

The table is that of the tests which do run it (`make torture`). Here the inputs of a step are what the finished run has
made: a step must have another key where its own settings have changed, and no other step may. Those after it run again
where something else comes out, which keys do not tell.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from configs.schema import RunConfig
from tests.pipelines.workshop import Finished, Workshop
from tests.torture.test_stale_settings import ALWAYS, BASE, DATA, FIELDS, TRAIN

pytestmark = pytest.mark.pipeline

# Other pipelines, whose steps find what they need by content.
OF_OTHER_STEPS = {"checkpoint", "reuse_training", "prediction.images", "prediction.network"}
ASKED = {field: line for field, (line, _) in FIELDS.items() if field not in OF_OTHER_STEPS}


@pytest.fixture(scope="module")
def base(workshop: Workshop) -> Workshop:
    """A project in which every kind of step has run, without CUDA."""
    workshop.environment["CUDA_VISIBLE_DEVICES"] = ""
    (workshop.root / "base.yaml").write_text(yaml.safe_dump(BASE))
    shutil.copy(Path(__file__).with_name("ask_cache.py"), workshop.root)
    workshop.base = workshop.run(*places(workshop), tiny=False)
    return workshop


def places(workshop: Workshop) -> tuple[str, ...]:
    return "--config", "base.yaml", "--data_root", str(workshop.data), "--out_dir", str(workshop.out)


def ask(workshop: Workshop, *lines: str) -> list[tuple[frozenset[str], frozenset[str]]]:
    """For each line, the steps with a key that is not known, and those after them; without those that run always."""
    questions = [[*places(workshop), *line.split()] for line in lines]
    done: Finished = workshop.call("python", "ask_cache.py", json.dumps(questions))
    assert done.status == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) == len(lines), done.stderr
    return [(frozenset(changed) - ALWAYS, frozenset(follow) - ALWAYS) for changed, follow in answers]


@pytest.fixture(scope="module")
def answers(base: Workshop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[frozenset, frozenset]]:
    """All fields, asked by one process."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    moved = shutil.copytree(base.data, elsewhere / "data")
    lines = [line.format(moved=moved, elsewhere=elsewhere / "out") for line in ASKED.values()]
    return dict(zip(ASKED, ask(base, *lines), strict=True))


def fields(section: type[BaseModel], place: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from fields(inner, f"{place}{name}.")
        else:
            yield f"{place}{name}"


def test_the_table_names_every_field_and_no_other() -> None:
    assert set(fields(RunConfig)) - set(FIELDS) == set(), "say in FIELDS what a change of these runs again"
    assert set(FIELDS) - set(fields(RunConfig)) == set(), "these are gone"
    assert all(f"{name}=" in line for name, (line, _) in FIELDS.items())


@pytest.mark.slow
def test_the_base_has_run_every_kind_of_step(base: Workshop) -> None:
    assert base.base.steps.keys() == ALWAYS | DATA


@pytest.mark.slow
def test_the_same_again_runs_nothing(base: Workshop) -> None:
    assert ask(base, "") == [(frozenset(), frozenset())]


@pytest.mark.slow
@pytest.mark.parametrize("field", ASKED)
def test_a_changed_field_changes_the_keys_of_the_steps_that_depend_on_it_and_no_others(
    field: str, answers: dict[str, tuple[frozenset, frozenset]]
) -> None:
    expected, (changed, follow) = FIELDS[field][1], answers[field]
    assert changed <= expected
    assert expected <= changed | follow
    assert bool(changed) == bool(expected)


@pytest.mark.slow
def test_the_answer_is_what_a_run_does(base: Workshop) -> None:
    """Where other things come out of every step, those that follow run, too."""
    ((changed, follow),) = ask(base, "training.epochs=2")
    assert "train_unet" in changed
    assert base.run(*places(base), "training.epochs=2", tiny=False).ran == ALWAYS | changed | follow == ALWAYS | TRAIN
