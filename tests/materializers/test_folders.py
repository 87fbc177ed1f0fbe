"""Artifacts are sealed: what has changed in the store is never read."""

import dataclasses
import datetime
import hashlib
import json
import math
import uuid
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from zenml.artifact_stores.local_artifact_store import LocalArtifactStore, LocalArtifactStoreConfig
from zenml.enums import StackComponentType

from dataset.ingest import ingest
from materializers.dataset import DatasetMaterializer
from materializers.exports import ExportsMaterializer
from materializers.folders import SEAL, DamagedArtifactError, check_artifact
from materializers.masks import MasksMaterializer
from materializers.pictures import PicturesMaterializer
from materializers.predictions import PredictionsMaterializer
from materializers.records import HistoryMaterializer, ResultMaterializer
from materializers.report import ReportMaterializer
from materializers.spectra import SpectraMaterializer
from materializers.statistics import StatisticsMaterializer
from materializers.variant import StoredNetwork, StoredNetworkMaterializer, VariantMaterializer, networks_in_extra
from models.deployment.records import ExportedFile, Exports, Measured
from models.evaluation.results import Cost, EvaluationResult, Latency, Machine
from models.networks.errors import NetworkError
from models.networks.recipe import Recipe
from models.predicted import Predicted
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE, VariantSpec
from reporting.bundle import ReportBundle
from reporting.prediction_folder import Predictions
from reporting.predictions import write_predictions
from tests.dataset.coco_folder import CocoFolder, options
from tests.seen_images import coded
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.decomposition.decompose import decompose

RESULT = EvaluationResult(VariantSpec("svd", rank=1), Cost(10, 40, 100), {"dice": 0.5}, {"dice": [0.5]}, [])
KINDS = {
    "variant": VariantMaterializer,
    "spectra": SpectraMaterializer,
    "statistics": StatisticsMaterializer,
    "result": ResultMaterializer,
    "history": HistoryMaterializer,
    "report": ReportMaterializer,
    "pictures": PicturesMaterializer,
    "dataset": DatasetMaterializer,
    "predictions": PredictionsMaterializer,
    "exports": ExportsMaterializer,
    "masks": MasksMaterializer,
}


class FarConfig(LocalArtifactStoreConfig):
    """As a bucket: files are reached through the store alone."""

    @property
    def is_local(self):
        return False


@pytest.fixture(params=[LocalArtifactStoreConfig, FarConfig], ids=["local", "far"])
def store(request, tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    return LocalArtifactStore(
        name="store",
        id=uuid.uuid4(),
        config=request.param(path=str(tmp_path / "store")),
        flavor="local",
        type=StackComponentType.ARTIFACT_STORE,
        user=None,
        created=now,
        updated=now,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    torch.manual_seed(0)
    network = UNet(1, 1, 4).eval()
    return {
        "variant": Variant(BASELINE, network, Preprocessing(0, 1), 1),
        "spectra": decompose(network),
        "statistics": collect_statistics(network, [torch.rand(2, 1, 16, 16)]),
        "result": RESULT,
        "history": {"epochs": [{"epoch": 1}], "best_epoch": 1},
        "report": ReportBundle(
            [RESULT],
            {"report.html": b"<p>", "plots/a.png": b"png", "results.csv": b"1"},
            {"svd_rank_1": "id"},
            "view",
            Exports("svd_rank_1", {"dice": 0.5}, formats=[ExportedFile("pt2", "model.pt2", fault="a fault")]),
        ),
        "pictures": {"training": b"png", "masks": b"gnp"},
        "exports": Exports(
            "svd_rank_1",
            {"dice": 0.5},
            formats=[ExportedFile("pt2", "model.pt2", 7, "one image", None, "a fault")],
            files={"model.pt2": b"content", "monai_bundle/LICENSE": b"text"},
        ),
        "dataset": ingest(CocoFolder(folder / "coco").write(), folder / "arrays", options()),
        "predictions": predictions(folder / "predictions"),
        "masks": coded(np.eye(5, dtype=np.uint8)[None].repeat(2, 0)),
    }


@pytest.mark.parametrize("kind", ["exports", "report"])
def test_records_of_files_that_give_no_numbers_are_strict_json(kind, data, store):
    latency = Latency(2.0, 0.5, 0.45, 0.55, Machine("a processor", 4, 2))
    nothing = Measured(math.inf, 1.0, {"dice": math.nan}, latency)
    entry = ExportedFile("onnx_int8", "model_int8.onnx", 7, "one image", nothing, "a fault")
    exports = Exports("svd_rank_1", {"dice": 0.5}, latency, [entry])
    given = exports if kind == "exports" else dataclasses.replace(data["report"], exports=exports)
    materializer = stored(kind, {kind: given}, store)
    for file in files_of(materializer):
        if file.suffix == ".json":
            json.loads(file.read_bytes(), parse_constant=pytest.fail)
    loaded = materializer.load(type(given))
    (again,) = (loaded if kind == "exports" else loaded.exports).formats
    assert again.measured.max_difference == math.inf
    assert math.isnan(again.measured.metrics["dice"])


def predictions(folder):
    """Two masks, in two folders."""
    names, labels = ["a.png", "deep/b.png"], np.eye(4, dtype=np.uint8)
    folder.mkdir()
    write_predictions(
        (Predicted(name, labels[..., None], labels, np.float32(labels)) for name in names), names, folder, 1
    )
    return Predictions(folder)


def stored(kind, data, store):
    materializer = KINDS[kind](f"{store.path}/artifact", store)
    Path(materializer.uri).mkdir(parents=True)
    materializer.save(data[kind])
    return materializer


def files_of(materializer):
    return sorted(file for file in Path(materializer.uri, materializer.FOLDER).rglob("*") if file.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_stored_comes_back(kind, data, store):
    materializer = stored(kind, data, store)
    again = materializer.load(type(data[kind]))
    check_artifact(store, materializer.uri)
    if kind in ("report", "pictures", "exports"):
        assert again == data[kind]
    elif kind == "predictions":
        assert list(again.rows()) == list(data[kind].rows())
        assert (again.folder / "masks" / "deep" / "b.png").read_bytes() == (
            data[kind].folder / "masks" / "deep" / "b.png"
        ).read_bytes()
        assert materializer.extract_metadata(again) == {"images": 2, "left_out": 0}
    else:
        assert materializer.compute_content_hash(again) == materializer.compute_content_hash(data[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_one_bit_changed_in_any_file_is_found(kind, data, store):
    materializer = stored(kind, data, store)
    files = files_of(materializer)
    assert files
    for file in files:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        with pytest.raises(DamagedArtifactError, match=f"{file.name} has changed") as caught:
            materializer.load(type(data[kind]))
        assert caught.value.uri == materializer.uri
        with pytest.raises(DamagedArtifactError, match=file.name):
            check_artifact(store, materializer.uri)
        content[len(content) // 2] ^= 1
        file.write_bytes(content)


@pytest.mark.parametrize("damage", ["truncate", "remove", "empty"])
def test_a_file_that_is_cut_or_gone_is_named(damage, data, store):
    materializer = stored("variant", data, store)
    file = files_of(materializer)[-1]
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 100 if damage == "truncate" else 0])
    with pytest.raises(DamagedArtifactError, match=f"{file.name} (is missing|has changed)"):
        materializer.load(Variant)


@pytest.mark.parametrize("seal", [None, "", "[]", '{"folder": "network"}', '{"folder": 1, "digests": 2}'])
def test_an_artifact_without_its_seal_is_not_read(seal, data, store):
    materializer = stored("result", data, store)
    place = Path(materializer.uri, SEAL)
    place.unlink() if seal is None else place.write_text(seal)
    with pytest.raises(DamagedArtifactError, match=SEAL):
        materializer.load(EvaluationResult)


def test_a_data_set_that_lies_in_its_artifact_is_not_copied(data, store, tmp_path):
    place = Path(store.path, "artifact")
    dataset = ingest(CocoFolder(tmp_path / "coco").write(), place / DatasetMaterializer.FOLDER, options())
    materializer = DatasetMaterializer(str(place), store)
    before = {file: file.stat().st_mtime_ns for file in files_of(materializer)}
    materializer.save(dataset)
    assert {file: file.stat().st_mtime_ns for file in files_of(materializer)} == before
    assert set(json.loads((place / SEAL).read_text())["digests"]) == {file.name for file in before}


@pytest.fixture
def of_monai(store):
    """An artifact that is made by a constructor of MONAI."""
    recipe = Recipe("monai.networks.nets.BasicUNet", {"features": [2, 2, 2, 2, 2, 2]}).filled(1, 1)
    variant = Variant(BASELINE, recipe.build(), Preprocessing(0, 1), 1, recipe=recipe)
    return stored("variant", {"variant": variant}, store), variant


def test_what_a_network_is_made_by_and_its_shapes_are_read_without_its_code(of_monai):
    materializer, variant = of_monai
    known = StoredNetworkMaterializer(materializer.uri, materializer.artifact_store).load(StoredNetwork)
    assert known.recipe == variant.recipe.to_dict()
    assert known.shapes == {name: tuple(value.shape) for name, value in variant.network.state_dict().items()}


def test_outside_of_a_step_a_network_is_read_where_the_caller_allows_its_constructor(of_monai):
    materializer, variant = of_monai
    with pytest.raises(NetworkError, match=r"made by monai\.networks\.nets\.BasicUNet.*networks="):
        materializer.load(Variant)
    loaded = materializer.allow(["monai.networks.nets.BasicUNet"]).load(Variant)
    assert loaded.digest() == variant.digest()


def test_in_a_step_the_runs_configuration_allows_and_the_artifact_does_not(of_monai, monkeypatch):
    materializer, variant = of_monai

    def running(networks):
        extra = networks_in_extra(networks, "c0de")
        step = SimpleNamespace(step_run=SimpleNamespace(config=SimpleNamespace(extra=extra)))
        monkeypatch.setattr("materializers.variant.get_step_context", lambda: step)

    running([])
    with pytest.raises(NetworkError, match="nothing of that was imported"):
        materializer.load(Variant)
    running(["monai.networks.nets.BasicUNet"])
    loaded = materializer.load(Variant)
    assert loaded.digest() == variant.digest()
    assert loaded.recipe.code == "c0de"


def test_an_artifact_that_names_other_code_runs_none_of_it(of_monai, tmp_path):
    materializer, _ = of_monai
    (file,) = [file for file in files_of(materializer) if file.name == "network.json"]
    ran = tmp_path / "ran"
    said = json.loads(file.read_text())
    said["about"]["network"] = {"name": "os.system", "arguments": {"command": f"touch {ran}"}, "output": None}
    file.write_text(json.dumps(said))
    seal = Path(materializer.uri, SEAL)
    digests = {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in files_of(materializer)}
    seal.write_text(json.dumps({"folder": materializer.FOLDER, "digests": digests}))
    with pytest.raises(NetworkError, match=r"made by os\.system"):
        materializer.allow(["monai.networks.nets.BasicUNet"]).load(Variant)
    assert not ran.exists()
