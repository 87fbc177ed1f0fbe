"""MLflow models: every variant's network as a folder that MLflow opens and serves, without pickles.

The folder is that of MLflow's own `save_model`. Here its parts are written one by one, as nothing is to be inferred,
loaded or predicted meanwhile: that takes seconds a variant.
"""

from __future__ import annotations

import hashlib
import json
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import yaml
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from torch_lowrank.io import DESCRIPTION, WEIGHTS
from tracking.run_records import Serving

VARIANT, WEIGHTS_BYTES = "variant", "weights_bytes"  # tags of a model
TRAINING, DATA_DIGEST = "training", "data_digest"  # tags of all runs of one training, and of their models
_CODE, _REQUIREMENTS, _CONDA, _VIRTUALENV = "code", "requirements.txt", "conda.yaml", "python_env.yaml"
_SHARED_TAGS = (TRAINING, DATA_DIGEST, "git_commit")
_EXAMPLE, _REQUEST = "input_example.json", "serving_input_example.json"
_NOT_IN_NAMES = str.maketrans(dict.fromkeys("/:.%\"'", "_"))  # MLflow's rule for names of models


def network_digest(network: Path) -> str:
    """Returns a digest of a saved network's folder: its description holds the digest of its weights."""
    return hashlib.sha256((network / DESCRIPTION).read_bytes()).hexdigest()


def signature(serving: Serving) -> ModelSignature:
    """Returns what goes in and out: images uint8 (N, H, W, C), probabilities float32 (N, classes, H, W)."""
    images = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, serving.channels))  # unnamed: one array, and no dictionary
    probabilities = TensorSpec(np.dtype(np.float32), (-1, serving.classes, -1, -1))
    return ModelSignature(Schema([images]), Schema([probabilities]))


class ModelLog:
    """Writes the MLflow models of an experiment's runs, and removes them.

    Args:
        client: MLflow's client.
        experiment_id: The experiment.
    """

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id

    def by_run(self, training: str) -> dict[str, list[LoggedModel]]:
        """Returns the models of a training's runs, also half-written ones, by the run's id.

        Args:
            training: Their tag of that name.
        """
        found: dict[str, list[LoggedModel]] = {}
        condition, token = f"tags.{TRAINING} = '{training}'", None
        while True:
            page = self._client.search_logged_models([self._experiment_id], condition, page_token=token)
            for model in page:
                found.setdefault(str(model.source_run_id), []).append(model)
            if not page.token:
                return found
            token = page.token

    def start(self, run_id: str, variant: str, network: Path, params: dict[str, Any], tags: dict[str, str]) -> str:
        """Creates the model of a run, still without files, and returns its id; metrics can be attached to it.

        Args:
            run_id: The run.
            variant: Name of the variant.
            network: Folder of its network.
            params: What it was made with; values are stored as text.
            tags: Of the run; those that hold for all runs of a training become tags of the model.
        """
        shared = {tag: tags[tag] for tag in _SHARED_TAGS if tag in tags}
        model = self._client.create_logged_model(
            self._experiment_id,
            name=variant.translate(_NOT_IN_NAMES),
            source_run_id=run_id,
            tags={**shared, VARIANT: variant, WEIGHTS_BYTES: str(_size(network))},
            params={key: str(value) for key, value in params.items()},
        )
        self._client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        return model.model_id

    def finish(self, run_id: str, model_id: str, network: Path, serving: Serving) -> None:
        """Writes the files of a model that was started, and marks it as ready."""
        with tempfile.TemporaryDirectory() as temporary:
            write_model(Path(temporary), serving, Model(run_id=run_id, model_id=model_id, model_uuid=model_id))
            self._client.log_model_artifacts(model_id, temporary)
        self._client.log_model_artifacts(model_id, str(network))  # so that `load_network` opens the whole folder, too
        self._client.finalize_logged_model(model_id, LoggedModelStatus.READY)

    def discard(self, run_id: str, models: Sequence[LoggedModel]) -> None:
        """Deletes the models of a run, unless the registry has versions of them."""
        if not self._client.search_model_versions(f"run_id = '{run_id}'", max_results=1):
            for model in models:
                self._client.delete_logged_model(model.model_id)


def is_complete(models: Sequence[LoggedModel]) -> bool:
    """Returns whether the models of a run are as they should be: one, written to its end."""
    return [model.status for model in models] == [LoggedModelStatus.READY]


def write_model(folder: Path, serving: Serving, about: Model) -> None:
    """Writes a folder that `mlflow.pyfunc.load_model` opens once the files of a saved network are added to it.

    Args:
        folder: Where to.
        serving: How the network is opened.
        about: The model's ids; it is completed.
    """
    for place, content in serving.code.items():
        file = folder / _CODE / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    requirements = [f"mlflow=={mlflow.__version__}", *serving.requirements]
    (folder / _REQUIREMENTS).write_text("\n".join(requirements) + "\n", encoding="utf-8")
    for name, environment in _environments(requirements).items():
        (folder / name).write_text(yaml.safe_dump(environment, sort_keys=False), encoding="utf-8")
    image = np.zeros((1, *serving.example_size, serving.channels), np.uint8).tolist()  # no image of the data
    (folder / _EXAMPLE).write_text(json.dumps(image), encoding="utf-8")
    (folder / _REQUEST).write_text(json.dumps({"inputs": image}), encoding="utf-8")
    about.signature = signature(serving)
    about.saved_input_example_info = {"artifact_path": _EXAMPLE, "serving_input_path": _REQUEST, "type": "ndarray"}
    mlflow.pyfunc.add_to_model(
        about,
        loader_module=serving.loader,
        code=_CODE,
        conda_env=_CONDA,
        python_env=_VIRTUALENV,
        model_config=dict(serving.config),
    )
    about.save(str(folder / "MLmodel"))


def _environments(requirements: list[str]) -> dict[str, dict[str, Any]]:
    """Returns the files that describe the model's environment for conda and for virtualenv, by name."""
    python = platform.python_version()
    return {
        _CONDA: {
            "name": "mlflow-env",
            "channels": ["conda-forge"],
            "dependencies": [f"python={python}", "pip", {"pip": requirements}],
        },
        _VIRTUALENV: {
            "python": python,
            "build_dependencies": ["pip", "setuptools", "wheel"],
            "dependencies": [f"-r {_REQUIREMENTS}"],
        },
    }


def _size(network: Path) -> int:
    """Returns the bytes of a network's weights, 0 where there are none."""
    file = network / WEIGHTS
    return file.stat().st_size if file.exists() else 0
