"""On a GPU everything comes out as on the CPU: spectra, ranks, statistics, masks; and training learns there."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from models.evaluation.evaluate import evaluate, predict
from models.evaluation.latency import time_in_turns
from models.preprocessing import ImageBatches
from models.unet import UNet
from models.unet_inference import for_inference
from tests.models.training.small_training import OPTIONS, PLAIN, TRAIN, VALID, make_split, train, without_seconds
from torch_lowrank.compression import compress
from torch_lowrank.curvature.collect import collect_statistics
from torch_lowrank.decomposition import svd
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.io import load_network, network_digest, save_network, weights
from torch_lowrank.quantization.quantize import quantize_weights
from torch_lowrank.quantization.size_budget import SizeBudget, float_size
from torch_lowrank.ranks.budgets import ParameterBudget
from torch_lowrank.recalibration import recalibrate

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA"),
]
DEVICE = "cuda"
SQUARES = make_split(64, 0)
LONGER = dataclasses.replace(OPTIONS, epochs=15, batch_size=8, lr=3e-2, augment="none", precision="auto")


@pytest.fixture
def full_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions in all 24 bits of float32: by default CUDA multiplies in TF32, which has 11."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small network that finds squares, trained on the CPU."""
    return train(tmp_path_factory.mktemp("training"), LONGER, train=SQUARES)[0].eval()


@pytest.fixture(scope="module")
def statistics(trained):
    images = ImageBatches(TRAIN.images, np.arange(len(TRAIN.images)), PLAIN, 4)
    return collect_statistics(trained, images)


@pytest.mark.parametrize("driver", [None, "gesvd", "gesvdj", "gesvda"])
@pytest.mark.parametrize("shape", [(3, 24, 70), (2, 64, 64), (1, 90, 20)])
def test_every_driver_gives_factors_that_are_exact(driver, shape, monkeypatch):
    monkeypatch.setattr(svd, "CUDA_DRIVER", driver)
    matrices = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left, values, right = (part.cpu() for part in svd.factorize(matrices.to(DEVICE)))
    identity = torch.eye(left.shape[2], dtype=torch.float64).expand(len(left), -1, -1)
    torch.testing.assert_close(left.mT @ left, identity, rtol=0, atol=1e-10)
    torch.testing.assert_close(left @ right, matrices, rtol=0, atol=1e-9)
    torch.testing.assert_close(values, torch.linalg.svdvals(matrices), rtol=1e-9, atol=1e-10)


def test_a_budget_has_the_ranks_that_it_has_on_the_cpu(trained, statistics):
    reports = []
    for device in ("cpu", DEVICE):
        spectra = decompose(trained, "auto", device=device, statistics=statistics)
        result = compress(trained, ParameterBudget(0.3), spectra=spectra, statistics=statistics, device=device)
        reports.append(result)
        assert {each.device.type for each in result.network.state_dict().values()} == {"cpu"}
    here, there = (
        predict(each.network, VALID.images, PLAIN, classes=1, batch_size=4, device="cpu") for each in reports
    )
    assert [layer.rank for layer in reports[0].layers] == [layer.rank for layer in reports[1].layers]
    assert (here != there).mean() < 0.01


@pytest.mark.usefixtures("full_float32")
def test_moments_of_inputs_are_those_of_the_cpu(trained):
    images = ImageBatches(TRAIN.images, np.arange(len(TRAIN.images)), PLAIN, 4)
    here, there = (
        collect_statistics(trained, images, weighting="activation", device=device) for device in ("cpu", DEVICE)
    )
    for name in here:
        torch.testing.assert_close(there[name].columns, here[name].columns, rtol=1e-3, atol=1e-4)
        assert there[name].columns.device.type == "cpu"


@pytest.mark.usefixtures("full_float32")
def test_a_network_is_measured_as_on_the_cpu(trained):
    here, there = (
        evaluate(trained, VALID.images, VALID.masks, PLAIN, classes=1, batch_size=2, device=device)
        for device in ("cpu", DEVICE)
    )
    assert there.metrics == pytest.approx(here.metrics, abs=1e-3)
    assert {each.device.type for each in trained.state_dict().values()} == {"cpu"}


@pytest.mark.usefixtures("full_float32")
def test_a_deployed_network_computes_the_same(trained, statistics):
    smaller = compress(
        trained, ParameterBudget(0.3), spectra=decompose(trained, "auto", statistics=statistics)
    ).network.eval()
    images = torch.randn(2, 1, 32, 32, device=DEVICE)
    with torch.inference_mode():
        expected = smaller.to(DEVICE)(images)
        torch.testing.assert_close(for_inference(smaller)(images), expected, rtol=1e-3, atol=1e-3)


def test_training_learns_in_bfloat16_and_a_finished_one_is_not_repeated(tmp_path):
    network, history = train(tmp_path, LONGER, train=SQUARES, device=DEVICE)
    assert {each.device.type for each in network.state_dict().values()} == {"cpu"}
    assert history.epochs[-1].valid_dice > 0.8
    assert without_seconds(train(tmp_path, LONGER, train=SQUARES, device=DEVICE)[1]) == without_seconds(history)


def test_the_same_seed_gives_nearly_the_same_training(tmp_path):
    """Some gradients on CUDA are sums in no fixed order, so that bits differ; the curve does not."""
    first, second = (train(tmp_path / name, device=DEVICE)[1] for name in ("first", "second"))
    for one, other in zip(first.epochs, second.epochs, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, abs=0.05)


def test_recalibration_and_latency_leave_a_network_where_it_was():
    network = UNet(1, 1, 4)
    recalibrate(network, ImageBatches(TRAIN.images, np.arange(len(TRAIN.images)), PLAIN, 4), device=DEVICE)
    assert network.get_submodule("inc.double_conv.1").running_mean.abs().max() > 0  # as it was made, it is 0
    assert time_in_turns({"network": network}, (1, 16, 16), DEVICE, 0.1)["network"].ms > 0
    assert {each.device.type for each in network.state_dict().values()} == {"cpu"}


def test_networks_on_the_gpu_are_brought_to_few_bits_and_to_a_size_there(trained, statistics, tmp_path):
    on_gpu = copy.deepcopy(trained).to(DEVICE)
    spectra = decompose(on_gpu, "auto", statistics=statistics)
    sized = compress(on_gpu, SizeBudget(0.1), spectra=spectra, statistics=statistics).network
    in_four_bits = quantize_weights(on_gpu, 4, statistics=statistics)
    assert len(weights(sized)) <= 0.1 * float_size(trained)
    for network in (sized, in_four_bits):
        assert {tensor.device.type for tensor in network.state_dict().values()} == {DEVICE}
        recalibrate(network, ImageBatches(TRAIN.images, np.arange(len(TRAIN.images)), PLAIN, 4, min_batch=2))
        save_network(network, tmp_path / "net")
        assert network_digest(load_network(tmp_path / "net", UNet)) == network_digest(network)
    on_cpu = quantize_weights(trained, 4, statistics=statistics)
    for name, tensor in in_four_bits.state_dict().items():
        if name.endswith("weight") and tensor.ndim == 4:
            torch.testing.assert_close(tensor.cpu(), on_cpu.state_dict()[name])
