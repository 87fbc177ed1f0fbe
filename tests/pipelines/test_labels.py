"""What people find runs and steps by in ZenML."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from zenml.exceptions import DoesNotExistException

from configs.loading import load_config, network_name
from configs.schema import RunConfig
from pipelines import labels
from pipelines.devices import Devices
from pipelines.execution import pipeline_run
from pipelines.labels import groups, label, labelled, run_name
from pipelines.variants import step_names


def config_of(*flags: str) -> RunConfig:
    return load_config(["--config", "configs/demo.yaml", *flags])


@pytest.mark.parametrize(
    ("about", "name"),
    [
        (("phantoms", "8 filters", "seed 1"), "comparison-phantoms-8-filters-seed-1-{date}-{time}"),
        ((None, "8 filters"), "comparison-8-filters-{date}-{time}"),
        (("{odd}/ name'; é", ""), "comparison-odd-name-é-{date}-{time}"),
        (("x" * 100,), f"comparison-{'x' * 40}-{{date}}-{{time}}"),
        (("***",), "comparison-{date}-{time}"),
    ],
)
def test_a_run_is_named_by_what_it_is_about(about: tuple[str | None, ...], name: str) -> None:
    assert run_name("comparison", *about) == name


def test_the_steps_of_a_variant_are_a_group() -> None:
    config = config_of("--budgets", "0.25", "--weight_bits", "8", "--recalibrate", "--base_filters", "8,4")
    found = groups(config)
    assert set(found) <= set(step_names(config)), "ZenML warns of steps that there are not"
    of_group: dict[str, set[str]] = {}
    for step, option in found.items():
        of_group.setdefault(str(option["group"].name), set()).add(step.removesuffix(f"_{option['group'].name}"))
    assert of_group["budget_0.25"] == {"compress", "recalibrate", "evaluate"}
    assert of_group["budget_0.25_w8"] == {"compress", "recalibrate", "evaluate"}
    assert of_group["baseline_w8"] == {"compress", "evaluate"}
    assert of_group["baseline"] == of_group["filters_4"] == {"evaluate"}
    assert of_group["filters_4_budget_0.25"] == {"compress", "recalibrate", "evaluate"}


def test_options_of_steps_stay_beside_their_group() -> None:
    given = {"enable_cache": True, "steps": {"evaluate_baseline": {"environment": {"A": "b"}}, "train_unet": {}}}
    options = labelled(given, "comparison", config_of("--seed", "7"), "phantoms")
    assert options["run_name"] == "comparison-phantoms-8-filters-seed-7-{date}-{time}"
    assert options["steps"]["evaluate_baseline"]["environment"] == {"A": "b"}
    assert options["steps"]["evaluate_baseline"]["group"].name == "baseline"
    assert options["enable_cache"] is True
    assert "group" not in given["steps"]["evaluate_baseline"], "what was given is not changed"


def test_a_network_of_the_users_own_is_named() -> None:
    assert network_name(config_of().model) == "8 filters"
    assert "BasicUNet" in network_name(load_config(["--network", "monai.networks.nets.BasicUNet"]).model)


def test_every_variant_has_tags_of_its_method_and_its_name() -> None:
    tags = labels._tags_of_variants(config_of("--budgets", "0.25"))
    assert tags["svd_budget_0.25_network"] == ["network", "svd", "svd_budget_0.25"]
    assert tags["budget_0.25_result"] == ["result", "budget", "budget_0.25"]
    assert tags["budget_0.25_masks"] == ["masks", "budget", "budget_0.25"]
    assert tags["baseline_result"] == ["result", "baseline"]
    assert tags["baseline_network"] == ["network", "baseline"]


class Store:
    """ZenML's client: what was tagged; of nothing else it knows."""

    def __init__(self) -> None:
        self.tagged: dict[str, list[str]] = {}

    def update_artifact(self, artifact: str, add_tags: list[str]) -> None:
        self.tagged[artifact] = add_tags


def run_that_made(*artifacts: tuple[str, str]) -> Any:
    """A run of one step; of each of its artifacts the name, and a tag that it has."""
    made = [SimpleNamespace(id=f"id of {name}", name=name, tags=[SimpleNamespace(name=tag)]) for name, tag in artifacts]
    outputs = {each.name: [SimpleNamespace(artifact=each)] for each in made}
    return SimpleNamespace(pipeline=None, steps={"step": SimpleNamespace(outputs=outputs)})


def test_only_what_the_run_has_made_is_tagged_and_only_with_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    monkeypatch.setattr(labels, "Client", lambda: store)
    label(run_that_made(("budget_0.25_result", "result"), ("dataset", "data"), ("other", "")), config_of())
    assert store.tagged == {"id of budget_0.25_result": ["budget", "budget_0.25"]}


@pytest.mark.parametrize(
    "error", [DoesNotExistException("no such tag"), ConnectionError("gone"), KeyError("id"), ValueError("too long")]
)
def test_a_run_does_not_fail_because_zenml_takes_no_labels(
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(self: Store, artifact: str, add_tags: list[str]) -> None:
        raise error

    monkeypatch.setattr(labels, "Client", Store)
    monkeypatch.setattr(Store, "update_artifact", refuse)
    label(run_that_made(("dataset", "")), None)
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warning.exc_info is not None
    assert type(error).__name__ in capsys.readouterr().err


def test_a_fault_of_our_own_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "Client", Store)
    with pytest.raises(AttributeError):
        label(SimpleNamespace(pipeline=None), None)


@pytest.mark.parametrize("remote", [True, False])
def test_a_run_is_labelled_when_its_results_are_there(remote: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for name in ("check_finished", "_bundle_of", "copy_results", "label"):
        monkeypatch.setattr(pipeline_run, name, lambda *given, name=name: done.append(name))
    monkeypatch.setattr(pipeline_run, "_finished_run", lambda *given: None)
    monkeypatch.setattr(pipeline_run, "read_settings", lambda config: {})
    pipeline_run.run_on_stack(config_of(), Devices("cpu"), Path(), "command", remote, None)
    copied = ["check_finished", "_bundle_of", "copy_results"] if remote else ["_bundle_of"]
    assert done == [*copied, "label"]
