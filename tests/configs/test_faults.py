"""What is said of wrong values: what is allowed, in our words."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from configs.faults import reason
from configs.loading import FLAGS, ConfigError, load_config
from configs.schema import RunConfig

OTHERS_WORDS = ("Input", "Field required", "a valid ", "parse", "validation", "nable to", "hould")
WRONG = ("nothing of this", "-1", "1e300", ".nan", "true", "[[]]", "[null, {}]", "{a: {}}", "null")


def fields(section: type[BaseModel], within: str = "") -> list[str]:
    found = []
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += fields(field.annotation, f"{within}{name}.")
        else:
            found.append(f"{within}{name}")
    return found


@pytest.mark.parametrize("place", fields(RunConfig))
def test_whatever_is_wrong_with_a_field_the_words_are_ours(place: str) -> None:
    said = set()
    for value in WRONG:
        try:
            load_config([f"{place}={value}"])
        except ConfigError as error:
            said |= {*str(error).splitlines()}
    assert said, "every field refuses something of this"
    assert not [line for line in said if any(word in line for word in OTHERS_WORDS)]


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--device=tpu", "device (--device) is 'tpu': give auto, cpu or cuda"),
        ("--epochs=many", "training.epochs (--epochs) is 'many': give a whole number of at least 1"),
        ("--epochs=2.5", "training.epochs (--epochs) is '2.5': give a whole number of at least 1"),
        ("--lr=0", "training.lr (--lr) is '0': give a number above 0"),
        ("--lr=inf", "training.lr (--lr) is 'inf': give a finite number"),
        ("--num_workers=-1", "num_workers (--num_workers) is '-1': give a whole number from 0 to 256"),
        ("--svd_ranks=8,x", "compression.svd_ranks (--svd_ranks) is 'x': give a whole number of at least 1"),
        ("--budgets=half", "give a share above 0, at most 1, as 0.25 for 25 %"),
        ("--data_root=", "data_root (--data_root) is '': give a text that is not empty"),
        ("verbose=perhaps", "verbose (--verbose) is 'perhaps': give true or false"),
        ("data.axis=3", "data.axis is 3: give 0, 1 or 2"),
        ("model.dropout=1", "model.dropout is 1: give a number of at least 0, below 1"),
        ("model.output=[1]", "model.output is [1]: give a whole number or a text"),
        ("out_dir=[1]", "out_dir (--out_dir) is [1]: give a path"),
        ("remote_dir=tmp", "remote_dir is 'tmp': give a text that matches ^/"),
        ("data.categories=null", "data.categories (--categories) is None: give a list of values, each a text"),
        (
            "image_size=[64]",
            "data.image_size (--image_size) is [64]: give 2 values, each a whole number from 16 to 8192",
        ),
        ("image_size=64", "data.image_size (--image_size) is 64: give 2 values, each a whole number from 16 to 8192"),
    ],
)
def test_what_is_allowed_is_said(argument: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config([argument])
    assert said in str(error.value)


def test_every_flag_that_takes_one_of_some_words_says_which() -> None:
    for flag in ("device", "interpolation", "export"):
        with pytest.raises(
            ConfigError, match=rf"{FLAGS[flag][0]} \(--{flag}\) is 'none of them': give \w+, .* or \w+$"
        ):
            load_config([f"--{flag}", "none of them"])


class Inner(BaseModel, extra="forbid"):
    count: int


class Outer(BaseModel, extra="forbid"):
    parts: dict[str, Inner]
    anything: Any = None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], ["give keys and values"]),
        ({}, ["it is missing; give keys and values"]),
        ({"parts": []}, ["give keys and values"]),
        ({"parts": {"a": {}}}, ["it is missing; give a whole number"]),
        ({"parts": {"a": {"count": "many", "more": 1}}}, ["give a whole number", "there is no such field"]),
        ({"parts": {1: {"count": 1}}}, ["give a text as its key"]),
        ({"parts": {}, 2: 3}, ["give a text as its key"]),
    ],
)
def test_faults_in_files_with_parts_of_any_name_are_told_alike(content: object, said: list[str]) -> None:
    with pytest.raises(ValidationError) as error:
        Outer.model_validate(content)
    assert [reason(Outer, fault) for fault in error.value.errors()] == said
