"""Narrowed networks: widths as plain data, and descriptions that lie."""

import json

import pytest
import torch
from torch import nn

import torch_lowrank as lr
from torch_lowrank.io import DESCRIPTION
from torch_lowrank.narrowing import NarrowingError, differing_widths, narrow, widths_in

X = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
WIDTHS = {
    "0": {"in_channels": 3, "out_channels": 4, "groups": 1},
    "1": {"num_features": 4},
    "2": {"in_channels": 4, "out_channels": 4, "groups": 4},
    "3": {"num_channels": 4},
    "4": {"num_parameters": 4},
    "5": {"in_channels": 4, "out_channels": 6, "groups": 2},
    "6": {"num_features": 6},
    "8": {"in_features": 6 * 16 * 16, "out_features": 5},
    "9": {"in_features": 5, "out_features": 2},
}


def dense() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.GroupNorm(2, 8),
        nn.PReLU(8),
        nn.ConvTranspose2d(8, 8, 2, stride=2, groups=2),
        nn.InstanceNorm2d(8, affine=True),
        nn.Flatten(),
        nn.Linear(8 * 16 * 16, 7),
        nn.Linear(7, 2),
    ).eval()


def narrowed() -> nn.Module:
    network = dense()
    narrow(network, WIDTHS)
    return network


def test_modules_of_every_kind_are_narrowed_and_compute() -> None:
    network = narrowed()
    assert network(X).shape == (2, 2)
    assert differing_widths(dense(), network) == WIDTHS == widths_in(network)
    wanted = nn.Conv2d(3, 4, 3, padding=1)
    assert [each.shape for each in network[0].parameters()] == [each.shape for each in wanted.parameters()]
    assert network[1].running_var.shape == (4,) and network[1].num_batches_tracked.ndim == 0


def test_a_narrowed_network_comes_back_to_the_bit_and_the_constructors_own_stays(tmp_path) -> None:
    network, own = narrowed(), dense()
    lr.save_network(network, tmp_path / "network")
    loaded = lr.load_network(tmp_path / "network", lambda: own)
    assert torch.equal(loaded(X), network(X))
    assert own[0].out_channels == 8 and not widths_in(own)


def test_it_can_be_saved_within_another_network_factorised_and_in_few_bits(tmp_path) -> None:
    for number, outer in enumerate(
        (
            nn.Sequential(narrowed(), nn.Identity()),
            nn.Sequential(lr.compress(narrowed(), lr.FixedRank(1)).network, nn.Identity()),
            nn.Sequential(lr.quantize_weights(narrowed(), 8), nn.Identity()),
        )
    ):
        lr.save_network(outer.eval(), tmp_path / str(number))
        loaded = lr.load_network(tmp_path / str(number), lambda: nn.Sequential(dense(), nn.Identity()))
        assert torch.equal(loaded(X), outer(X))


def test_networks_that_were_not_narrowed_are_described_as_before(tmp_path) -> None:
    lr.save_network(dense(), tmp_path / "network")
    assert "narrowed" not in json.loads((tmp_path / "network" / DESCRIPTION).read_text())


def test_modules_with_computed_weights_are_not_narrowed() -> None:
    network = nn.Sequential(torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3)))
    with pytest.raises(NarrowingError, match="module '0' is a ParametrizedConv2d, which cannot be narrowed"):
        narrow(network, {"0": {"in_channels": 3, "out_channels": 4, "groups": 1}})


CONV = {"in_channels": 3, "out_channels": 4, "groups": 1}


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (7, "is 7, and no list"),
        ([7], "7 does not hold the name and the width"),
        ([{"name": 3, "width": CONV}], "does not hold the name and the width"),
        ([{"name": "nowhere", "width": CONV}], "no module 'nowhere'"),
        ([{"name": "", "width": CONV}], "is a Sequential, which cannot be narrowed"),
        ([{"name": "0", "width": [1]}], "does not give these"),
        ([{"name": "0", "width": {"out_channels": 4}}], "does not give these"),
        ([{"name": "0", "width": CONV | {"stride": 2}}], "does not give these"),
        ([{"name": "0", "width": CONV | {"out_channels": 0}}], "out_channels of module '0' is 0"),
        ([{"name": "0", "width": CONV | {"out_channels": 10**12}}], "from 1 to 8"),
        ([{"name": "0", "width": CONV | {"out_channels": 4.0}}], "out_channels of module '0' is 4.0"),
        ([{"name": "0", "width": CONV | {"out_channels": True}}], "out_channels of module '0' is True"),
        ([{"name": "3", "width": {"num_channels": 3}}], "do not divide into its 2 groups"),
        ([{"name": "5", "width": {"in_channels": 3, "out_channels": 4, "groups": 2}}], "do not divide into its 2"),
        ([{"name": "0", "width": CONV}], "weights.safetensors does not fit"),  # others are as wide as before
    ],
)
def test_a_description_that_lies_is_refused(entries: object, said: str, tmp_path) -> None:
    lr.save_network(narrowed(), tmp_path / "network")
    file = tmp_path / "network" / DESCRIPTION
    file.write_text(json.dumps(json.loads(file.read_text()) | {"narrowed": entries}))
    with pytest.raises(lr.StorageError, match=said):
        lr.load_network(tmp_path / "network", dense)
