"""Artifacts are sealed: what has changed in the store is never read."""

import datetime
import json
import uuid
from pathlib import Path

import pytest
import torch
from zenml.artifact_stores.local_artifact_store import LocalArtifactStore, LocalArtifactStoreConfig
from zenml.enums import StackComponentType

from dataset.ingest import ingest
from materializers.dataset import DatasetMaterializer
from materializers.folders import SEAL, DamagedArtifactError, check_artifact
from materializers.pictures import PicturesMaterializer
from materializers.records import HistoryMaterializer, ResultMaterializer
from materializers.report import ReportMaterializer
from materializers.spectra import SpectraMaterializer
from materializers.statistics import StatisticsMaterializer
from materializers.variant import VariantMaterializer
from models.evaluation.results import Cost, EvaluationResult
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE, VariantSpec
from reporting.bundle import ReportBundle
from tests.dataset.coco_folder import CocoFolder, options
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
        ),
        "pictures": {"training": b"png", "masks": b"gnp"},
        "dataset": ingest(CocoFolder(folder / "coco").write(), folder / "arrays", options()),
    }


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
    if kind in ("report", "pictures"):
        assert again == data[kind]
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
