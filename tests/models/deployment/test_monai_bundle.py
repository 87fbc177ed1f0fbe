"""Which images MONAI takes by a bundle's own configuration, and what it calls their masks."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from models.deployment.deployed import deployed
from models.deployment.layout import BUNDLE, INFERENCE
from models.deployment.make import Maker
from models.variant import Variant
from tests.models.deployment.networks import SIZE, Mixed, images, settled, variant

TURNED = 6  # of the orientation tag: by a quarter, so that height and width are exchanged


@pytest.fixture(scope="module")
def small() -> Variant:
    network = settled(Mixed())
    with torch.no_grad():  # half of the pixels are foreground, and none is near to a tie
        network.end.bias -= network((torch.from_numpy(images(1)).permute(0, 3, 1, 2) / 255 - 0.3) / 0.2).median() + 1e-3
    return variant(network)


@pytest.fixture(scope="module")
def bundle(small: Variant, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    for name, content in Maker(small, images(2), ["tumor"]).make("monai_bundle").files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / BUNDLE


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder whose name has a meaning as a pattern."""
    (tmp_path / "x [1]").mkdir()
    return tmp_path / "x [1]"


def run(bundle: Path, pictures: Path) -> dict[str, np.ndarray]:
    """Masks by file name."""
    from monai.bundle import ConfigParser  # noqa: PLC0415 - seconds

    parser = ConfigParser()
    parser.read_config(str(bundle / INFERENCE))
    output = pictures.parent / "masks"
    parser.update({"bundle_root": str(bundle), "dataset_dir": str(pictures), "output_dir": str(output)})
    with torch.enable_grad():  # which the configuration ends
        parser.get_parsed_content("run")
    return {file.name: np.array(Image.open(file)) for file in output.iterdir()}


def reasons(error: BaseException | None) -> str:
    """The messages of an error and of those that it follows from."""
    return "" if error is None else f"{error}\n{reasons(error.__cause__)}"


def test_images_of_one_name_have_a_mask_each_whatever_the_folder_is_called(
    bundle: Path, pictures: Path, small: Variant
) -> None:
    first, second = images(2)[..., 0]
    Image.fromarray(first).save(pictures / "a.png")
    Image.fromarray(second).save(pictures / "a.BMP")
    (pictures / "folder.png").mkdir()
    masks = run(bundle, pictures)
    assert masks.keys() == {"a.png_mask.png", "a.BMP_mask.png"}
    truth = deployed(small)(torch.from_numpy(images(2)))[:, 0] > 0.5
    assert 0.1 < truth.float().mean() < 0.9
    assert np.array_equal(masks["a.png_mask.png"], 255 * truth[0])
    assert np.array_equal(masks["a.BMP_mask.png"], 255 * truth[1])


def test_an_image_is_turned_as_its_orientation_tag_says(bundle: Path, pictures: Path, small: Variant) -> None:
    upright = images(1)
    exif = Image.Exif()
    exif[0x0112] = TURNED
    Image.fromarray(np.rot90(upright[0, ..., 0])).save(pictures / "turned.png", exif=exif)
    (mask,) = run(bundle, pictures).values()
    assert mask.shape == SIZE
    assert np.array_equal(mask, 255 * (deployed(small)(torch.from_numpy(upright))[0, 0] > 0.5))


@pytest.mark.parametrize(
    ("name", "stored", "channels"),
    [
        ("gray.png", np.uint16, 1),
        ("colour.png", np.uint16, 3),
        ("gray.tif", np.uint16, 1),
        ("colour.tif", np.uint16, 3),
        ("float.tiff", np.float32, 1),
    ],
)
def test_images_of_more_than_8_bits_are_refused_before_any_mask_is_written(
    bundle: Path, pictures: Path, name: str, stored: type, channels: int
) -> None:
    Image.fromarray(images(1)[0, ..., 0]).save(pictures / "a.png")
    assert cv2.imwrite(str(pictures / name), images(1, channels=channels)[0].astype(stored))
    with pytest.raises(RuntimeError) as refused:
        run(bundle, pictures)
    assert "more than 8 bits" in reasons(refused.value)
    assert name in reasons(refused.value)
    assert not (pictures.parent / "masks").exists()


def test_a_folder_without_images_is_refused(bundle: Path, pictures: Path) -> None:
    (pictures / "notes.txt").write_text("no image")
    with pytest.raises(RuntimeError) as refused:
        run(bundle, pictures)
    assert f"no image in {pictures}" in reasons(refused.value)
