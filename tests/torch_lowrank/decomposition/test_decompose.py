import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from models.unet import UNet
from torch_lowrank.compression import compress
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.decomposition.spectra import Spectra
from torch_lowrank.decomposition.svd import factorize
from torch_lowrank.layers.unfolding import FOLDINGS
from torch_lowrank.ranks.rules import FixedRank


def conv_of(matrix):
    """A 1x1 convolution with this weight matrix."""
    layer = nn.Conv2d(matrix.shape[1], matrix.shape[0], 1, bias=False, dtype=matrix.dtype)
    layer.weight.data = matrix[:, :, None, None].clone()
    return layer


def spectrum_with(values, rows, columns, seed=0):
    """A float64 matrix with the given singular values."""
    generator = torch.Generator().manual_seed(seed)
    k = len(values)
    left = torch.linalg.qr(torch.randn(rows, k, generator=generator, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(columns, k, generator=generator, dtype=torch.float64))[0]
    return (left * torch.tensor(values, dtype=torch.float64)) @ right.T


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16), (1, 9), (9, 1), (512, 900)])
def test_singular_values_are_those_of_lapack(shape):
    matrix = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    left, values, right = factorize(matrix[None])
    expected = np.linalg.svd(matrix.numpy(), compute_uv=False)
    np.testing.assert_allclose(values[0], expected, rtol=1e-11, atol=1e-13 * expected[0])
    torch.testing.assert_close(left[0].T @ left[0], torch.eye(min(shape), dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(left @ right, matrix[None], atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", [(12, 40), (40, 12)])
def test_tiny_singular_values_are_found(shape):
    # a Gram matrix alone loses all below 1e-8 of the largest
    wanted = [1, 0.5, 1e-3, 1e-7, 3e-9, 1e-9, 2e-10, 1e-10]
    _, values, _ = factorize(spectrum_with(wanted, *shape)[None])
    np.testing.assert_allclose(values[0, :8], wanted, rtol=1e-3, atol=1e-12)  # measured: 5e-14
    assert float(values[0, 8:].max()) < 1e-12


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
def test_huge_and_tiny_weights_keep_their_spectrum(scale):
    matrix = spectrum_with([3, 2, 1], 5, 6)
    spectrum = decompose(conv_of(matrix * scale)).layers[""]
    np.testing.assert_allclose(spectrum.singular_values[:3] / scale, [3, 2, 1], rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rounding_noise_has_no_rank(dtype):
    generator = torch.Generator().manual_seed(2)
    column, row = torch.rand(24, 1, generator=generator) + 0.1, torch.rand(1, 90, generator=generator) + 0.1
    spectrum = decompose(conv_of((column.double() @ row.double()).to(dtype))).layers[""]
    assert int((spectrum.singular_values > 0).sum()) == 1


@pytest.mark.parametrize(("kind", "scheme"), [key for key in FOLDINGS if key[0] is not nn.Linear])
def test_groups_add_their_squares(kind, scheme):
    layer = kind(6, 9, 3, groups=3, dtype=torch.float64)
    spectrum = decompose(layer, scheme).layers[""]
    matrices = FOLDINGS[kind, scheme].matrix(layer)
    expected = np.sqrt((np.linalg.svd(matrices.numpy(), compute_uv=False) ** 2).sum(0))
    np.testing.assert_allclose(spectrum.singular_values, expected, rtol=1e-11)
    assert spectrum.norm == pytest.approx(float(layer.weight.detach().norm()))


def test_wide_layers_keep_all_singular_values():
    spectrum = decompose(nn.Conv2d(512, 512, 3)).layers[""]
    assert spectrum.full_rank == int((spectrum.singular_values > 0).sum()) == 512


def test_network_is_left_alone():
    network = UNet(base_filters=4).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    decompose(network, "auto")
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_auto_keeps_both_schemes_where_they_differ():
    network = nn.ModuleDict(
        {
            "square": nn.Conv2d(3, 4, 3),
            "point": nn.Conv2d(3, 4, 1),
            "column": nn.Conv2d(3, 4, (3, 1)),
            "row": nn.Conv2d(3, 4, (1, 3)),
            "up": nn.ConvTranspose2d(3, 4, 2),
            "line": nn.Conv1d(3, 4, 3),
            "linear": nn.Linear(3, 4),
        }
    )
    spectra = decompose(network, "auto")
    assert list(spectra.alternatives) == ["square", "row", "up"]
    assert {spectrum.scheme for spectrum in spectra.layers.values()} == {"channel"}
    assert {spectrum.scheme for spectrum in spectra.alternatives.values()} == {"spatial"}
    assert decompose(network, "spatial").layers["linear"].scheme == "channel"


@pytest.mark.parametrize("scheme", ["channel", "spatial", "auto"])
def test_saved_spectra_are_the_same(tmp_path, scheme):
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.LSTM(3, 4), nn.ConvTranspose2d(8, 4, 2), nn.Linear(4, 5)).half()
    spectra = decompose(network, scheme)
    spectra.save(tmp_path / "spectra.safetensors")
    loaded = Spectra.load(tmp_path / "spectra.safetensors")
    assert loaded.digest() == spectra.digest()
    assert loaded.skipped == spectra.skipped != {}
    assert (list(loaded.layers), list(loaded.alternatives)) == (list(spectra.layers), list(spectra.alternatives))
    compress(network, FixedRank(1), spectra=loaded)


def test_digest_takes_factors_whose_axis_of_size_one_has_another_stride():
    """As a layer of one output, transposed, leaves them: torch calls them contiguous, and has no bytes of them."""
    spectra = decompose(nn.Linear(12, 1), "channel")
    ((name, spectrum),) = spectra.layers.items()
    column = spectrum.right.as_strided((1, 12, 1), (12, 1, 12))
    assert column.is_contiguous()
    plain = dataclasses.replace(
        spectra, layers={name: dataclasses.replace(spectrum, right=column.clone(memory_format=torch.contiguous_format))}
    )
    odd = dataclasses.replace(spectra, layers={name: dataclasses.replace(spectrum, right=column)})
    assert odd.digest() == plain.digest()


def test_digest_tells_weights_and_schemes_apart():
    layer = nn.Conv2d(3, 8, 3)
    digests = {decompose(layer, scheme).digest() for scheme in ("channel", "spatial", "auto")}
    layer.weight.data[0, 0, 0, 0] += 1
    assert len(digests | {decompose(layer).digest()}) == 4


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\0\0\0\0\0\0\0{}      "])
def test_damaged_spectra_are_refused(tmp_path, content):
    (tmp_path / "spectra").write_bytes(content)
    with pytest.raises(ValueError, match="decompose the network again"):
        Spectra.load(tmp_path / "spectra")
    with pytest.raises(ValueError, match="decompose the network again"):
        Spectra.load(tmp_path / "missing")


def test_wrong_settings_and_weights_are_refused():
    layer = nn.Linear(3, 4)
    with pytest.raises(ValueError, match="scheme is 'both'; known are channel, spatial and auto"):
        decompose(layer, "both")
    layer.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="layer '0' is not finite"):
        decompose(nn.Sequential(layer))
    with pytest.raises(ValueError, match="meta device"):
        decompose(nn.Linear(3, 4, device="meta"))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_gives_the_same_spectra():
    network = UNet(base_filters=16)
    here, there = decompose(network, "auto"), decompose(network, "auto", device="cuda")
    for name, spectrum in here.layers.items():
        torch.testing.assert_close(there.layers[name].singular_values, spectrum.singular_values, rtol=1e-9, atol=1e-12)
        assert there.layers[name].left.device.type == "cpu"
