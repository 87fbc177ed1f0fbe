"""Reading a JSON object's lists piece by piece returns the same as reading it at once."""

import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset.annotations import json_stream
from dataset.annotations.json_stream import stream_lists
from dataset.annotations.segmentation_cache import SegmentationCache

NAMES = ("images", "annotations")
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner), max_leaves=8
)


def streamed(data: bytes) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {name: [] for name in NAMES}
    for name, element in stream_lists(io.BytesIO(data), NAMES, dict):
        found[name].append(element)
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # drawing takes long
@given(
    lists=st.fixed_dictionaries({name: st.lists(values, max_size=5) for name in NAMES}),
    others=st.dictionaries(st.text(max_size=4), values, max_size=3),
    order=st.randoms(use_true_random=False),
    layout=st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-le"]),
    chunk=st.integers(8, 40),
)
def test_pieces_give_what_the_whole_gives(lists, others, order, layout, encoding, chunk):
    items = [*{**others, **lists}.items()]
    order.shuffle(items)
    data = json.dumps(dict(items), **layout).encode(encoding, "surrogatepass")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_stream, "_CHUNK", chunk)
        assert streamed(data) == lists


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"images": [], "annotations": []',
        '{"images": [], "annotations": []} 1',
        '{"images": [], "annotations": [],}',
        '{"images": [1,], "annotations": []}',
        '{"images": [,1], "annotations": []}',
        '{"images": [1 2], "annotations": []}',
        '{"images": [1}, "annotations": []}',
        '{"images": [] "annotations": []}',
        '{, "images": [], "annotations": []}',
        '{"images": [], "annotations": [], "images": []}',
        '{"images": [], "annotations": [], 1: 2}',
        '{"images": {}, "annotations": []}',
        '{"images": []}',
        '{"images": [1e], "annotations": []}',
        '{"images": ["a], "annotations": []}',
    ],
)
def test_what_is_not_of_this_form_is_not_passed_over(text):
    with pytest.raises(ValueError):
        streamed(text.encode())


def test_bytes_that_are_no_text_are_not_passed_over():
    with pytest.raises(UnicodeDecodeError):
        streamed(b'{"images": [], "annotations": [], "info": "\xff"}')


@given(
    st.lists(st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8), max_size=3), max_size=5)
)
def test_cached_outlines_come_back_exactly(outlines):
    cache = SegmentationCache()
    offsets = [cache.add(outline) for outline in outlines]
    assert [cache.read(offset) for offset in reversed(offsets)] == outlines[::-1]
    assert cache.read(cache.add({"size": [3, 4], "counts": "1;\\"})) == {"size": [3, 4], "counts": "1;\\"}
