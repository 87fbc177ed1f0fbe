"""Part 1: sound annotation files, damaged as JSON (odd values in odd places) and as bytes."""

import copy
import functools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from dataset.ingest import IngestOptions
from dataset.layout import ANNOTATION_FILE, SPLITS
from tests.dataset.coco_folder import TRIANGLE, CocoFolder, noise, png

ODD = [2**31, 2**63, 10**30, 10**400, -1, 0, -0.0, 1e300, 5e-324, 3.0, "1", "NaN", "", "\0", "\ud800", "../a.png"]
TEXTS = st.text(st.characters(exclude_categories=()), max_size=8) | st.sampled_from(["first.png", "lesion", "id", "/"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.sampled_from(ODD)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=12)
BATCH = 100  # cases that share one drawing of values

TOKENS = [b"NaN", b"-Infinity", b"1e999", b"null", b"true", b"-0", b"1e-999", b"9" * 400, b"9" * 5000, b'"\\ud800"']
TOKENS += [b"[" * 3000, b'{"a":' * 3000, b"]", b"}", b",", b'"', b"\\", b"\0", b"\xff", b"\xef\xbb\xbf", b'"id": 1,']
TOKENS += [b"[" * 700 + b"]" * 700, b'"counts": "' + b"o" * 5000 + b'"', b"[0.5, 1e9, -7]"]


@functools.lru_cache(maxsize=4)
def odd_values(batch: int) -> list[Any]:
    """JSON values as hypothesis draws them, the same for the same number."""
    values: list[Any] = []

    @seed(batch)
    @settings(
        max_examples=BATCH, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=HealthCheck
    )
    @given(VALUES)
    def collect(value: Any) -> None:
        values.append(value)

    collect()
    return values


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value, as container and key."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += [(value, key), *places(inner)]
    return found


def damage_value(rng: random.Random, content: Any, values: list[Any]) -> None:
    """Replaces, removes, doubles or moves one value in place."""
    candidates = places(content)
    if not candidates:
        return
    container, key = rng.choice(candidates)
    action = rng.choice(["replace", "replace", "replace", "remove", "double", "move"])
    if action == "replace":
        container[key] = copy.deepcopy(rng.choice(values))  # the values serve other cases too
    elif action == "remove":
        del container[key]
    elif action == "double" and isinstance(container, list):
        container.insert(key, json.loads(json.dumps(container[key])))
    else:
        other, place = rng.choice(candidates)
        container[key] = json.loads(json.dumps(other[place]))


def damage_bytes(rng: random.Random, data: bytes) -> bytes:
    """Flips a bit, cuts, repeats or removes a piece, or inserts a token."""
    start, end = sorted(rng.choices(range(len(data) + 1), k=2))
    action = rng.choice(["flip", "cut", "repeat", "remove", "insert", "insert", "overwrite"])
    if action == "flip" and start < len(data):
        return data[:start] + bytes([data[start] ^ (1 << rng.randrange(8))]) + data[start + 1 :]
    if action == "cut":
        return data[:start]
    if action == "repeat":
        return data[:end] + data[start : min(end, start + 2000)] * rng.randint(1, 20) + data[end:]
    if action == "remove":
        return data[:start] + data[min(end, start + 20) :]
    kept = rng.randint(1, 8) if action == "overwrite" else 0
    return data[:start] + rng.choice(TOKENS) + data[start + kept :]


def sound_folder(root: Path) -> CocoFolder:
    """A folder with every kind of entry."""
    folder = CocoFolder(root)
    for i, split in enumerate(SPLITS):
        folder.image(split, "second.png", png(noise(16, 16, 10 + i)))
        folder.annotation(
            split, 2, [TRIANGLE, [1.5, 1.5, 14.5, 1.5, 8.0, 14.0]], iscrowd=1, area=60.5, bbox=[1, 1, 2, 3]
        )
        folder.annotation(split, 2, {"size": [16, 16], "counts": [20, 30, 206]})
        compressed = coco_mask.encode(np.asfortranarray(noise(16, 16, i) > 200))["counts"].decode()
        folder.annotation(split, 1, {"size": [16, 16], "counts": compressed})
    folder.content = copy.deepcopy(folder.content)  # the polygons are constants of the tests
    return folder


def build(root: Path, number: int) -> IngestOptions:
    """Writes the folder of case `number` into `root`, and returns the options to read it with."""
    rng = random.Random(f"annotations-{number}")
    values = odd_values(number // BATCH)
    folder = sound_folder(root)
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        damage_value(rng, folder.content[rng.choice(SPLITS)], values)
    folder.write()
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        path = root / rng.choice(SPLITS) / ANNOTATION_FILE
        path.write_bytes(damage_bytes(rng, path.read_bytes()))
    return random_options(rng)


def random_options(rng: random.Random) -> IngestOptions:
    """Draws how to read: sizes down to one pixel, everything else freely."""
    size = (rng.choice([1, 7, 16, 40]), rng.choice([1, 8, 16, 33]))
    return IngestOptions(size, rng.choice([1, 3]), rng.random() < 0.5, rng.random() < 0.6, rng.choice([1, 2, 3]))
