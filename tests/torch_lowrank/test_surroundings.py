"""The same comes out in whatever context of torch's the engine is called."""

import contextlib

import pytest
import torch
from torch import nn

from torch_lowrank.compression import compress
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.inference import for_inference
from torch_lowrank.io import load_network, save_network
from torch_lowrank.quantization.quantize import quantize_weights
from torch_lowrank.quantization.size_budget import SizeBudget
from torch_lowrank.ranks.budgets import MacBudget, ParameterBudget
from torch_lowrank.recalibration import recalibrate

IMAGES = torch.randn(4, 2, 8, 8, generator=torch.Generator().manual_seed(3))


@contextlib.contextmanager
def double_by_default():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


CONTEXTS = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "float64": double_by_default,
    "meta": lambda: torch.device("meta"),
}


def make():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 2, 2, stride=2),
    ).eval()


def all_of_it(network, folder):
    """Everything that the engine makes of a network: tensors by name, and networks to be trained."""
    batches = [IMAGES, IMAGES + 1]
    statistics = collect_statistics(network, batches)
    spectra = decompose(network, "auto", statistics=statistics)
    refined = compress(network, ParameterBudget(0.4), spectra=spectra, statistics=statistics).network
    plain = compress(network, MacBudget(0.5, (2, 8, 8))).network
    recalibrate(refined, batches)
    save_network(plain, folder)
    networks = {"refined": refined, "plain": plain, "loaded": load_network(folder, make)}
    sized = compress(network, SizeBudget(0.4), spectra=spectra, statistics=statistics).network
    recalibrate(sized, batches)
    save_network(sized, folder)
    networks |= {"sized": sized, "from bits": load_network(folder, make), "rounded": quantize_weights(network, 4)}
    made = {**networks, "fast": for_inference(refined)}
    tensors = {f"{name}.{key}": value for name, each in made.items() for key, value in each.state_dict().items()}
    tensors |= {f"rows.{name}": moments.rows for name, moments in statistics.items()}
    tensors |= {f"columns.{name}": moments.columns for name, moments in statistics.items()}
    return tensors, networks


@pytest.mark.parametrize("context", CONTEXTS)
def test_contexts_of_torch_change_nothing(context, tmp_path):
    network = make()
    with CONTEXTS[context]():
        tensors, networks = all_of_it(network, tmp_path / "inside")
    expected, _ = all_of_it(make(), tmp_path / "outside")
    assert tensors.keys() == expected.keys()
    for name, value in tensors.items():
        assert (value.dtype, value.device) == (expected[name].dtype, expected[name].device), name
        assert torch.equal(value, expected[name]), name
        assert not value.is_inference(), name
    for each in networks.values():
        each.train()(IMAGES).sum().backward()
        assert all(parameter.grad is not None for parameter in each.parameters())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA")
def test_autocast_of_cuda_changes_nothing():
    network = make().cuda()
    expected = compress(network, ParameterBudget(0.4)).network.state_dict()
    with torch.autocast("cuda", dtype=torch.float16):
        found = compress(network, ParameterBudget(0.4)).network.state_dict()
    for name, value in found.items():
        assert value.dtype == expected[name].dtype
        torch.testing.assert_close(value, expected[name])


def test_a_network_made_in_inference_mode_becomes_one_that_can_be_trained():
    with torch.inference_mode():
        small = compress(make(), ParameterBudget(0.4)).network
    small.train()(IMAGES).sum().backward()
    assert all(parameter.grad is not None for parameter in small.parameters())
