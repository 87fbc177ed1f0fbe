"""MLflow models: one a variant, complete and once each, whatever there was before."""

import contextlib
import dataclasses
import json
import os
import sqlite3
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from tests.comparisons import make_result
from tests.tracking.recorded import DATA, RESULTS, active, model_of, models, names, record, training
from tracking.registry import RegistrationError, register
from tracking.run_records import Data
from tracking.served_models import ModelLog


def test_every_variant_is_one_model_with_its_numbers(uri: str, tmp_path: Path) -> None:
    recorded = record(uri, [*RESULTS, make_result("arsvd", 0.9, 0.75, 500)], training(), tmp_path)
    found = {model.tags["variant"]: model for model in models(uri)}
    assert {name: model.source_run_id for name, model in found.items()} == recorded
    assert {model.name for model in found.values()} == {"baseline", "svd_rank_8", "arsvd_tau_0_9"}
    assert {str(model.status) for model in found.values()} == {"READY"}
    svd = found["svd_rank_8"]
    assert (svd.params["method"], svd.params["rank"], svd.params["training.epochs"]) == ("svd", "8", "2")
    numbers = {metric.key: metric for metric in svd.metrics}
    assert numbers["dice"].value == pytest.approx(0.7)
    assert (numbers["dice"].dataset_name, numbers["dice"].dataset_digest) == (DATA.name, DATA.digest)
    for run in active(uri):
        outputs = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
        wanted = [found[run.info.run_name].model_id] if run.info.run_name in found else []
        assert outputs == wanted


def test_recording_again_logs_no_model_again(uri: str, tmp_path: Path) -> None:
    record(uri, RESULTS, training(), tmp_path)
    before = {model.model_id for model in models(uri)}
    record(uri, RESULTS, training(), tmp_path)
    assert {model.model_id for model in models(uri)} == before


def test_other_times_are_written_into_the_model_too(uri: str, tmp_path: Path) -> None:
    run = record(uri, RESULTS, training(), tmp_path)["svd_rank_8"]
    before = model_of(uri, run)
    record(uri, [RESULTS[0], make_result("svd", 8, 0.7, 300, latency_ms=5.0)], training(), tmp_path)
    after = model_of(uri, run)
    assert after.model_id == before.model_id
    latest = max((metric for metric in after.metrics if metric.key == "latency_ms"), key=lambda each: each.timestamp)
    assert latest.value == 5


@pytest.mark.parametrize("change", ["network", "code"])
def test_another_network_or_other_code_replaces_run_and_model(uri: str, tmp_path: Path, change: str) -> None:
    before = record(uri, RESULTS, training(), tmp_path)["svd_rank_8"]
    serving = training().serving
    if change == "network":
        (tmp_path / "networks" / "svd_rank_8" / "network.json").write_text('{"weights_sha256": "other"}')
    else:
        serving = dataclasses.replace(serving, code={"opener.py": b"def _load_pyfunc(folder): return folder"})
    after = record(uri, RESULTS, training(serving=serving), tmp_path)["svd_rank_8"]
    assert after != before
    assert names(uri) == ["baseline", "svd_rank_8", "training"]
    assert sorted(model.tags["variant"] for model in models(uri)) == ["baseline", "svd_rank_8"]


def test_another_version_of_a_requirement_replaces_nothing(uri: str, tmp_path: Path) -> None:
    before = record(uri, RESULTS, training(), tmp_path)
    serving = dataclasses.replace(training().serving, requirements=("torch==9.9",))
    assert record(uri, RESULTS, training(serving=serving), tmp_path) == before


@pytest.mark.parametrize("case", ["none, as in older records", "half-written", "two", "of a run that was deleted"])
def test_whatever_models_there_are_each_variant_has_one_afterwards(uri: str, tmp_path: Path, case: str) -> None:
    run = record(uri, RESULTS, training(), tmp_path)["svd_rank_8"]
    client, model = MlflowClient(uri), model_of(uri, run)
    if case.startswith("none"):
        client.delete_logged_model(model.model_id)
    elif case == "half-written":
        client.finalize_logged_model(model.model_id, "FAILED")
    elif case == "two":
        log = ModelLog(client, model.experiment_id)
        log.start(run, "svd_rank_8", tmp_path, {}, client.get_run(run).data.tags)
    else:
        client.delete_run(run)
    recorded = record(uri, RESULTS, training(), tmp_path)
    assert recorded["svd_rank_8"] != run
    assert names(uri) == ["baseline", "svd_rank_8", "training"]
    found = {model.tags["variant"]: model.source_run_id for model in models(uri)}
    assert (found, len(models(uri))) == (recorded, 2)


def test_a_record_without_a_place_of_the_data_is_completed(uri: str, tmp_path: Path) -> None:
    record(uri, RESULTS, training(), tmp_path)
    client = MlflowClient(uri)
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE datasets SET name = 'old', dataset_schema = NULL, dataset_source_type = 'code'")
        database.commit()
    recorded = record(uri, [*RESULTS, make_result("svd", 4, 0.79, 200)], training(), tmp_path)
    (given,) = client.get_run(recorded["svd_rank_4"]).inputs.dataset_inputs
    assert given.dataset.name == DATA.name
    (parent,) = [run for run in active(uri) if run.info.run_name == "training"]
    assert {item.dataset.name for item in parent.inputs.dataset_inputs} == {"old", DATA.name}


@pytest.mark.parametrize(
    ("place", "kind", "uri"),
    [
        ("/data/brains", "local", "/data/brains"),
        ("file:///data/brains", "local", "file:///data/brains"),
        ("s3://somebody:secret@bucket/brains", "s3", "s3://bucket/brains"),
        ("gs://bucket/brains", "gs", "gs://bucket/brains"),
    ],
)
def test_data_have_a_place_that_mlflow_knows_and_a_schema(place: str, kind: str, uri: str) -> None:
    entity = Data("name", "d", {}, place, (32, 48, 3)).entity()
    assert (entity.source_type, json.loads(entity.source)) == (kind, {"uri": uri})
    schema = mlflow.data.schema.TensorDatasetSchema.from_dict(json.loads(entity.schema))
    assert schema.features.inputs[0].shape == (-1, 32, 48, 3)
    assert schema.targets.inputs[0].shape == (-1, 32, 48)
    assert mlflow.data.get_source(entity).uri == uri


def test_registering_leaves_the_process_with_its_own_server(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = record(uri, RESULTS, training(), tmp_path)["svd_rank_8"]
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = mlflow.get_tracking_uri()
    register(uri, "tumor", "svd_rank_8", run, "small")
    assert (mlflow.get_tracking_uri(), "MLFLOW_TRACKING_URI" in os.environ) == (before, False)


def test_a_run_without_a_model_is_not_registered(uri: str, tmp_path: Path) -> None:
    record(uri, RESULTS, training(), tmp_path)
    (parent,) = [run for run in active(uri) if run.info.run_name == "training"]
    with pytest.raises(RegistrationError, match="has no model; run the command again"):
        register(uri, "tumor", "svd_rank_8", parent.info.run_id, "small")


def test_a_version_stays_when_its_run_is_replaced(uri: str, tmp_path: Path) -> None:
    run = record(uri, RESULTS, training(), tmp_path)["svd_rank_8"]
    register(uri, "tumor", "svd_rank_8", run, "small")
    record(uri, [RESULTS[0], make_result("svd", 8, 0.65, 300)], training(), tmp_path)
    client = MlflowClient(uri)
    version = client.get_model_version("tumor", "1")
    assert client.get_logged_model(version.source.removeprefix("models:/")).source_run_id == run
    place = client.get_model_version_download_uri("tumor", "1").removeprefix("file://")
    assert (Path(place) / "network.json").is_file()
