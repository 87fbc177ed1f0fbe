"""What is registered is in production in ZenML, too."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from zenml.client import Client
from zenml.config.global_config import GlobalConfiguration

from tracking.pages.model_stages import STAGE, promote

MODEL = "compressed_unet"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """ZenML with a database of its own, in which a model has two versions."""
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(tmp_path / "zenml"))
    monkeypatch.setenv("ZENML_ANALYTICS_OPT_IN", "false")
    monkeypatch.chdir(tmp_path)
    GlobalConfiguration._reset_instance()
    Client._reset_instance()
    client = Client()
    client.create_model(MODEL)
    for _ in range(2):
        client.create_model_version(MODEL)
    yield client
    GlobalConfiguration._reset_instance()
    Client._reset_instance()


@pytest.mark.slow  # ZenML takes long to make a database; tests/pipelines/test_comparison.py registers
def test_the_stage_moves_to_what_was_registered_last(client: Client) -> None:
    for number in (1, 2, 2):
        promote(client.get_model_version(MODEL, number), f"svd_rank_{number}", f"models:/tumor/{number}")
    first, second = (client.get_model_version(MODEL, number) for number in (1, 2))
    assert (first.stage, second.stage) == ("archived", STAGE.value)
    assert second.run_metadata["registered"] == {"variant": "svd_rank_2", "mlflow": "models:/tumor/2"}
    assert [tag.name for tag in second.tags] == ["svd_rank_2"]
