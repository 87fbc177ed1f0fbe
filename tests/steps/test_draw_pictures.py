"""What the drawing step hands to the pictures."""

import numpy as np
import pytest
import torch

from dataset.ingest import ingest
from dataset.store import Dataset
from models.evaluation.evaluate import predict
from models.evaluation.results import Cost, EvaluationResult, Latencies
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE, VariantSpec
from reporting.plots import draw
from steps.compress_svd import compress_svd
from steps.draw_pictures import draw_pictures
from tests.comparisons import make_latency
from tests.dataset.coco_folder import CocoFolder, noise, options, png
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.decomposition.spectra import Spectra


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four test images."""
    folder = tmp_path_factory.mktemp("data")
    source = CocoFolder(folder / "coco")
    for number in range(3):
        source.annotation("test", source.image("test", f"{number}.png", png(noise(16, 16, 10 + number))))
    return ingest(source.write(), folder / "arrays", options())


@pytest.fixture(scope="module")
def baseline() -> Variant:
    torch.manual_seed(0)
    return Variant(BASELINE, UNet(base_filters=4).eval(), Preprocessing(0.5, 0.2), 1)


@pytest.fixture(scope="module")
def spectra(baseline: Variant) -> Spectra:
    return decompose(baseline.network)


def result(variant: Variant, dice: list[float]) -> EvaluationResult:
    metrics = {"dice": sum(dice) / len(dice), "iou": 0.4, "pixel_accuracy": 0.9}
    per_image = {"dice": dice, "iou": dice, "lesion_px": [36.0] * len(dice)}
    cost = Cost(variant.params, 4 * variant.params, 1000)
    return EvaluationResult(variant.spec, cost, metrics, per_image, variant.layers)


@pytest.fixture
def shown(dataset: Dataset, baseline: Variant, spectra: Spectra, monkeypatch: pytest.MonkeyPatch) -> draw.Shown:
    """What is drawn of a baseline and one network that was fine-tuned."""
    given: list[draw.Shown] = []
    monkeypatch.setattr(draw, "draw_all", lambda shown: given.append(shown) or {"training": b"png"})
    small = compress_svd.entrypoint(spectra, baseline, VariantSpec("svd", rank=1))
    results = [result(baseline, [0.9, 0.1, 0.5, 0.6]), result(small, [0.9, 0.1, 0.2, 0.6])]
    tuning = {"epochs": [{"epoch": 1, "valid_dice": 0.5}], "best_epoch": 1, "best_valid_dice": 0.5}
    history = {"epochs": [{"epoch": 1}]}
    latencies = Latencies({each.name: make_latency(9.0) for each in (baseline, small)})
    drawn = draw_pictures.entrypoint(
        results, latencies, [small], [tuning], [spectra], dataset, baseline, history, [], "cpu"
    )
    assert drawn == {"training": b"png"}
    return given[0]


def test_masks_are_predicted_on_the_telling_images_of_the_test_split(
    shown: draw.Shown, dataset: Dataset, baseline: Variant
) -> None:
    examples = shown.examples
    assert dict(zip(examples.rows, examples.kinds, strict=True)) == {
        0: "best",
        3: "typical",
        1: "worst",
        2: "lost most",
    }
    assert examples.file_names == [dataset["test"].file_names[row] for row in (0, 3, 1, 2)]
    np.testing.assert_array_equal(examples.truth, dataset["test"].masks[[0, 3, 1, 2]])
    assert list(examples.predictions) == ["baseline", "svd_rank_1"]
    images, preprocessing = dataset["test"].images[[0, 3, 1, 2]], baseline.preprocessing
    expected = predict(baseline.network, images, preprocessing, classes=1, device="cpu", batch_size=4)
    np.testing.assert_array_equal(examples.predictions["baseline"], expected)


def test_spectra_and_curves_are_shown(shown: draw.Shown, spectra: Spectra) -> None:
    assert set(shown.spectra) == {"plain"}
    assert shown.spectra["plain"].keys() == spectra.layers.keys()
    assert [len(each.finetune_history.get("epochs", [])) for each in shown.comparison.results] == [0, 1]
    assert shown.histories == [{"epochs": [{"epoch": 1}]}]
