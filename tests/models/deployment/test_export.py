"""Files are opened again and measured; what computes something else is not handed out."""

import errno
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from models.deployment import export as exporting
from models.deployment import make
from models.deployment.deployed import deployed, labels_of
from models.deployment.errors import export_errors, is_passing
from models.deployment.export import export_variant
from models.deployment.make import Made, Maker
from models.deployment.measure import Judging, Opened, measure
from models.deployment.records import Exports
from models.deployment.runtimes import opened, run_module
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


@pytest.mark.parametrize("multiple", [None, 2])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_file_that_gives_no_numbers_is_not_handed_out(
    made_elsewhere, small: Variant, judging: Judging, value: float, multiple: int | None
) -> None:
    kinds = ("onnx", "onnx_w8", "onnx_int8")
    made_elsewhere(dict.fromkeys(kinds, value), multiple)
    exports = export_variant(small, kinds, images(2), [], judging)
    assert exports.files == {}
    told = "on the test images it gives NaN or infinity" if multiple is None else "on an image of 34x54"
    for kind, entry in zip(kinds, exports.formats, strict=True):
        assert entry.fault.startswith(f"{kind} does not compute what baseline does")
        assert told in entry.fault


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


LACKING = [
    OSError(errno.ENOSPC, "No space left on device"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("[ONNXRuntimeError] : 6 : FAIL : Failed to allocate memory for requested buffer of size 9"),
]


@pytest.mark.parametrize("error", LACKING, ids=["disk", "memory", "torch", "onnxruntime"])
@pytest.mark.parametrize("place", ["make", "trace", "try", "open", "run"])
def test_too_little_memory_or_disk_ends_the_step_and_is_no_fault_of_a_file(
    made_elsewhere, monkeypatch: pytest.MonkeyPatch, small: Variant, judging: Judging, place: str, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a library's own error") from error

    if place in ("open", "run"):
        made_elsewhere({"pt2": 0.0})
    if place == "run":
        monkeypatch.setattr(exporting, "opened", lambda kind, folder, threads: fail)
    else:
        monkeypatch.setattr(exporting, "opened", opened)
    owner, name = {
        "make": (make, "folded"),
        "trace": (torch.export, "export"),
        "try": (Mixed, "forward"),
        "open": (torch.export, "load"),
    }.get(place, (exporting, "NOTHING"))
    monkeypatch.setattr(owner, name, fail, raising=place != "run")
    with pytest.raises(RuntimeError, match="a library's own error"):
        export_variant(small, ("pt2",), images(2), [], judging)


@pytest.mark.parametrize("error", [OSError("could not get source code"), ValueError("damaged"), KeyError()])
def test_what_tells_of_the_network_is_a_fault(error: Exception) -> None:
    wrapped = RuntimeError("a library's own error")
    wrapped.__cause__ = error
    assert not is_passing(wrapped)


def test_a_fault_is_one_line_without_the_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(exporting.ExportError) as refused:
        opened("onnx", tmp_path, 1)
    assert str(refused.value).startswith("onnx cannot be opened again: ")
    assert "model.onnx" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(exporting.ExportError, match=r"^doing: ValueError: first$"), export_errors("doing"):
        raise ValueError("first\nsecond")


def test_every_format_of_a_network_that_cannot_be_followed_has_a_fault(judging: Judging) -> None:
    exports = export_variant(variant(Branching().eval()), ("onnx", "pt2"), images(2), [], judging)
    assert exports.files == {}
    assert all("torch.export cannot follow its code" in entry.fault for entry in exports.formats)
    assert exports.metrics["dice"] >= 0


def test_what_is_measured_is_what_an_evaluation_measures(small: Variant, judging: Judging) -> None:
    flipped = Opened(lambda batch: 1 - run_module(deployed(small), batch), batch=True)
    metrics, latency, measured = measure(small, {"flipped": flipped}, judging)
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
