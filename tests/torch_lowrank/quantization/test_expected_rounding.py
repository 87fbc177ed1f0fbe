import pytest
import torch

from torch_lowrank.quantization import expected_rounding
from torch_lowrank.quantization.expected_rounding import RoundingError, Side
from torch_lowrank.quantization.rounding import (
    choose_steps,
    conditional_variances,
    damped_for_rounding,
    round_with_feedback,
)


def moment(size, groups=1, seed=0):
    """Neighbours that see nearly the same, a few of them a hundred times as much as the others."""
    near = torch.exp(-(torch.arange(size)[:, None] - torch.arange(size)).abs() / 4.0)
    scale = torch.rand(groups, size, generator=torch.Generator().manual_seed(seed)).pow(6) + 1e-2
    return (scale[:, :, None] * near * scale[:, None, :]).double()


def matrices(groups, m, n, seed=1):
    """Columns of very different size, too."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(groups, m, n, generator=generator, dtype=torch.float64)
    return values * torch.rand(n, generator=generator, dtype=torch.float64)


def cost_of(matrix, rows, columns, taps=1):
    return RoundingError(matrix, Side.of(rows), Side.of(columns), taps)


@pytest.mark.parametrize("taps", [1, 4])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_some_rows_and_columns_tell_what_all_of_them_cost(monkeypatch, bits, taps):
    matrix, rows, columns = matrices(2, 400, 900), moment(400, 2), moment(900, 2, seed=5)
    some = cost_of(matrix, rows, columns, taps).total(bits)
    monkeypatch.setattr(expected_rounding, "_SAMPLE", 1000)
    every = cost_of(matrix, rows, columns, taps)
    assert some == pytest.approx(every.total(bits), rel=0.15)  # measured: 0.06 at most with one tap, 0.09 with four
    assert every.total(bits) == pytest.approx(float(every.of_rows(bits).sum()), rel=1e-9)


@pytest.mark.parametrize(("bits", "within"), [(3, 0.2), (5, 0.1), (8, 0.2)])
def test_what_is_foreseen_is_what_rounding_with_feedback_costs(bits, within):
    foreseen, measured = 0.0, 0.0
    for seed in range(2):
        matrix, rows, columns = matrices(1, 150, 500, seed), moment(150), moment(500, seed=5)
        foreseen += cost_of(matrix, rows, columns).total(bits)
        rows, columns = damped_for_rounding(rows), damped_for_rounding(columns)
        steps = choose_steps(matrix, bits, conditional_variances(columns))
        change = round_with_feedback(matrix, steps, bits, rows, columns) * steps.double() - matrix
        measured += float(((rows @ change @ columns) * change).sum())
    assert foreseen == pytest.approx(measured, rel=within)  # measured: 0.12, 0.05, 0.11


def test_the_first_entries_are_what_their_own_moments_say():
    moments = moment(60, 2)
    part = Side.of(moments).first(20)
    damped = damped_for_rounding(moments)[:, :20, :20]
    assert torch.allclose(part.variances, conditional_variances(damped))
    factor = torch.linalg.cholesky(damped)
    assert torch.allclose(part.fed_back(), (factor / factor.diagonal(dim1=1, dim2=2)[:, None]).square().sum(1))


def test_moments_are_left_as_they_are():
    moments = moment(30)
    before = moments.clone()
    Side.of(moments)
    assert torch.equal(moments, before)
