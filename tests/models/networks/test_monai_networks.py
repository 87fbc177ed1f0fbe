"""Networks of MONAI from their name to a compressed one that comes back from disk, as the pipeline does it."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

from models.checkpoint import load_checkpoint
from models.compress_variant import budget_rule, compress_variant
from models.evaluation.cost import measure_cost
from models.networks.errors import NetworkError
from models.networks.recipe import Recipe
from models.networks.trial import Wanted, output_classes, try_network
from models.preprocessing import Preprocessing
from models.training.losses import build_loss
from models.training.module import SegmentationModule
from models.unet_inference import for_inference
from models.variant import Variant
from models.variant_spec import BASELINE, VariantSpec
from tests.models.training.small_training import OPTIONS
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.io import load_network
from torch_lowrank.layers.parameter_shares import parameter_shares
from torch_lowrank.ranks.costs import parameter_costs, possible_schemes, smallest_share

SIZE = (64, 64)
DYN = {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [8, 16, 32]}
CASES = {
    "basic_unet": Recipe("monai.networks.nets.BasicUNet", {"features": [8, 8, 16, 16, 16, 8]}),
    "unet": Recipe("monai.networks.nets.UNet", {"channels": [8, 16, 32], "strides": [2, 2], "num_res_units": 1}),
    "attention_unet": Recipe("monai.networks.nets.AttentionUnet", {"channels": [8, 16, 32], "strides": [2, 2]}),
    "segresnet": Recipe("monai.networks.nets.SegResNet", {"init_filters": 8}),
    "dynunet": Recipe("monai.networks.nets.DynUNet", {**DYN, "deep_supervision": True}, 0),
    "swin_unetr": Recipe("monai.networks.nets.SwinUNETR", {"feature_size": 12, "depths": [1, 1, 1, 1]}),
    "unetr": Recipe(
        "monai.networks.nets.UNETR",
        {"img_size": [64, 64], "feature_size": 4, "hidden_size": 24, "mlp_dim": 48, "num_heads": 2},
    ),
}
NEEDS = {"swin_unetr": "einops", "unetr": "einops"}
PLAIN = Preprocessing(0.3, 0.3)


@pytest.fixture(scope="module", params=CASES)
def baseline(request: pytest.FixtureRequest) -> Variant:
    """The network, tried and trained for a step."""
    needed = NEEDS.get(request.param)
    if needed is not None and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{request.param} needs {needed}")
    torch.manual_seed(0)
    recipe = CASES[request.param].filled(1, 1)
    network = recipe.build()
    try_network(network, Wanted(1, SIZE, 1))
    images = torch.randint(0, 256, (2, *SIZE, 1), dtype=torch.uint8)
    module = SegmentationModule(network.train(), PLAIN, OPTIONS, 1, 1)
    loss = build_loss("dice_ce", 1)(module.network(PLAIN(images)), (images[..., 0] > 128).long())
    loss.backward()
    torch.optim.Adam(network.parameters(), 1e-3).step()
    trained = recipe.build()  # as the next step reads it: DynUNet keeps outputs of its training, which hinder copies
    trained.load_state_dict(network.state_dict())
    return Variant(BASELINE, trained.eval(), PLAIN, output_classes(trained, 1, SIZE), recipe=recipe)


@pytest.fixture(scope="module")
def small(baseline: Variant) -> Variant:
    """A quarter of the parameters, or what is possible."""
    statistics = collect_statistics(baseline.network, [torch.randn(2, 1, *SIZE)])
    spectra = decompose(baseline.network, "auto", statistics=statistics)
    costs = parameter_costs(baseline.network, possible_schemes(baseline.network, "auto"))
    spec = VariantSpec("budget", budget=max(0.25, smallest_share(costs)), scheme="auto")
    rule = budget_rule(spec, (1, *SIZE))
    return compress_variant(baseline, spectra, rule, spec, statistics=statistics)


def logits(network: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return network(torch.randn(1, 1, *SIZE, generator=torch.Generator().manual_seed(1)))


def test_it_is_compressed_to_its_budget(baseline: Variant, small: Variant) -> None:
    assert small.params <= small.spec.budget * baseline.params
    assert any(layer.rank is not None for layer in small.layers)
    assert not torch.equal(logits(small.network), logits(baseline.network))


def test_it_comes_back_from_disk_where_it_is_allowed(small: Variant, tmp_path: Path) -> None:
    small.save(tmp_path / "network")
    with pytest.raises(NetworkError, match=re.escape(small.recipe.name)):
        Variant.load(tmp_path / "network")
    loaded = Variant.load(tmp_path / "network", networks=[small.recipe.place])
    assert torch.equal(logits(loaded.network), logits(small.network))
    assert (loaded.digest(), loaded.recipe) == (small.digest(), small.recipe)


def test_a_network_of_one_output_is_loaded_by_its_class_alone(small: Variant, tmp_path: Path) -> None:
    if small.recipe.output is not None:
        pytest.skip("one of several outputs was chosen")
    small.save(tmp_path / "network")
    loaded = load_network(tmp_path / "network", small.recipe.constructor())
    assert torch.equal(logits(loaded), logits(small.network))


def test_its_multiply_accumulates_fall(baseline: Variant, small: Variant) -> None:
    costs = [measure_cost(variant.network, (1, *SIZE)) for variant in (baseline, small)]
    assert 0 < costs[1].macs < costs[0].macs
    assert costs[1].size_bytes < costs[0].size_bytes


def test_it_computes_the_same_prepared_for_inference(small: Variant) -> None:
    torch.testing.assert_close(logits(for_inference(small.network)), logits(small.network), atol=1e-4, rtol=1e-4)


def test_all_of_its_parameters_are_accounted_for(baseline: Variant) -> None:
    shares = parameter_shares(baseline.network)
    assert 0.3 < shares.factorizable <= 1
    assert shares.factorizable + sum(shares.others.values()) == pytest.approx(1)


def test_its_checkpoint_is_loaded_whatever_it_is_wrapped_in(baseline: Variant, tmp_path: Path) -> None:
    state = {f"module.net.{name}": value for name, value in baseline.network.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": {**state, "loss.weight": torch.ones(2)}}, tmp_path / "net.ckpt")
    loaded = load_checkpoint(tmp_path / "net.ckpt", baseline.recipe.build())
    assert torch.equal(logits(loaded), logits(baseline.network))
