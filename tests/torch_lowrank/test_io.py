import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from models.unet import UNet
from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.io import (
    DESCRIPTION,
    WEIGHTS,
    StorageError,
    describe,
    load_network,
    network_digest,
    read_description,
    save_network,
    weights,
)
from torch_lowrank.ranks.budgets import ParameterBudget
from torch_lowrank.ranks.rules import FixedRank

ROOT = Path(__file__).resolve().parents[2]


def small_unet(scheme="auto"):
    torch.manual_seed(0)
    network = UNet(in_channels=3, classes=2, base_filters=4, bilinear=False).eval()
    return compress(network, FixedRank(2), spectra=decompose(network, scheme)).network


def make_net():
    return nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 6))


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "network"
    save_network(small_unet(), folder, {"note": "kept"})
    return folder


def edit(folder, **changes):
    description = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps({**description, **changes}))


def test_our_network_comes_back_in_a_fresh_process(saved):
    network = small_unet()
    x = torch.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    code = (
        f"import torch; from torch_lowrank.io import load_network; from models.unet import UNet;"
        f"network = load_network({str(saved)!r}, UNet);"
        "x = torch.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32); print(repr(network(x).double().sum().item()))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert float(output) == pytest.approx(float(network(x).detach().double().sum()), rel=1e-6)


def test_description_names_kind_scheme_and_rank(saved):
    description = read_description(saved)
    assert description["architecture"] == "models.unet.UNet"
    assert description["about"] == {"note": "kept"}
    entries = {entry["name"]: entry for entry in description["factorized"]}
    assert entries["up1.up"]["kind"] == "ConvTranspose2d"
    assert {entry["scheme"] for entry in entries.values()} == {"channel", "spatial"}
    assert all(entry["rank"] == 2 for entry in entries.values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_foreign_network_comes_back_in_its_dtype(tmp_path, dtype):
    network = make_net().to(dtype)
    network = compress(network, FixedRank(2), spectra=decompose(network)).network
    save_network(network, tmp_path / "net")
    loaded = load_network(tmp_path / "net", make_net)
    assert network_digest(loaded) == network_digest(network)
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
    assert not loaded.training


def test_tied_weights_stay_tied(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.inner, self.head = nn.Embedding(9, 8), nn.Linear(8, 8), nn.Linear(8, 9, bias=False)
            self.head.weight = self.embed.weight

    network = Tied().half()
    network = compress(network, FixedRank(2), spectra=decompose(network)).network
    save_network(network, tmp_path / "net")
    loaded = load_network(tmp_path / "net", Tied)
    assert loaded.head.weight is loaded.embed.weight
    assert network_digest(loaded) == network_digest(network)


def test_compiled_network_is_saved_as_what_it_wraps(tmp_path):
    save_network(torch.compile(small_unet(), backend="eager"), tmp_path / "net")
    assert network_digest(load_network(tmp_path / "net", UNet)) == network_digest(small_unet())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0.3, 1), st.sampled_from(["channel", "spatial", "auto"]), st.booleans())
def test_any_compressed_unet_comes_back(tmp_path, fraction, scheme, bilinear):
    network = UNet(base_filters=2, bilinear=bilinear)
    network = compress(network, ParameterBudget(fraction), spectra=decompose(network, scheme)).network
    save_network(network, tmp_path / "net")
    assert network_digest(load_network(tmp_path / "net", UNet)) == network_digest(network)


def test_saving_replaces_what_was_saved_and_nothing_else(tmp_path, saved):
    save_network(UNet(base_filters=4), saved)
    assert read_description(saved)["factorized"] == []
    assert [file.name for file in tmp_path.iterdir()] == ["network"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_text("dear to someone")
    with pytest.raises(StorageError, match="photos is there and holds no saved network"):
        save_network(UNet(base_filters=4), tmp_path / "photos")
    assert (tmp_path / "photos" / "one.jpg").exists()


def test_a_failed_write_leaves_the_old_network(tmp_path, saved):
    before = (saved / DESCRIPTION).read_text()
    with pytest.raises(TypeError):
        save_network(UNet(base_filters=4), saved, {"not json": object()})
    assert (saved / DESCRIPTION).read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ["network"]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "3", '"text"', "{}", '{"format": 2}', '{"format": 1}', "[" * 100_000, "\udcff"],
)
def test_damaged_description_is_refused(saved, content):
    (saved / DESCRIPTION).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(StorageError, match=DESCRIPTION):
        load_network(saved, UNet)


ENTRY = {"name": "inc.double_conv.3", "kind": "Conv2d", "scheme": "channel", "rank": 2}


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": 3},
        {"architecture": None},
        {"arguments": None},
        {"arguments": []},
        {"arguments": {"base_filters": "4"}},
        {"arguments": {"base_filters": 0}},
        {"arguments": {"unknown": 1}},
        {"arguments": {"base_filters": 8}},
        {"factorized": {}},
        {"factorized": [3]},
        {"factorized": [{}]},
        {"factorized": [None]},
        {"factorized": []},
        {"factorized": [ENTRY]},
        {"factorized": [{**ENTRY, "name": "nowhere"}]},
        {"factorized": [{**ENTRY, "name": 3}]},
        {"factorized": [{**ENTRY, "name": "inc"}]},
        {"factorized": [{**ENTRY, "kind": "Linear"}]},
        {"factorized": [{**ENTRY, "scheme": "diagonal"}]},
        {"factorized": [{**ENTRY, "scheme": []}]},
        {"factorized": [{**ENTRY, "rank": "2"}]},
        {"factorized": [{**ENTRY, "rank": 0}]},
        {"factorized": [{**ENTRY, "rank": True}]},
        {"factorized": [{**ENTRY, "rank": 10**12}]},
        {"about": 3},
        {"weights_sha256": None},
        {"weights_sha256": "0" * 64},
    ],
)
def test_description_that_does_not_fit_is_refused(saved, changes):
    edit(saved, **changes)
    with pytest.raises(StorageError):
        load_network(saved, UNet)


@pytest.mark.parametrize("missing", ["format", "architecture", "arguments", "factorized", "about", "weights_sha256"])
def test_missing_field_is_refused(saved, missing):
    description = json.loads((saved / DESCRIPTION).read_text())
    del description[missing]
    (saved / DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(StorageError, match=missing):
        load_network(saved, UNet)


def test_damaged_or_missing_files_are_refused(saved, tmp_path):
    with pytest.raises(StorageError, match="is no folder of a saved network"):
        load_network(tmp_path / "elsewhere", UNet)
    content = (saved / WEIGHTS).read_bytes()
    for damaged in (content[:-1], b"", b"\0" + content[1:], content + b"\0"):
        (saved / WEIGHTS).write_bytes(damaged)
        with pytest.raises(StorageError, match="is damaged"):
            load_network(saved, UNet)
    (saved / WEIGHTS).unlink()
    with pytest.raises(StorageError, match="is missing"):
        load_network(saved, UNet)
    (saved / WEIGHTS).mkdir()
    with pytest.raises(StorageError, match="cannot be read"):
        load_network(saved, UNet)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be read"):
        load_network(tmp_path / "file", UNet)


def test_foreign_network_needs_the_right_constructor(tmp_path):
    folder = tmp_path / "net"
    network = make_net()
    save_network(compress(network, FixedRank(2), spectra=decompose(network)).network, folder)
    with pytest.raises(StorageError, match="holds a Sequential, the constructor makes a Linear"):
        load_network(folder, lambda: nn.Linear(8, 8))
    with pytest.raises(StorageError, match="returned a dict, not a network"):
        load_network(folder, dict)  # type: ignore[arg-type]
    with pytest.raises(StorageError, match="does not fit"):
        load_network(folder, lambda: nn.Sequential(nn.Conv2d(8, 8, 3)))
    with pytest.raises(StorageError, match="does not fit"):
        load_network(folder, lambda: nn.Sequential(nn.Conv2d(8, 9, 3), *make_net()[1:]))


def test_the_digest_is_of_structure_and_weights_wherever_the_class_lies():
    network = UNet(in_channels=2, classes=1, base_filters=4)
    structure = {"format": 1, "architecture": "UNet", "arguments": network.arguments, "factorized": []}
    content = json.dumps(structure, sort_keys=True).encode() + weights(network)
    assert network_digest(network) == hashlib.sha256(content).hexdigest()
    before = network_digest(network)
    network.__class__ = type("UNet", (UNet,), {"__module__": "elsewhere.networks"})
    assert describe(network)["architecture"] == "elsewhere.networks.UNet"
    assert network_digest(network) == before
    network.__class__ = type("Other", (UNet,), {})
    assert network_digest(network) != before


class Sized(nn.Module):
    """Needs an argument that `network.json` does not have, as it keeps none."""

    def __init__(self, width):
        super().__init__()
        if width < 1:
            raise ValueError("width is too small")
        self.inner = nn.Linear(width, 8)


@pytest.mark.parametrize(
    ("constructor", "message"),
    [
        (Sized, r"arguments \{\}: .*missing 1 required positional argument: 'width'"),
        (lambda: Sized(0), "width is too small"),
    ],
)
def test_a_constructor_that_fails_says_to_pass_a_function(tmp_path, constructor, message):
    network = compress(Sized(8), FixedRank(2)).network
    save_network(network, tmp_path / "net")
    with pytest.raises(StorageError, match=f"{message}; pass a function without arguments that makes the network"):
        load_network(tmp_path / "net", constructor)
    assert network_digest(load_network(tmp_path / "net", lambda: Sized(8))) == network_digest(network)


def test_networks_saved_by_the_class_name_alone_are_loaded(saved):
    edit(saved, architecture="UNet")
    assert network_digest(load_network(saved, UNet)) == network_digest(small_unet())


def test_arguments_go_to_constructors_that_take_them(saved):
    arguments = read_description(saved)["arguments"]
    assert network_digest(load_network(saved, lambda: UNet(**arguments))) == network_digest(small_unet())
    edit(saved, arguments=None)
    with pytest.raises(StorageError, match="does not fit"):
        load_network(saved, UNet)  # which makes one of other sizes then


def test_state_beyond_tensors_is_refused(tmp_path):
    class Odd(nn.Linear):
        def get_extra_state(self):
            return {"a": 1}

    with pytest.raises(StorageError, match="'_extra_state', which is no tensor"):
        save_network(Odd(2, 2), tmp_path / "net")
