"""Part 2: small folders of random sound content, with random damage to entries, image bytes and the folder itself."""

import copy
import io
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from dataset.ingest import IngestOptions
from dataset.layout import ANNOTATION_FILE, SPLITS
from tests.dataset.coco_folder import CocoFolder
from tests.dataset.images.test_image_kinds import huge_bmp, huge_jpeg, huge_png
from tests.fuzz.annotations import BATCH, damage_bytes, damage_value, odd_values, random_options

FORMATS = [("PNG", "L"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("PNG", "1"), ("PNG", "I;16"), ("JPEG", "L")]
FORMATS += [("JPEG", "RGB"), ("JPEG", "CMYK"), ("TIFF", "F"), ("TIFF", "RGB"), ("TIFF", "I;16"), ("WEBP", "RGB")]
FORMATS += [("GIF", "P"), ("BMP", "RGB"), ("AVIF", "RGB"), ("JPEG2000", "RGB"), ("PPM", "RGB"), ("TGA", "RGB")]
NAMES = [
    "a\nb.png",
    "\ud800.png",
    "x" * 300,
    "../train/first.png",
    ".hidden.png",
    "",
    "é" * 100,
    "FIRST.PNG",
    "a b.png",
]


def encoded(rng: random.Random, width: int, height: int, frames: int = 1) -> bytes:
    """A noise image in a random format; a few frames where asked and possible."""
    kind, mode = rng.choice(FORMATS if frames == 1 else [("PNG", "L"), ("GIF", "P"), ("TIFF", "L"), ("WEBP", "RGB")])
    draw = np.random.default_rng(rng.randrange(2**32))
    if mode in ("F", "I;16"):
        values = draw.integers(0, 60000, (height, width))
        pictures = [Image.fromarray(values.astype(np.float32 if mode == "F" else np.uint16))]
    else:
        raw = [draw.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(frames)]
        pictures = [Image.fromarray(each).convert(mode) for each in raw]
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": pictures[1:]} if len(pictures) > 1 else {}
    pictures[0].save(buffer, kind, **more)
    return buffer.getvalue()


def sound_folder(rng: random.Random, root: Path) -> CocoFolder:
    """One to four images a split, with polygons and run lengths."""
    folder = CocoFolder(root)
    for split in SPLITS:
        for i in range(rng.randint(0, 3)):
            width, height = rng.randint(1, 40), rng.randint(1, 40)
            image_id = folder.image(split, f"sub/{i}.png", encoded(rng, width, height), size=(height, width))
            for _ in range(rng.randint(0, 2)):
                corners = [
                    rng.uniform(-2, 42) * (height if j % 2 else width) / 40 for j in range(rng.choice([6, 8, 20]))
                ]
                start = rng.randint(0, width * height)
                runs = {"size": [height, width], "counts": [start, width * height - start]}
                folder.annotation(split, image_id, rng.choice([[corners], runs]), iscrowd=rng.randint(0, 1))
    folder.content = copy.deepcopy(folder.content)  # the polygons are constants of the tests
    return folder


def damage_entries(rng: random.Random, folder: CocoFolder, split: str, number: int) -> None:
    """Spoils what the annotation file says."""
    content = folder.content[split]
    image = rng.choice(content["images"]) if isinstance(content.get("images"), list) and content["images"] else {}
    action = rng.randrange(7)
    if action == 0 and isinstance(image, dict):
        image["file_name"] = rng.choice(NAMES)
    elif action == 1 and isinstance(image, dict):
        image.update({rng.choice(["height", "width"]): rng.choice([1, 17, 8192, 65536, 2**40, 16.0, -16])})
    elif action == 2:
        content["annotations"] = []
    elif action == 3:
        content["categories"] = [{"id": i, "name": f"c{i}"} for i in range(rng.choice([0, 1, 300]))]
    else:
        damage_value(rng, content, odd_values(number // BATCH))


def damage_image(rng: random.Random, folder: CocoFolder, split: str) -> None:
    """Spoils the bytes of one image."""
    files = folder.files[split]
    name = rng.choice(list(files))
    choices: list[Callable[[], bytes]] = [
        lambda: b"",
        lambda: files[name][: rng.randrange(len(files[name]) + 1)],
        lambda: damage_bytes(rng, files[name]),
        lambda: b"not an image" * rng.randint(1, 100),
        lambda: encoded(rng, rng.randint(1, 50), rng.randint(1, 50)),
        lambda: encoded(rng, 16, 16, frames=3),
        lambda: rng.choice([huge_png, huge_jpeg, huge_bmp])(rng.choice([9000, 65000]), rng.choice([9000, 60000])),
        lambda: rng.randbytes(rng.randint(1, 300)),
    ]
    files[name] = rng.choice(choices)()


def damage_tree(rng: random.Random, root: Path, split: str) -> None:
    """Removes files and folders, or puts something else in their place."""
    is_own = (root / split).is_dir() and not (root / split).is_symlink()
    paths = sorted(path for path in (root / split).rglob("*") if path.is_file()) if is_own else []
    path = rng.choice([*paths, root / split / ANNOTATION_FILE, root / split])
    if not path.parent.is_dir():
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    targets = [
        root / "train" / "first.png",
        root / "valid",
        Path("/dev/zero"),
        Path("/etc/hostname"),
        Path("first.png"),
    ]
    action = rng.choice(["nothing", "pipe", "folder", "text", "link", "link", "loop", "outside"])
    if action == "pipe":
        os.mkfifo(path)
    elif action == "folder":
        path.mkdir()
    elif action == "text":
        path.write_text("{}")
    elif action in ("link", "loop"):
        path.symlink_to(rng.choice(targets) if action == "link" else path)
    elif action == "outside":
        path.symlink_to(root.parent)  # beside the data set lies what is written


def build(root: Path, number: int) -> IngestOptions:
    """Writes the folder of case `number` into `root`, and returns the options to read it with."""
    rng = random.Random(f"folders-{number}")
    folder = sound_folder(rng, root)
    for _ in range(rng.choice([0, 1, 1, 2])):
        damage_entries(rng, folder, rng.choice(SPLITS), number)
    for _ in range(rng.choice([0, 1, 1, 2])):
        damage_image(rng, folder, rng.choice(SPLITS))
    folder.write()
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        damage_tree(rng, root, rng.choice(SPLITS))
    if rng.random() < 0.1:
        path = root / rng.choice(SPLITS) / ANNOTATION_FILE
        if path.is_file():
            path.write_bytes(damage_bytes(rng, path.read_bytes()))
    return random_options(rng)
