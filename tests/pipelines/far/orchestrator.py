"""An orchestrator that runs every step as a process of its own, in a copy of the code that is removed afterwards."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

from zenml.client import Client
from zenml.entrypoints.step_entrypoint_configuration import StepEntrypointConfiguration
from zenml.orchestrators import BaseOrchestrator, BaseOrchestratorConfig, BaseOrchestratorFlavor

CODE = (
    "analysis",
    "configs",
    "dataset",
    "far",
    "materializers",
    "models",
    "pipelines",
    "reporting",
    "steps",
    "torch_lowrank",
    "tracking",
    "run_pipeline.py",
)


class AloneConfig(BaseOrchestratorConfig):
    """Neither local nor remote: ZenML's database may be a file, and steps do not run in the caller's process."""


class AloneOrchestrator(BaseOrchestrator):
    """Runs one step after another; nothing but the store and ZenML's database outlives one."""

    def get_orchestrator_run_id(self) -> str:
        return os.environ["ALONE_RUN"]

    def submit_pipeline(self, snapshot, stack, base_environment, step_environments, placeholder_run=None) -> None:
        os.environ |= {"ALONE_RUN": str(uuid4()), "FAR_PROJECT": str(Path.cwd())}
        starter = subprocess.Popen(
            [sys.executable, "far/entry.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            text=True,
        )
        with starter:
            for name in snapshot.step_configurations:
                arguments = StepEntrypointConfiguration.get_entrypoint_arguments(
                    step_name=name, snapshot_id=str(snapshot.id)
                )
                status = self._run(starter, arguments, step_environments[name])
                if status != "0":
                    raise RuntimeError(f"step {name} ended with {status}")
            starter.stdin.close()

    def _run(self, starter: subprocess.Popen, arguments: list[str], environment: dict) -> str:
        with tempfile.TemporaryDirectory(prefix="machine-") as machine:
            for part in CODE:
                copy = shutil.copytree if Path(part).is_dir() else shutil.copy
                copy(part, Path(machine, part))
            place = {"TMPDIR": machine, "ZENML_ACTIVE_STACK_ID": str(Client().active_stack_model.id)}
            order = {"machine": machine, "arguments": arguments, "environment": environment | place}
            starter.stdin.write(json.dumps(order) + "\n")
            starter.stdin.flush()
            lines = iter(starter.stdout.readline, "")
            status = next((line.strip() for line in lines if line.strip().lstrip("-").isdigit()), "nothing")
        shutil.rmtree(os.environ["FAR_MACHINE"], ignore_errors=True)  # the folder that `remote_dir` names
        return status


class AloneFlavor(BaseOrchestratorFlavor):
    """Named `alone`."""

    name = "alone"
    config_class = AloneConfig
    implementation_class = AloneOrchestrator
