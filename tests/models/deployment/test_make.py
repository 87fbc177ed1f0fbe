"""The files, opened in processes that know nothing of this project, and on images of other sizes."""

import io
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from models.deployment.deployed import deployed
from models.deployment.errors import ExportError
from models.deployment.make import Maker
from models.deployment.runtimes import opened
from models.variant import Variant
from tests.models.deployment.networks import SIZE, Branching, Mixed, images, settled, small_unet, variant
from torch_lowrank.quantization.quantize import quantize_weights

# In a process of its own, where torch.load fails. Arguments: files; reads shapes from one file, writes results to it.
SCRIPT = """
import sys, importlib.util
import numpy as np, torch, onnxruntime
assert importlib.util.find_spec("models") is None and importlib.util.find_spec("torch_lowrank") is None
def refuse(*_, **__): raise AssertionError("torch.load was called")
torch.load = refuse
given = np.load("images.npz")
def run(file):
    if file.endswith(".pt2"):
        network = torch.export.load(file).module()
        return lambda images: network(torch.from_numpy(images)).detach().numpy()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]
found = {}
for file in sys.argv[1:]:
    found |= {f"{file}/{name}": run(file)(given[name]) for name in given}
np.savez("results.npz", **found)
"""
OTHERS = {"batch": images(3), "one": images(1, 37, 51), "large": images(2, 64, 40)}


def expected(of: Variant, batch: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return deployed(of)(torch.from_numpy(batch)).numpy()


def in_a_fresh_process(files: dict[str, bytes], given: dict[str, np.ndarray], folder: Path) -> dict[str, np.ndarray]:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    np.savez(folder / "images.npz", **given)
    done = subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT, *files], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "results.npz"))


def by_onnx(content: bytes, batch: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": batch})[0]


@pytest.fixture(scope="module")
def small() -> Variant:
    return variant(small_unet())


@pytest.fixture(scope="module")
def maker(small: Variant) -> Maker:
    return Maker(small, images(8), ["tumor"])


def test_files_compute_the_same_in_a_fresh_process_for_other_numbers_and_sizes(
    maker: Maker, small: Variant, tmp_path: Path
) -> None:
    files = maker.make("onnx").files | maker.make("pt2").files
    found = in_a_fresh_process(files, OTHERS, tmp_path)
    assert len(found) == len(files) * len(OTHERS)
    for name, probabilities in found.items():
        batch = OTHERS[name.rpartition("/")[2]]
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities, expected(small, batch), atol=1e-5)


def test_what_is_exported_takes_any_size_that_the_network_takes(maker: Maker) -> None:
    assert maker.make("pt2").sizes.describe() == "any number of images, of any size from 32x32 on"


def test_a_program_of_torch_holds_no_pickle(maker: Maker) -> None:
    archive = zipfile.ZipFile(io.BytesIO(maker.make("pt2").files["model.pt2"]))
    contents = {name: archive.read(name) for name in archive.namelist()}
    assert len(contents) > 10
    assert [name for name, content in contents.items() if content.startswith((b"PK", b"\x80"))] == []


def test_an_onnx_file_says_what_it_takes_and_nothing_of_this_machine(maker: Maker) -> None:
    content = maker.make("onnx").files["model.onnx"]
    model = onnx.load_from_string(content)
    axes = [axis.dim_param or axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    assert (model.graph.input[0].name, axes) == ("images", ["batch", "height", "width", 1])
    assert {entry.key for entry in model.metadata_props} == {"variant", "labels", "preprocessing"}
    assert not any(word in content for word in (b".py", b"site-packages", str(Path.cwd()).encode()))


def test_weights_in_8_bits_are_those_of_the_rounded_network(maker: Maker, small: Variant) -> None:
    content = maker.make("onnx_w8").files["model_w8.onnx"]
    rounded = variant(quantize_weights(small.network, 8))
    for batch in OTHERS.values():
        np.testing.assert_allclose(by_onnx(content, batch), expected(rounded, batch), atol=1e-5)
    assert np.abs(by_onnx(content, OTHERS["batch"]) - expected(small, OTHERS["batch"])).max() > 1e-5
    kinds = Counter(tensor.data_type for tensor in onnx.load_from_string(content).graph.initializer)
    assert kinds[onnx.TensorProto.INT8] > 15


@pytest.mark.parametrize(
    ("network", "bits"),
    [
        (lambda: settled(Mixed()), {"start": 4, "groups": 3, "up": 5, "*": 8}),
        pytest.param(small_unet, {"down*": 4, "up1*": 5, "*": 8}, marks=pytest.mark.slow),
    ],
    ids=["mixed", "unet"],
)
def test_weights_in_few_bits_stay_so_and_compute_what_the_variant_does(network, bits) -> None:
    full = network()
    coded = variant(quantize_weights(full, bits, other_bits=16))
    content = Maker(coded, images(2), []).make("onnx").files["model.onnx"]
    whole = Maker(variant(full), images(2), []).make("onnx").files["model.onnx"]
    assert len(content) < len(whole)
    kinds = {tensor.data_type for tensor in onnx.load_from_string(content).graph.initializer}
    assert kinds >= {onnx.TensorProto.INT8, onnx.TensorProto.INT4}
    batch = images(2, 48, 64)
    np.testing.assert_allclose(by_onnx(content, batch), expected(coded, batch), atol=1e-5)


def test_half_precision_weights_are_stored_in_16_bits() -> None:
    torch.manual_seed(0)
    coded = variant(quantize_weights(torch.nn.Conv2d(1, 1, 3, padding=1), 16))
    model = onnx.load_from_string(Maker(coded, images(2), []).make("onnx").files["model.onnx"])
    assert [tensor.data_type for tensor in model.graph.initializer].count(onnx.TensorProto.FLOAT16) == 1


def test_half_precision_weights_stay_in_16_bits_where_a_batch_norm_is_made_part_of_them() -> None:
    full = settled(Mixed())
    coded = variant(quantize_weights(full, 16))
    content = Maker(coded, images(2), []).make("onnx").files["model.onnx"]
    tensors = {tensor.name: tensor for tensor in onnx.load_from_string(content).graph.initializer}
    halves = {name for name, tensor in tensors.items() if tensor.data_type == onnx.TensorProto.FLOAT16}
    assert halves == {f"network.{name}.weight_half" for name in ("start", "groups", "depthwise", "up", "end")}
    assert {name for name in tensors if name.endswith("_factor")} == {
        "network.depthwise.weight_factor",
        "network.up.weight_factor",
    }
    batch = images(2, 48, 64)
    np.testing.assert_allclose(by_onnx(content, batch), expected(coded, batch), atol=1e-5)
    assert np.abs(by_onnx(content, batch) - expected(variant(full), batch)).max() > 1e-5


def test_activations_in_8_bits_have_ranges_from_the_training_images(maker: Maker, small: Variant) -> None:
    content = maker.make("onnx_int8").files["model_int8.onnx"]
    found = by_onnx(content, OTHERS["batch"])
    assert 1e-5 < np.abs(found - expected(small, OTHERS["batch"])).mean() < 0.05
    assert sum(node.op_type == "QuantizeLinear" for node in onnx.load_from_string(content).graph.node) > 15


@pytest.mark.slow
def test_several_classes_and_colour_give_probabilities_that_sum_to_one(tmp_path: Path) -> None:
    several = variant(small_unet(classes=3, channels=3), classes=3, channels=3)
    made = Maker(several, images(2, channels=3), ["a", "b"])
    given = {"one": images(2, 40, 33, 3)}
    for probabilities in in_a_fresh_process(made.make("onnx").files | made.make("pt2").files, given, tmp_path).values():
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
        np.testing.assert_allclose(probabilities, expected(several, given["one"]), atol=1e-5)


def test_sizes_are_those_that_the_network_takes() -> None:
    sizes = Maker(variant(settled(Mixed())), images(2), []).make("pt2").sizes
    assert sizes.multiple == 2
    assert "sides that are multiples of 2" in sizes.describe()


@pytest.mark.parametrize("kind", ["onnx", "onnx_w8", "onnx_int8", "pt2", "monai_bundle"])
def test_a_network_that_cannot_be_followed_is_refused_in_a_sentence(kind) -> None:
    with pytest.raises(ExportError, match=f"{kind} cannot be made of baseline: torch.export cannot follow its code"):
        Maker(variant(Branching().eval()), images(2), []).make(kind)


@pytest.mark.slow
def test_monai_runs_the_bundle_on_a_folder_of_images(maker: Maker, small: Variant, tmp_path: Path) -> None:
    for name, content in maker.make("monai_bundle").files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "pictures").mkdir()
    given = images(1)[0]
    cv2.imwrite(str(tmp_path / "pictures" / "same.png"), given)
    cv2.imwrite(str(tmp_path / "pictures" / "other.png"), cv2.resize(given, (70, 90)))
    (tmp_path / "pictures" / "notes.txt").write_text("no image")
    command = "-I -m monai.bundle run --config_file configs/inference.json --bundle_root . --output_dir masks"
    done = subprocess.run(
        [sys.executable, *command.split(), "--dataset_dir", str(tmp_path / "pictures")],
        cwd=tmp_path / "monai_bundle",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    masks = {file.name: cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in tmp_path.rglob("masks/*")}
    assert {name: mask.shape for name, mask in masks.items()} == {
        "same.png_mask.png": SIZE,
        "other.png_mask.png": (90, 70),
    }
    truth = expected(small, given[None])[0, 0] > 0.5
    assert 0 < truth.mean() < 1
    assert np.array_equal(masks["same.png_mask.png"], 255 * truth)
    assert set(np.unique(masks["other.png_mask.png"])) == {0, 255}


@pytest.mark.slow
def test_a_network_of_monai_is_exported_in_every_format(tmp_path: Path) -> None:
    """It pads odd sides, which torch.export follows for the sizes alone that need no padding: multiples of 16."""
    from monai.networks.nets import BasicUNet  # noqa: PLC0415 - seconds

    torch.manual_seed(0)
    other = variant(settled(BasicUNet(2, 1, 1, features=(4, 4, 8, 8, 16, 4))))
    maker, batch = Maker(other, images(4), ["tumor"]), images(2, 64, 80)
    for kind in ("onnx", "onnx_int8", "pt2", "monai_bundle"):
        made = maker.make(kind)
        assert made.sizes.multiple == 16
        for name, content in made.files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        found = opened(kind, tmp_path, 1)(batch)
        np.testing.assert_allclose(found, expected(other, batch), atol=0.3 if kind == "onnx_int8" else 1e-5)
