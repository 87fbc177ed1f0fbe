"""The figures of the trained network that comes with the documents, and the memory of a sweep."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from models.unet import UNet
from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.ranks.rules import Entropy, FixedRank

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT.parent / "shared" / "models" / "unet16_gray128.safetensors"


@pytest.fixture(scope="module")
def trained():
    if not CHECKPOINT.exists():
        pytest.skip(f"{CHECKPOINT} is not there")
    network = UNet.from_state_dict(load_file(CHECKPOINT)).eval()
    return network, decompose(network)


@pytest.mark.parametrize(
    ("rule", "params"),
    [
        (FixedRank(16), 191_585),
        (FixedRank(32), 356_193),
        (Entropy(0.85), 521_761),
        (Entropy(0.9), 626_321),
        (Entropy(0.9, "sigma"), 771_009),
    ],
)
def test_parameter_counts_are_the_published_ones(trained, rule, params):
    network, spectra = trained
    assert (
        sum(parameter.numel() for parameter in compress(network, rule, spectra=spectra).network.parameters()) == params
    )


PEAK = """
import resource
from torch_lowrank.compression import compress
from torch_lowrank.ranks.rules import Entropy, FixedRank
from torch_lowrank.decomposition.decompose import decompose
from models.unet import UNet

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

small = UNet(3, 1, 8)
for rule in (FixedRank(2), Entropy(0.9)):
    compress(small, rule, spectra=decompose(small))
network = UNet(3, 1, 64)
size = sum(parameter.nbytes for parameter in network.parameters())
before = peak()
spectra = decompose(network)
for rule in (FixedRank(16), FixedRank(32), FixedRank(64), Entropy(0.85), Entropy(0.9), Entropy(0.95)):
    compress(network, rule, spectra=spectra)
stored = sum(part.nbytes for one in spectra.layers.values() for part in (one.left, one.right, one.singular_values))
print((peak() - before - stored) / size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured as Linux counts it")
def test_a_sweep_needs_less_than_six_networks_of_memory():
    output = subprocess.run(
        [sys.executable, "-c", PEAK],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=True,
    )
    assert float(output.stdout) < 6
