"""Files are opened again and measured; what computes something else is not handed out."""

import math

import numpy as np
import pytest
import torch

from models.deployment import export as exporting
from models.deployment.deployed import deployed, labels_of
from models.deployment.export import Judging, export_variant
from models.deployment.make import Made, Maker
from models.deployment.measure import Opened, measure
from models.deployment.records import Exports
from models.deployment.runtimes import run_module
from models.deployment.sizes import Sizes
from models.evaluation.evaluate import evaluate_variant
from models.variant import Variant
from tests.models.deployment.networks import Branching, Mixed, images, settled, variant

NUMBER = 5


@pytest.fixture(scope="module")
def small() -> Variant:
    return variant(settled(Mixed()))


@pytest.fixture(scope="module")
def judging() -> Judging:
    masks = (np.random.default_rng(1).random((NUMBER, 32, 48)) < 0.3).astype(np.uint8)
    return Judging(images(NUMBER), masks, batch_size=2, seconds=0.001, threads=1)


@pytest.fixture
def made_elsewhere(monkeypatch: pytest.MonkeyPatch, small: Variant):
    """Files whose content does not matter: what they compute is the network's probabilities plus a shift a format."""

    def shifted(shifts: dict[str, float], multiple: int | None = None) -> None:
        made = lambda _, kind: Made({kind: b"content"}, Sizes(kind != "pt2", multiple, (32, 48)))  # noqa: E731
        monkeypatch.setattr(Maker, "make", made)

        def run(kind: str, batch: np.ndarray) -> np.ndarray:
            assert kind != "pt2" or len(batch) == 1, "it takes one image"
            return run_module(deployed(small), batch) + np.float32(shifts[kind])

        monkeypatch.setattr(exporting, "opened", lambda kind, folder, threads: lambda batch: run(kind, batch))

    return shifted


def test_a_float_file_that_differs_is_not_handed_out_and_the_others_are(
    made_elsewhere, small: Variant, judging: Judging
) -> None:
    made_elsewhere({"onnx": 0.002, "pt2": 0.0005, "onnx_int8": 0.3})
    exports = export_variant(small, ("onnx", "pt2", "onnx_int8"), images(2), [], judging)
    faults = {entry.format: entry.fault for entry in exports.formats}
    assert "differs by 0.002, more than 0.001" in faults.pop("onnx")
    assert faults == {"pt2": None, "onnx_int8": None}
    assert exports.files.keys() == {"pt2", "onnx_int8"}
    assert [entry.measured.max_difference for entry in exports.formats] == pytest.approx([0.002, 0.0005, 0.3], rel=1e-3)


def test_a_float_file_that_differs_on_images_of_another_size_is_not_handed_out(
    made_elsewhere, small: Variant, judging: Judging
) -> None:
    made_elsewhere({"onnx": 0.002, "onnx_int8": 0.002}, multiple=2)
    exports = export_variant(small, ("onnx", "onnx_int8"), images(2), [], judging)
    assert exports.formats[0].fault == "onnx does not compute what baseline does on an image of 34x54"
    assert exports.formats[1].fault is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_file_that_gives_no_numbers_is_not_handed_out(
    made_elsewhere, small: Variant, judging: Judging, value: float
) -> None:
    made_elsewhere({"onnx": value})
    exports = export_variant(small, ("onnx",), images(2), [], judging)
    assert exports.files == {}
    assert "differs by inf" in exports.formats[0].fault


def test_a_file_that_cannot_be_opened_is_a_fault_and_the_rest_is_made(
    made_elsewhere, monkeypatch: pytest.MonkeyPatch, small: Variant, judging: Judging
) -> None:
    made_elsewhere({"onnx": 0.0})
    kept = exporting.opened

    def opened(kind, folder, threads):
        if kind == "pt2":
            raise exporting.ExportError("pt2 cannot be opened again: damaged")
        return kept(kind, folder, threads)

    monkeypatch.setattr(exporting, "opened", opened)
    exports = export_variant(small, ("onnx", "pt2"), images(2), [], judging)
    assert exports.files.keys() == {"onnx"}
    assert exports.formats[1].fault == "pt2 cannot be opened again: damaged"
    assert exports.formats[1].measured is None


def test_every_format_of_a_network_that_cannot_be_followed_has_a_fault(judging: Judging) -> None:
    exports = export_variant(variant(Branching().eval()), ("onnx", "pt2"), images(2), [], judging)
    assert exports.files == {}
    assert all("torch.export cannot follow its code" in entry.fault for entry in exports.formats)
    assert exports.metrics["dice"] >= 0


def test_what_is_measured_is_what_an_evaluation_measures(small: Variant, judging: Judging) -> None:
    flipped = Opened(lambda batch: 1 - run_module(deployed(small), batch), batch=True)
    metrics, latency, measured = measure(
        small, {"flipped": flipped}, judging.images, judging.masks, batch_size=2, seconds=0.001, threads=1
    )
    known = evaluate_variant(small, judging.images, judging.masks, 5, "cpu").metrics
    assert metrics == pytest.approx({name: known[name] for name in ("dice", "dice_lesion")})
    assert latency.ratio == 1
    probabilities = run_module(deployed(small), judging.images)
    assert measured["flipped"].changed_pixels == pytest.approx(1, abs=1e-3)
    assert measured["flipped"].max_difference == pytest.approx(np.abs(1 - 2 * probabilities).max(), rel=1e-5)


def test_files_are_made_opened_and_measured(small: Variant, judging: Judging) -> None:
    exports = export_variant(small, ("onnx", "pt2"), images(2), ["tumor"], judging)
    assert [entry.fault for entry in exports.formats] == [None, None]
    for entry in exports.formats:
        assert entry.size_bytes == len(exports.files[entry.file])
        assert entry.measured.max_difference < 1e-5
        assert entry.measured.metrics == exports.metrics
        assert entry.measured.latency.ms > 0
    again = Exports.from_dict(exports.to_dict(), exports.files)
    assert again == exports


def test_labels_of_probabilities_are_those_of_logits() -> None:
    torch.manual_seed(0)
    for classes in (1, 3):
        logits = torch.randn(2, classes, 8, 8)
        probabilities = logits.sigmoid() if classes == 1 else logits.softmax(1)
        expected = (logits[:, 0] > 0).long() if classes == 1 else logits.argmax(1)
        assert torch.equal(labels_of(probabilities), expected)
