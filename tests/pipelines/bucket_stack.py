"""Registers a stack whose artifacts lie in one bucket, and a store for another, in the project that this is run in."""

import os
import sys
from pathlib import Path

from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.utils import source_utils

ROOT = Path.cwd()
artifacts, data = sys.argv[1:]
source_utils.set_custom_source_root(str(ROOT))
if not (ROOT / ".zen").exists():
    Client.initialize(ROOT)
client = Client()
client.activate_root(ROOT)
server = {"client_kwargs": {"endpoint_url": os.environ["S3_SERVER"], "region_name": "us-east-1"}}
for name, path in {"artifacts": artifacts, "data": data}.items():
    client.create_stack_component(name, "s3", StackComponentType.ARTIFACT_STORE, {"path": path, **server})
tracker = {"tracking_uri": f"sqlite:///{ROOT / 'mlflow.db'}"}
client.create_stack_component("mlflow", "mlflow", StackComponentType.EXPERIMENT_TRACKER, tracker)
parts = {
    StackComponentType.ARTIFACT_STORE: "artifacts",
    StackComponentType.ORCHESTRATOR: "default",
    StackComponentType.EXPERIMENT_TRACKER: "mlflow",
}
client.create_stack("buckets", parts)
client.activate_stack("buckets")
