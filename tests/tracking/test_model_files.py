"""A network's folder by its name in MLflow."""

import os
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from tracking.model_files import ModelFilesError, network_of_model


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with models whose files hold a network at the top, deeper, twice, and not at all."""
    folder = tmp_path_factory.mktemp("mlflow")
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.create_experiment("networks", artifact_location=(folder / "artifacts").as_uri())
    places = {"top": ["."], "deep": ["artifacts/network"], "several": ["one", "other"], "foreign": []}
    for name, networks in places.items():
        run = client.create_run(experiment)
        files = folder / name
        files.mkdir()
        (files / "MLmodel").write_text("flavors: {}")
        for place in networks:
            (files / place).mkdir(parents=True, exist_ok=True)
            (files / place / "network.json").write_text(f'{{"of": "{name}"}}')
        client.log_artifacts(run.info.run_id, str(files), "network")
        client.create_registered_model(name)
        client.create_model_version(name, f"{run.info.artifact_uri}/network", run.info.run_id)
        client.set_registered_model_alias(name, "champion", "1")
        if name == "top":
            client.set_tag(run.info.run_id, "is", "top")
    return f"sqlite:///{folder}/mlflow.db"


@pytest.mark.parametrize("name", ["models:/{}@champion", "models:/{}/1"])
@pytest.mark.parametrize("model", ["top", "deep"])
def test_the_folder_of_the_network_is_found_wherever_it_lies_in_the_model(
    uri: str, tmp_path: Path, name: str, model: str
) -> None:
    found = network_of_model(name.format(model), uri, tmp_path)
    assert found.is_relative_to(tmp_path)
    assert (found / "network.json").read_text() == f'{{"of": "{model}"}}'


def test_the_files_of_a_run_have_a_name_too(uri: str, tmp_path: Path) -> None:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("networks").experiment_id
    (run,) = client.search_runs([experiment], "tags.is = 'top'")
    found = network_of_model(f"runs:/{run.info.run_id}/network", uri, tmp_path)
    assert (found / "network.json").is_file()


def test_where_mlflow_records_is_as_it_was(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = mlflow.get_tracking_uri()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    network_of_model("models:/top/1", uri, tmp_path)
    assert mlflow.get_tracking_uri() == before
    assert "MLFLOW_TRACKING_URI" not in os.environ


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("models:/several@champion", r"holds several networks \(one, other\): name the place of one"),
        ("models:/foreign@champion", r"is no network of this project: there is no network\.json in it"),
        ("models:/top@nobody", r"does not give models:/top@nobody \(.*nobody.*\): check the name, the alias"),
        ("models:/none/1", r"does not give models:/none/1 \("),
        ("runs:/none/network", r"does not give runs:/none/network \("),
        ("models:/top/one/more", r"does not give models:/top/one/more \("),
    ],
)
def test_what_mlflow_does_not_have_is_said_in_a_sentence(uri: str, tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ModelFilesError, match=said) as error:
        network_of_model(name, uri, tmp_path)
    assert "\n" not in str(error.value)
