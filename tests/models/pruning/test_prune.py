"""Pruned networks: their size, what they compute, and their way through a folder."""

import pytest
import torch
from monai.networks.nets import BasicUNet
from monai.networks.nets import UNet as MonaiUNet
from torch import Tensor, nn

from models.pruning.channels import PruningError, without
from models.pruning.importance import importances
from models.pruning.prune import Target, prune
from models.unet import UNet
from torch_lowrank.io import load_network, save_network
from torch_lowrank.layers.factorized import count_parameters
from torch_lowrank.narrowing import widths_in
from torch_lowrank.ranks.costs import count_macs

SHAPE = (1, 32, 32)
IMAGES = torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(3))
NETWORKS = {
    "ours": lambda: UNet(base_filters=4),
    "transposed": lambda: UNet(base_filters=4, bilinear=False),
    "BasicUNet": lambda: BasicUNet(2, 1, 1, features=(4, 4, 8, 8, 8, 4)),
    "UNet": lambda: MonaiUNet(2, 1, 1, channels=(4, 8, 16), strides=(2, 2), num_res_units=1),
}


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # so that a wrong order of channels is seen
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0.1, 0.5)
    return network


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits[:, 0], labels)


def judged(network: nn.Module) -> dict[str, Tensor]:
    batches = [(image[None], (image > 0.5).float()) for image in IMAGES]
    return importances(network, batches, loss, "cpu")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_share_of_the_parameters_is_met_nearly_and_from_below(name: str) -> None:
    network = made(name)
    pruned = prune(network, judged(network), Target(0.5), SHAPE)
    share = count_parameters(pruned) / count_parameters(network)
    assert 0.45 < share <= 0.5
    assert pruned(IMAGES).shape == network(IMAGES).shape, "no channel of the output is gone"


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pruned_network_comes_back_from_a_folder_to_the_bit(name: str, tmp_path) -> None:
    network = made(name)
    pruned = prune(network, judged(network), Target(0.4), SHAPE)
    save_network(pruned, tmp_path / "network")
    loaded = load_network(tmp_path / "network", NETWORKS[name])
    assert torch.equal(loaded(IMAGES), pruned.eval()(IMAGES))
    assert widths_in(loaded) == widths_in(pruned) != {}
    assert count_macs(loaded, SHAPE) == count_macs(pruned, SHAPE) < count_macs(network, SHAPE)


def test_both_shares_are_met() -> None:
    network = made("ours")
    pruned = prune(network, judged(network), Target(0.9, 0.5), SHAPE)
    assert count_macs(pruned, SHAPE) <= 0.5 * count_macs(network, SHAPE)
    one_alone = prune(network, judged(network), Target(0.9), SHAPE)
    assert count_parameters(pruned) < count_parameters(one_alone)


def test_the_network_itself_stays_as_it_is() -> None:
    network, before = made("ours"), made("ours")
    prune(network, judged(network), Target(0.5), SHAPE)
    assert torch.equal(network(IMAGES), before(IMAGES))
    assert not widths_in(network)


def test_channels_that_are_zero_have_no_importance_and_change_nothing_where_they_go() -> None:
    network = made("ours")
    dead = {"inc.double_conv.3": [1, 2], "down2.maxpool_conv.1.double_conv.0": [0, 5], "up2.conv.double_conv.3": [3]}
    with torch.no_grad():
        for layer, channels in dead.items():
            block, _, number = layer.rpartition(".")
            norm = network.get_submodule(f"{block}.{int(number) + 1}")
            for tensor in (network.get_submodule(layer).weight, norm.weight, norm.bias):
                tensor[channels] = 0
    importance = judged(network)
    assert all(not bool(importance[layer][channels].any()) for layer, channels in dead.items())
    narrower = without(network, IMAGES[:1], dead)
    assert narrower.inc.double_conv[3].out_channels == 2
    assert narrower.up4.conv.double_conv[0].in_channels == network.up4.conv.double_conv[0].in_channels - 2
    assert torch.allclose(narrower(IMAGES), network(IMAGES), atol=1e-6)


def test_another_channel_changes_the_output() -> None:
    network = made("ours")
    removed = without(network, IMAGES[:1], {"inc.double_conv.3": [0]})
    assert not torch.allclose(removed(IMAGES), network(IMAGES), atol=1e-4)


def test_channels_that_matter_more_stay() -> None:
    network = made("ours")
    importance = judged(network)
    last = importance["up4.conv.double_conv.3"]
    assert last.shape == (4,) and bool((last > 0).all())
    kept = prune(network, importance | {"up4.conv.double_conv.3": last + 1e9}, Target(0.1), SHAPE)
    assert kept.up4.conv.double_conv[3].out_channels == 4


def test_a_share_that_cannot_be_met_is_refused_with_the_one_that_can() -> None:
    network = made("ours")
    with pytest.raises(PruningError, match=r"0\.001 of 52,809 parameters cannot be met.*0\.0\d+ of the parameters"):
        prune(network, judged(network), Target(0.001), SHAPE)


class Tied(nn.Module):
    """Adds its input to its only features, so that none can go."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.out = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.conv(x) + x.expand(-1, 4, -1, -1))


class Deep(UNet):
    """Has a second output in training alone."""

    def __init__(self) -> None:
        super().__init__(base_filters=4)
        self.aside = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x) + self.aside(self.inc(x))
        return super().forward(x)


def test_a_network_of_which_no_channel_can_go_is_refused() -> None:
    network = Tied().eval()
    with pytest.raises(PruningError, match="no channel of the network can be removed"):
        prune(network, judged(network), Target(0.5), SHAPE)


def test_what_only_training_reads_is_not_pruned() -> None:
    torch.manual_seed(0)
    network = Deep().eval()
    pruned = prune(network, judged(network), Target(0.5), SHAPE)
    assert pruned.inc.double_conv[3].out_channels == 4
    assert pruned.train()(IMAGES).shape == (2, 1, 32, 32)


def test_a_network_that_cannot_be_traced_is_refused() -> None:
    with pytest.raises(PruningError, match=r"Torch-Pruning cannot trace it: RuntimeError: .*expected input"):
        without(made("ours").inc, IMAGES.repeat(1, 2, 1, 1), {"double_conv.0": [0]})


def test_importances_that_are_not_finite_are_refused() -> None:
    network = made("ours")
    nn.init.constant_(network.inc.double_conv[0].weight, float("nan"))
    with pytest.raises(FloatingPointError, match="the network has diverged"):
        judged(network)
