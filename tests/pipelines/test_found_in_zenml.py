"""What ZenML's commands and dashboard find of a run, and which model version is in production."""

import json
from typing import Any

import pytest

from tests.pipelines.workshop import TINY_VARIANTS, Workshop

pytestmark = pytest.mark.pipeline

ASK = """
import json
from zenml.client import Client
client = Client()
run = client.list_pipeline_runs(sort_by="desc:created", size=1, hydrate=True).items[0]
dag = client.zen_store.get_pipeline_run_dag(run.id)
steps = [node for node in dag.nodes if node.type == "step"]
print(json.dumps({
    "run": run.name,
    "description": client.get_pipeline("comparison").get_metadata().description,
    "networks": [each.name for each in client.list_artifacts(tags="network", size=100).items],
    "svd": [each.name for each in client.list_artifacts(tags=["svd", "network"], size=100).items],
    "masks": [each.name for each in client.list_artifacts(tags="masks", size=100).items],
    "groups": {node.name: (node.metadata.get("group") or {}).get("name") for node in steps},
    "load": client.get_artifact_version("train_history").run_metadata.get("machine_load"),
}))
"""
STAGES = """
import json
from zenml.client import Client
versions = Client().list_model_versions(model="compressed_unet", size=100, hydrate=True).items
print(json.dumps({
    str(each.number): [each.stage, each.run_metadata.get("registered"), [tag.name for tag in each.tags]]
    for each in versions
}))
"""


def asked(workshop: Workshop, code: str) -> dict[str, Any]:
    done = workshop.call("python", "-c", code)
    assert done.status == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_runs_steps_and_artifacts_are_found_by_what_they_are(workshop: Workshop) -> None:
    found = asked(workshop, ASK)
    assert found["run"].startswith("comparison-data-4-filters-seed-42-")
    assert found["description"].startswith("Reads a data set, trains a U-Net, ")
    assert set(found["networks"]) >= {f"{name}_network" for name in TINY_VARIANTS}
    assert set(found["svd"]) == {f"{name}_network" for name in TINY_VARIANTS if name.startswith("svd_rank_")}
    assert set(found["masks"]) == {f"{name}_masks" for name in TINY_VARIANTS}
    for name in TINY_VARIANTS - {"baseline"}:
        assert found["groups"][f"compress_{name}"] == found["groups"][f"evaluate_{name}"] == name
    assert found["groups"]["train_unet"] is None
    assert isinstance(found["load"], dict), "a training says what it took of its machine, as far as it lasted"


@pytest.mark.slow  # two whole runs
def test_what_is_registered_is_in_production_and_what_was_is_archived(workshop: Workshop) -> None:
    for variant in ("svd_rank_1", "svd_rank_2"):
        done = workshop.run("--register", "tumor", "--register_variant", variant)
        assert "has the stage production now" in done.stdout
    stages = asked(workshop, STAGES)
    (production,) = [each for each in stages.values() if each[0] == "production"]
    (archived,) = [each for each in stages.values() if each[0] == "archived"]
    assert production[1] == {"variant": "svd_rank_2", "mlflow": "models:/tumor/2"}
    assert "svd_rank_2" in production[2]
    assert archived[1] == {"variant": "svd_rank_1", "mlflow": "models:/tumor/1"}
