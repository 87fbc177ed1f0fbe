import hashlib
import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from models.evaluation.cost import weights_size_bytes
from tests.torch_lowrank.quantization.quantized_cases import EveryKind, inputs, network
from torch_lowrank.compression import compress
from torch_lowrank.inference import for_inference
from torch_lowrank.io import (
    DESCRIPTION,
    WEIGHTS,
    StorageError,
    load_network,
    network_digest,
    read_description,
    save_network,
    weights,
)
from torch_lowrank.quantization.coding import codings
from torch_lowrank.quantization.quantize import quantize_weights
from torch_lowrank.ranks.rules import FixedRank
from torch_lowrank.recalibration import recalibrate


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([None, "channel", "spatial"]),
    st.integers(0, 1000),
    st.sampled_from([2, 3, 4, 5, 6, 7, 8, 16, {"two.*": 3, "linear*": 7}]),
    st.sampled_from([16, 32]),
)
def test_what_is_loaded_is_what_was_saved_bit_by_bit(tmp_path, scheme, seed, bits, other_bits):
    quantized = quantize_weights(network(scheme, seed), bits, other_bits=other_bits)
    save_network(quantized, tmp_path / "net")
    loaded = load_network(tmp_path / "net", EveryKind)
    for name, tensor in quantized.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert network_digest(loaded) == network_digest(quantized)
    assert [*codings(loaded)] == [*codings(quantized)]
    assert torch.equal(loaded(*inputs()), quantized(*inputs()))
    assert (tmp_path / "net" / WEIGHTS).stat().st_size == weights_size_bytes(quantized)
    save_network(loaded, tmp_path / "net")  # and what was loaded can be saved
    assert (tmp_path / "net" / WEIGHTS).read_bytes() == weights(quantized)


def test_the_file_is_the_codes_the_scales_the_rest_and_a_short_header(tmp_path):
    layers = nn.Sequential(nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32))
    content = weights(quantize_weights(layers, 4))
    rest = 32 * 4 + 4 * 32 * 4 + 8  # bias, four vectors of BatchNorm, its counter
    assert 16 * 32 * 9 // 2 + 32 * 2 + rest <= len(content) <= 16 * 32 * 9 // 2 + 32 * 2 + rest + 100


def test_layers_that_stay_dense_keep_their_bits_when_others_are_factorised(tmp_path):
    quantized = quantize_weights(network(), 6)
    mixed = compress(quantized, FixedRank(1), exclude=["one.*", "three.*"]).network
    assert {name.split(".")[0] for name in codings(mixed)} >= {"one", "three"}
    save_network(mixed, tmp_path / "net")
    assert network_digest(load_network(tmp_path / "net", EveryKind)) == network_digest(mixed)


def test_a_network_in_another_type_beside_quantised_layers_comes_back(tmp_path):
    def constructor():
        return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))

    layers = constructor()
    layers[1].double()
    quantized = quantize_weights(layers, 3)
    save_network(quantized, tmp_path / "net")
    loaded = load_network(tmp_path / "net", constructor)
    assert loaded[1].weight.dtype == torch.float64
    assert network_digest(loaded) == network_digest(quantized)
    loaded = load_network(tmp_path / "net", lambda: constructor().half())
    assert network_digest(loaded) == network_digest(quantized)


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers[0].weight.data.mul_(1.001),
        lambda layers: layers[0].weight.data.view(-1)[5].add_(1e-6),
        lambda layers: layers[0].weight.data.view(-1)[5].fill_(torch.nan),
        lambda layers: layers.half(),
    ],
)
def test_weights_that_were_changed_after_quantisation_are_not_saved(tmp_path, change):
    quantized = quantize_weights(nn.Sequential(nn.Linear(4, 3)), 4)
    change(quantized)
    with pytest.raises(StorageError, match=r"'0.weight' was changed after it was quantised.* call quantize_weights"):
        save_network(quantized, tmp_path / "net")
    assert not (tmp_path / "net").exists()


def test_changed_weights_can_be_quantised_again(tmp_path):
    quantized = quantize_weights(nn.Sequential(nn.Linear(4, 3)), 4)
    quantized[0].weight.data.mul_(1.1)
    again = quantize_weights(quantized, 4)
    save_network(again, tmp_path / "net")
    assert network_digest(load_network(tmp_path / "net", lambda: nn.Sequential(nn.Linear(4, 3)))) == network_digest(
        again
    )


def test_batch_norm_may_be_recalibrated_after_the_weights_were_rounded(tmp_path):
    def constructor():
        return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4))

    quantized = quantize_weights(constructor(), 4)
    recalibrate(quantized, [torch.randn(4, 2, 8, 8) for _ in range(2)])
    save_network(quantized, tmp_path / "net")
    assert network_digest(load_network(tmp_path / "net", constructor)) == network_digest(quantized)


def test_statistics_that_leave_half_precision_are_stored_as_they_are(tmp_path):
    def constructor():
        return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4))

    quantized = quantize_weights(constructor(), 4, other_bits=16)
    recalibrate(quantized, [1e4 * torch.randn(4, 2, 8, 8) for _ in range(2)])  # half precision ends at 65,504
    assert float(quantized[1].running_var.max()) > 1e5
    assert "1.running_var" not in codings(quantized) and codings(quantized)["1.running_mean"].bits == 16
    save_network(quantized, tmp_path / "net")
    assert network_digest(load_network(tmp_path / "net", constructor)) == network_digest(quantized)


def test_a_network_that_runs_faster_is_made_of_a_quantised_one():
    quantized = quantize_weights(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)).eval(), 4)
    x = torch.randn(2, 2, 8, 8)
    torch.testing.assert_close(for_inference(quantized)(x), quantized(x), rtol=1e-4, atol=1e-5)


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "net"
    save_network(quantize_weights(network("channel"), 4), folder)
    return folder


def edited(folder, change):
    description = json.loads((folder / DESCRIPTION).read_text())
    change(description)
    (folder / DESCRIPTION).write_text(json.dumps(description))


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(bits=5),
        lambda entry: entry.update(bits=1),
        lambda entry: entry.update(bits="4"),
        lambda entry: entry.update(bits=4.0),
        lambda entry: entry.update(bits=16),
        lambda entry: entry.update(scale=None),
        lambda entry: entry.update(scale=[1, 2]),
        lambda entry: entry.update(scale=[0] * len(entry["scale"])),
        lambda entry: entry.update(scale=[1] * len(entry["scale"])),
        lambda entry: entry.update(name="nowhere.weight"),
        lambda entry: entry.update(name="one.1.weight"),
        lambda entry: entry.pop("name"),
    ],
)
def test_a_damaged_entry_is_refused(saved, change):
    edited(saved, lambda description: change(description["quantized"][1]))
    with pytest.raises(StorageError, match=f"{WEIGHTS} does not fit the network of {DESCRIPTION}"):
        load_network(saved, EveryKind)


@pytest.mark.parametrize(
    "change",
    [
        {"quantized": []},
        {"quantized": [3]},
        {"quantized": None},
        {"dtypes": None},
        {"dtypes": {"nowhere": "float16"}},
        {"dtypes": {"one.1.weight": "float16"}},
        {"dtypes": {"one.1.weight": "load"}},
        {"dtypes": {"one.1.weight": 3}},
        {"dtypes": {"one.1.weight": ["float16"]}},
        {"format": 1},
        {"format": 3},
    ],
)
def test_a_damaged_description_is_refused(saved, change):
    edited(saved, lambda description: description.update(change))
    with pytest.raises(StorageError, match=DESCRIPTION):
        load_network(saved, EveryKind)


def test_a_doubled_entry_and_a_file_of_other_tensors_are_refused(saved):
    edited(saved, lambda description: description["quantized"].append(description["quantized"][0]))
    with pytest.raises(StorageError, match="does not fit"):
        load_network(saved, EveryKind)


def test_a_file_of_other_tensors_is_refused(saved):
    content = save({"packed": torch.zeros(5, dtype=torch.uint8), "more": torch.zeros(1)})
    (saved / WEIGHTS).write_bytes(content)
    edited(saved, lambda about: about.update(weights_sha256=hashlib.sha256(content).hexdigest()))
    with pytest.raises(StorageError, match="not one tensor 'packed' of bytes"):
        load_network(saved, EveryKind)


def test_old_networks_are_described_as_before(tmp_path):
    save_network(network("channel"), tmp_path / "net")
    description = read_description(tmp_path / "net")
    assert description["format"] == 1 and "quantized" not in description
    assert network_digest(load_network(tmp_path / "net", EveryKind)) == network_digest(network("channel"))
