"""MLflow models opened and served where this project is not, without pickles."""

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.models import Model

import torch_lowrank as lr
from models.preprocessing import Preprocessing
from models.serving.segmenter import DEFAULTS, Segmenter
from models.serving.travelling_code import travelling_code
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE, VariantSpec
from tests.tracking.recorded import RESULTS, model_of, record, training
from tracking.registry import ALIAS, register
from tracking.run_records import Serving, TrainingRecord

ROOT = Path(__file__).resolve().parents[2]
SECONDS_TO_START = 180  # a busy machine takes its time
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 37, 50, 1), np.uint8)


@dataclasses.dataclass(frozen=True)
class Logged:
    """Two variants in a database, the second registered as `tumor-unet`, and what they predict."""

    uri: str
    run: str
    folder: Path
    network: Path
    predicted: np.ndarray


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Logged:
    base = tmp_path_factory.mktemp("logged")
    uri = f"sqlite:///{shutil.copy(empty_database, base / 'mlflow.db')}"
    torch.manual_seed(0)
    dense = Variant(BASELINE, UNet(1, 1, 4).eval(), Preprocessing(0.3, 0.2, 1, (32, 32)), 1)
    network = lr.quantize_weights(lr.compress(dense.network, lr.FixedRank(8)).network, bits=8)
    small = dataclasses.replace(dense, network=network, spec=VariantSpec("svd", rank=8))
    for variant in (dense, small):
        variant.save(base / "networks" / variant.name)
    run = record(uri, RESULTS, real_training(dense), base)["svd_rank_8"]
    register(uri, "tumor-unet", "svd_rank_8", run, "small")
    folder = Path(model_of(uri, run).artifact_location.removeprefix("file://"))
    return Logged(uri, run, folder, base / "networks" / "svd_rank_8", Segmenter(small).predict(IMAGES))


def real_training(dense: Variant) -> TrainingRecord:
    code = travelling_code(dense)
    return training(serving=Serving(code.loader, code.files, code.requirements, DEFAULTS, 1, 1, (32, 32)))


def test_the_model_folder_holds_no_pickle_and_the_network_as_it_was(logged: Logged) -> None:
    files = [file for file in logged.folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    suffixes = {file.suffix for file in files}
    assert suffixes <= {".py", ".json", ".yaml", ".txt", ".safetensors", ""}
    for file in files:
        if file.suffix != ".safetensors":
            file.read_text(encoding="utf-8")
            assert not file.read_bytes().startswith(b"\x80"), "a pickle begins so"
    for name in ("network.json", "weights.safetensors"):
        assert (logged.folder / name).read_bytes() == (logged.network / name).read_bytes()


def test_the_model_says_what_goes_in_and_out_and_what_it_needs(logged: Logged) -> None:
    about = Model.load(str(logged.folder / "MLmodel"))
    assert [(spec.type, spec.shape) for spec in about.signature.inputs] == [(np.dtype("uint8"), (-1, -1, -1, 1))]
    assert [(spec.type, spec.shape) for spec in about.signature.outputs] == [(np.dtype("float32"), (-1, 1, -1, -1))]
    example = about.load_input_example(str(logged.folder))
    assert (example.shape, example.dtype, example.any()) == ((1, 32, 32, 1), np.uint8, False)
    assert (about.run_id, about.model_id) == (logged.run, model_of(logged.uri, logged.run).model_id)
    needed = (logged.folder / "requirements.txt").read_text().split()
    packages = {"mlflow", "numpy", "safetensors", "torch", "torch-lowrank"}
    assert {need.partition("==")[0] for need in needed} == packages
    assert f"torch-lowrank=={lr.__version__}" in needed


def test_a_version_says_what_it_is_and_where_it_is_from(logged: Logged) -> None:
    version = MlflowClient(logged.uri).get_model_version_by_alias("tumor-unet", ALIAS)
    model = model_of(logged.uri, logged.run)
    assert (version.source, version.run_id) == (f"models:/{model.model_id}", logged.run)
    size = (logged.network / "weights.safetensors").stat().st_size
    assert version.tags == {
        "variant": "svd_rank_8",
        "dice": "0.7",
        "dice_lesion": version.tags["dice_lesion"],
        "weights_bytes": str(size),
        "data_digest": "d",
    }
    assert float(version.tags["dice_lesion"]) == pytest.approx(
        MlflowClient(logged.uri).get_run(logged.run).data.metrics["dice_lesion"], rel=1e-5
    )
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "tumor-unet", "version": version.version}]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where only the engine is found, beside a package of another's that is called `models`."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(ROOT / "torch_lowrank", folder / "torch_lowrank", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "models").mkdir()
    (folder / "models" / "__init__.py").write_text("raise ImportError('of somebody else')")
    return folder


def environment(elsewhere: Path, uri: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PYTHON"))}
    return {**kept, "PYTHONPATH": str(elsewhere), "MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true"}


CHECKS = """
import sys
from mlflow.exceptions import MlflowException
assert probabilities.shape == (4, 1, 128, 128) and masks.shape == (4, 128, 128)
images = np.load("images.npy")
np.save("predicted.npy", model.predict(images))
for wrong in (images.astype(np.float32), images[..., 0], np.repeat(images, 3, axis=3)):
    try:
        model.predict(wrong)
    except MlflowException as error:
        assert "uint8" in str(error) or "(-1, -1, -1, 1)" in str(error), error
    else:
        raise SystemExit("taken")
assert not any("ROOT" in (getattr(module, "__file__", None) or "") for module in sys.modules.values())
"""


def test_the_code_of_the_manual_opens_the_champion_where_this_project_is_not(
    logged: Logged, elsewhere: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    _, _, page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").partition("## MLflow")
    code = page.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "client.py").write_text(code + CHECKS.replace("ROOT", f"{ROOT}/models/"))
    done = subprocess.run(
        [sys.executable, "client.py"],
        cwd=tmp_path,
        env=environment(elsewhere, logged.uri),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "predicted.npy"), logged.predicted, atol=1e-6)


@contextlib.contextmanager
def served(logged: Logged, elsewhere: Path, folder: Path) -> Iterator[str]:
    """The address of `mlflow models serve` for the champion."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", "models:/tumor-unet@champion"]
    command += ["--env-manager", "local", "--port", str(port), "--workers", "1"]
    variables = environment(elsewhere, logged.uri)
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
    with (folder / "serve.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(2 * SECONDS_TO_START):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5)
                break
            time.sleep(0.5)
        else:
            pytest.fail((folder / "serve.log").read_text())
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def ask(address: str, content: dict) -> dict:
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address, json.dumps(content).encode(), headers)) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_mlflow_serves_the_champion(logged: Logged, elsewhere: Path, tmp_path: Path) -> None:
    with served(logged, elsewhere, tmp_path) as address:
        answer = ask(address, {"inputs": IMAGES.tolist()})
        np.testing.assert_allclose(answer["predictions"], logged.predicted, atol=1e-5)
        request = json.loads((logged.folder / "serving_input_example.json").read_text())
        assert np.shape(ask(address, request)["predictions"]) == (1, 1, 32, 32)
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, {"inputs": IMAGES[..., 0].tolist()})
        assert refused.value.code == 400
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, {"inputs": [[[[256]]]]})
        assert refused.value.code == 400
        assert "out of bounds for uint8" in refused.value.read().decode()
