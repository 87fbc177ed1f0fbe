"""Networks as bundles of MONAI: configuration, metadata and a program of torch.export, in MONAI's layout of folders.

`python -m monai.bundle run --config_file configs/inference.json --bundle_root . --dataset_dir IMAGES` writes a mask for
every image of a folder, in the image's own size.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL
import torch

from models.deployment.layout import INFERENCE, PROGRAM
from models.deployment.sizes import Sizes
from models.variant import Variant

_SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
_VERSION = "1.0.0"
_LICENSE = """The files in configs/ and docs/ of this bundle are under the Apache License, Version 2.0:
https://www.apache.org/licenses/LICENSE-2.0

The weights in models/ follow from the images that they were trained on. Who gives this bundle to others says here
under which terms that is.
"""
_READING = {1: "L", 3: "RGB"}  # Pillow's modes
_CHANNELS = {1: {"0": "gray"}, 3: {"0": "red", "1": "green", "2": "blue"}}
_STORED = "$lambda image: image.as_tensor().permute(2, 1, 0).round().clamp(0, 255).to(torch.uint8)[None]"
_OWN_SIZE = (  # of probabilities and the image that they are of
    "$lambda pair: type(pair[1])(torch.nn.functional.interpolate(pair[0].transpose(2, 3), size=tuple(int(side) "
    "for side in pair[1].meta['spatial_shape']), mode='bilinear')[0], meta=pair[1].meta)"
)
_EVERY_FILE = (  # arguments with defaults, as a lambda in a configuration sees no references
    "$list(map(lambda f, load=@load, stored=@stored, network=@network, own_size=@own_size, label=@label, save=@save: "
    "save(label(own_size((network(stored(image := load(f))), image)))), @files))"
)
_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_FILES = (
    "$sorted(str(file) for file in pathlib.Path(@dataset_dir).iterdir() "
    f"if file.suffix.lower() in {_ENDINGS} and file.is_file())"
)
_SOME = (
    "$torch._check_value(len(@files) > 0, lambda folder=@dataset_dir: "
    f"f'no image in {{folder}}: give --dataset_dir a folder that holds {' '.join(_ENDINGS)}')"
)
# Of colours in 16 bits Pillow drops half of the bits, and says RGB; how the values lie in the file tells. In a BMP, ;16
# are the bits of all colours together.
_IS_DEEP = (
    "$lambda image: image.mode[0] in 'IF' or (image.format != 'BMP' and ';16' in str([tile[3] for tile in image.tile]))"
)
_DEEP = "$list(filter(lambda file, is_deep=@is_deep: is_deep(Image.open(file)), @files))"
_NONE_DEEP = (
    "$torch._check_value(not @deep, lambda deep=@deep: "
    "f'more than 8 bits: {deep}; bring them to 8 bits as the images that the network was trained on were')"
)
_NAME = "$lambda meta, saver: {'subject': meta['filename_or_obj'] + '.png'}"  # its last ending is left out


def bundle_files(variant: Variant, labels: Sequence[str], program: bytes, sizes: Sizes) -> dict[str, bytes]:
    """Returns file name in the bundle to content.

    Args:
        variant: The network, and how images are read for it.
        labels: Names of the labels that are not background, by their number.
        program: The network with its preprocessing, as `torch.export.save` writes it.
        sizes: Which images it takes.
    """
    return {
        "LICENSE": _LICENSE.encode(),
        "configs/metadata.json": _json(_metadata(variant, labels, sizes)),
        INFERENCE: _json(_inference(variant)),
        "docs/README.md": _readme(variant, labels, sizes).encode(),
        PROGRAM: program,
    }


def _inference(variant: Variant) -> dict[str, Any]:
    """Returns the configuration that MONAI runs: of each file the image, probabilities in its own size, and the mask.

    MONAI's images are (C, W, H), the network's (N, H, W, C).
    """
    binary = variant.classes == 1
    return {
        "imports": [
            "$import pathlib",
            "$import torch",
            "$import PIL.Image as Image",
            "$import PIL.ImageOps as ImageOps",
        ],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "files": _FILES,
        "network": f"$torch.export.load(@bundle_root + '/{PROGRAM}').module()",
        "is_deep": _IS_DEEP,
        "deep": _DEEP,
        "load": {"_target_": "Compose", "transforms": _loading(variant)},
        "stored": {"_target_": "Lambda", "func": _STORED},
        "own_size": {"_target_": "Lambda", "func": _OWN_SIZE},
        "label": {"_target_": "AsDiscrete", **({"threshold": 0.5} if binary else {"argmax": True})},
        "save": {
            "_target_": "SaveImage",
            "output_dir": "@output_dir",
            "output_postfix": "mask",
            "output_name_formatter": _NAME,
            "output_ext": ".png",
            "output_dtype": "$__import__('numpy').uint8",
            "scale": 255 if binary else None,
            "separate_folder": False,
            "print_log": False,
        },
        "run": [_SOME, _NONE_DEEP, "$torch.set_grad_enabled(False)", _EVERY_FILE],
    }


def _loading(variant: Variant) -> list[dict[str, Any]]:
    """Returns the transforms that read an image as training images were read."""
    how = variant.preprocessing
    read = {
        "_target_": "LoadImage",
        "reader": "PILReader",
        "converter": f"$lambda image: ImageOps.exif_transpose(image).convert('{_READING[how.channels or 1]}')",
        "ensure_channel_first": True,
    }
    if how.image_size is None:
        return [read]
    return [read, {"_target_": "Resize", "spatial_size": list(reversed(how.image_size)), "mode": "area"}]


def _metadata(variant: Variant, labels: Sequence[str], sizes: Sizes) -> dict[str, Any]:
    import monai  # noqa: PLC0415 - seconds, for bundles alone

    channels = variant.preprocessing.channels or 1
    side = "*" if sizes.multiple == 1 else f"{sizes.multiple}*n"
    shape: list[Any] = list(sizes.least) if sizes.multiple is None else [side, side]
    outputs = list(labels)[:1] if variant.classes == 1 else ["background", *labels]
    return {
        "schema": _SCHEMA,
        "version": _VERSION,
        "changelog": {_VERSION: "exported"},
        "name": variant.name,
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"pillow": PIL.__version__},
        "task": "segmentation of two-dimensional images",
        "description": (
            f"{variant.name}: takes stored images (N, H, W, C), preprocessing is inside; {sizes.describe()}"
        ),
        "authors": "",
        "copyright": "",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "num_channels": channels,
                    "spatial_shape": shape,
                    "dtype": "uint8",
                    "value_range": [0, 255],
                    "is_patch_data": False,
                    "channel_def": _CHANNELS[channels],
                }
            },
            "outputs": {
                "pred": {
                    "type": "probabilities",
                    "format": "segmentation",
                    "num_channels": variant.classes,
                    "spatial_shape": shape,
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": False,
                    "channel_def": {str(number): name for number, name in enumerate(outputs)},
                }
            },
        },
    }


def _readme(variant: Variant, labels: Sequence[str], sizes: Sizes) -> str:
    how = variant.preprocessing
    colour = "gray" if (how.channels or 1) == 1 else "colour (red, green, blue)"
    size = "" if how.image_size is None else f", resized to {how.image_size[0]}x{how.image_size[1]} (height x width)"
    return f"""# {variant.name}

Segments two-dimensional images: {", ".join(labels) or "foreground"} against background.

    python -m monai.bundle run --config_file configs/inference.json --bundle_root . \\
        --dataset_dir IMAGES --output_dir MASKS

writes a mask for every image in the folder IMAGES, in the image's own size: `scan.jpg_mask.png` of `scan.jpg`. Images
that say by a tag how they are turned are turned so. Images of more than 8 bits are refused: bring them to 8 bits as
those that the network was trained on. It needs `pip install "monai[fire]" torch pillow`.

The network was trained on {colour} images{size}. `models/model.pt2` takes images as they are stored, uint8
(N, H, W, C), and gives probabilities (N, {variant.classes}, H, W): {sizes.describe()}. It opens without any code of
the project that it comes from, and holds no pickle: `torch.export.load("models/model.pt2").module()`.
"""


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=4) + "\n").encode()
