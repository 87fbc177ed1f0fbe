"""Registers the stack in the project that this is run in, and makes it the project's own."""

from pathlib import Path

from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.utils import source_utils

ROOT = Path.cwd()
source_utils.set_custom_source_root(str(ROOT))
if not (ROOT / ".zen").exists():
    Client.initialize(ROOT)
client = Client()
client.activate_root(ROOT)
client.create_flavor("far.store.FarStoreFlavor", StackComponentType.ARTIFACT_STORE)
client.create_flavor("far.orchestrator.AloneFlavor", StackComponentType.ORCHESTRATOR)
PARTS = {
    StackComponentType.ARTIFACT_STORE: ("far", {"path": "hdfs://bucket"}),
    StackComponentType.ORCHESTRATOR: ("alone", {}),
    StackComponentType.EXPERIMENT_TRACKER: ("mlflow", {"tracking_uri": f"sqlite:///{ROOT / 'mlflow.db'}"}),
}
for kind, (flavor, configuration) in PARTS.items():
    client.create_stack_component("far", flavor, kind, configuration)
client.create_stack("far", dict.fromkeys(PARTS, "far"))
client.activate_stack("far")
