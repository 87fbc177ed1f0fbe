"""What the values of masks are called."""

import json

import pytest

from dataset.annotations.value_names import value_names
from dataset.errors import DatasetError
from dataset.sources.local_folder import LocalFolder


def names(tmp_path, content, file="labels.json"):
    (tmp_path / file).write_text(content if isinstance(content, str) else json.dumps(content))
    return value_names(LocalFolder(tmp_path), file)


@pytest.mark.parametrize(
    "content",
    [
        {"1": "edema", "2": "tumor"},
        {"edema": 1, "tumor": 2},
        {"0": "background", "1": "edema", "2": "tumor"},
        {"labels": {"background": 0, "edema": 1, "tumor": 2}, "channel_names": {"0": "T1"}},
    ],
)
def test_names_are_read_in_either_order(tmp_path, content):
    assert names(tmp_path, content) == {1: "edema", 2: "tumor"}
    assert names(tmp_path, content if "labels" in content else {"labels": content}, "dataset.json") == {
        1: "edema",
        2: "tumor",
    }


def test_another_tools_file_names_nothing(tmp_path):
    assert names(tmp_path, {"creator": "somebody", "images": 3}, "dataset.json") == {}
    assert names(tmp_path, {"labels": {"background": 0, "whole": [1, 2]}}, "dataset.json") == {}
    assert value_names(LocalFolder(tmp_path), None) == {}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[1]",
        {"edema": "1"},
        {"x": "edema"},
        {"1": "a", "01": "b"},
        {"1": "a\n"},
        {"9" * 5000: "a"},
        "[" * 9999,
    ],
)
def test_what_names_no_values_is_refused_with_an_example(tmp_path, content):
    with pytest.raises(DatasetError, match=r'labels\.json.*write \{"1": "edema", "2": "tumor"\}'):
        names(tmp_path, content)
