"""What share of a network can be factorised, counted by hand."""

import pytest
from torch import nn

from torch_lowrank.compression import compress
from torch_lowrank.layers.parameter_shares import parameter_shares
from torch_lowrank.ranks.rules import FixedRank


class Attending(nn.Module):
    """A convolution of 40, norms of 8 and 8, attention of 48 + 12 + 16 + 4, a table of 10, and 6 of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 3)
        self.norm, self.other_norm = nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)
        self.attention = nn.MultiheadAttention(4, 2)
        self.table = nn.Embedding(5, 2)
        self.token = nn.Parameter(nn.init.zeros_(nn.Parameter(nn.Linear(6, 1).weight.detach())))


def test_every_parameter_is_counted_by_what_hinders() -> None:
    shares = parameter_shares(Attending())
    total = 40 + 16 + 80 + 10 + 6
    assert shares.factorizable == pytest.approx(40 / total)
    assert list(shares.others.values()) == [pytest.approx(count / total) for count in (80, 16, 10, 6)]
    attention, norm, table, token = shares.others
    assert (attention, norm) == ("attention (nn.MultiheadAttention)", "normalisation")
    assert "Embedding" in table
    assert token == "parameters of Attending itself"


def test_the_shares_of_a_compressed_network_count_its_thin_layers() -> None:
    network = nn.Sequential(nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8))
    small = compress(network, FixedRank(1)).network
    shares = parameter_shares(small)
    assert shares.factorizable == pytest.approx((8 * 9 + 8) / (8 * 9 + 8 + 16))


def test_a_weight_in_two_layers_is_counted_once() -> None:
    network = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    network[1].weight = network[0].weight
    shares = parameter_shares(network)
    assert shares.factorizable == 0.5
    assert list(shares.others) == ["Linear (its weight is shared with another layer)"]


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (nn.Linear(2, 2), "100 % of the parameters can be factorised"),
        (nn.BatchNorm2d(4), "0 % of the parameters can be factorised; not: normalisation 100 %"),
        (
            nn.Sequential(nn.Conv2d(64, 64, 3), nn.PReLU()),
            "99.99 % of the parameters can be factorised; not: activation (nn.PReLU) less than 0.01 %",
        ),
    ],
)
def test_shares_are_told_with_digits_that_tell_them_from_none_and_all(network: nn.Module, said: str) -> None:
    assert parameter_shares(network).describe() == said
