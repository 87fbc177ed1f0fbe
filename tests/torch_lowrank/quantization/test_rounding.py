import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torch_lowrank.quantization.coding import code_range
from torch_lowrank.quantization.rounding import (
    choose_steps,
    conditional_variances,
    expected_error,
    feedback_noise,
    round_to_nearest,
    round_with_feedback,
    unit_factor,
)


def moment(size, groups=1, seed=0):
    """A positive definite matrix whose eigenvalues differ by a factor of a hundred."""
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(groups, size, size, generator=generator, dtype=torch.float64))[0]
    return turn @ torch.diag(torch.logspace(0, -2, size, dtype=torch.float64)) @ turn.mT


def error_of(difference, rows, columns):
    return float(((rows @ difference @ columns) * difference).sum())


def matrices(groups=2, m=6, n=10, seed=1):
    return torch.randn(groups, m, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("feedback", [False, True])
def test_the_expected_error_is_the_measured_one_on_average(feedback):
    rows, columns = moment(6, 2), moment(10, 2, seed=3)
    steps = torch.full((2, 6, 1), 2.0**-5) * torch.arange(8, 14).reshape(6, 1) / 8
    measured = []
    for seed in range(200):
        weight = matrices(seed=seed) / 4
        how = (rows, columns) if feedback else ()
        codes = (round_with_feedback if feedback else round_to_nearest)(weight, steps.bfloat16().float(), 8, *how)
        measured.append(error_of(codes * steps - weight, rows, columns))
    # 200 draws of 120 errors each: the mean of their squares is known to 1 %
    expected = expected_error(steps, rows, columns, feedback=feedback)
    assert sum(measured) / len(measured) == pytest.approx(expected, rel=0.04)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 8), st.integers(1, 5), st.integers(1, 8), st.integers(0, 1000))
def test_no_weight_is_more_than_half_a_step_from_what_it_was_rounded_to_where_none_is_clipped(bits, m, n, seed):
    weight = matrices(2, m, n, seed)
    low, high = code_range(bits)
    steps = weight.abs().amax(2, keepdim=True).float() / high  # the largest entry has the largest code
    codes = round_to_nearest(weight, steps, bits)
    assert low <= codes.min() and codes.max() <= high
    assert bool(((codes * steps.double() - weight).abs() <= steps.double() / 2 * (1 + 1e-6)).all())


def test_blocks_and_diagonals_give_what_one_entry_after_the_other_gives():
    m, n, bits = 5, 150, 4  # three blocks of columns
    weight, rows, columns = matrices(1, m, n), moment(m), moment(n, seed=3)
    steps = choose_steps(weight, bits)
    later_rows, later_columns = (
        factor / factor.diagonal(dim1=1, dim2=2)[:, None, :] for factor in map(torch.linalg.cholesky, (rows, columns))
    )
    error = torch.zeros(1, m, n, dtype=torch.float64)
    codes = torch.zeros(1, m, n)
    for j in reversed(range(n)):
        for i in reversed(range(m)):
            fed_back = (later_rows.mT @ error @ later_columns)[0, i, j]
            step = float(steps[0, i])
            codes[0, i, j] = ((weight[0, i, j] - fed_back) / step).round().clamp(*code_range(bits))
            error[0, i, j] = codes[0, i, j] * step - weight[0, i, j]
    assert torch.equal(round_with_feedback(weight, steps, bits, rows, columns), codes.to(torch.int8))


@pytest.mark.parametrize("bits", [3, 4, 6])
def test_feedback_leaves_far_less_error_than_rounding_to_the_nearest(bits):
    weight, rows, columns = matrices(2, 24, 40), moment(24, 2), moment(40, 2, seed=5)
    steps = choose_steps(weight, bits)
    nearest = error_of(round_to_nearest(weight, steps, bits) * steps - weight, rows, columns)
    made_up = error_of(round_with_feedback(weight, steps, bits, rows, columns) * steps - weight, rows, columns)
    of_columns = torch.eye(24, dtype=torch.float64).expand(2, 24, 24)  # as where no gradients were taken
    by_columns = error_of(round_with_feedback(weight, steps, bits, of_columns, columns) * steps - weight, rows, columns)
    assert made_up < 0.6 * nearest  # measured: 0.28 to 0.35
    assert made_up < by_columns < nearest


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_what_is_fed_back_is_foreseen_where_few_codes_clip_it(bits):
    """Neighbours that see nearly the same: each is fed back the errors of all later ones, and the codes soon end."""
    near = torch.exp(-(torch.arange(60.0)[:, None] - torch.arange(60.0)).square() / 40).double()[None]
    columns, rows = near + 1e-2 * torch.eye(60), torch.eye(8, dtype=torch.float64)[None]
    weight, factor = matrices(1, 8, 60), conditional_variances(columns)
    steps = choose_steps(weight, bits, factor)
    codes = round_with_feedback(weight, steps, bits, rows, columns)
    measured = error_of(codes * steps - weight, rows, columns)

    def predicted(noise):
        target = weight + noise * steps
        error = round_to_nearest(target, steps, bits) * steps.double() - target
        return float((error.square() @ factor[0]).sum())

    foreseen = predicted(feedback_noise(*(unit_factor(each).square().sum(1) for each in (rows, columns))))
    assert measured / 3 < foreseen < 3 * measured
    assert bits == 4 or predicted(torch.zeros_like(weight)) < foreseen


def test_without_correlations_feedback_rounds_to_the_nearest():
    weight = matrices()
    steps = choose_steps(weight, 4)
    rows, columns = (
        torch.diag(torch.arange(1.0, size + 1, dtype=torch.float64)).expand(2, size, size) for size in (6, 10)
    )
    codes = round_with_feedback(weight, steps, 4, rows, columns)
    assert torch.equal(codes, round_to_nearest(weight, steps, 4))


def test_steps_are_those_of_the_smallest_error_among_their_neighbours():
    weight = matrices(1, 3, 400)
    steps = choose_steps(weight, 3)

    def error(factor):
        return (round_to_nearest(weight, steps * factor, 3) * (steps * factor) - weight).square().sum(2)

    assert bool((error(1.0) <= error(0.85)).all() and (error(1.0) <= error(1.2)).all())
    # a code reaches 3 steps one way and 4 the other: of a normal distribution the tails are clipped
    assert bool((steps.abs() * 3 < weight.abs().amax(2, keepdim=True)).all())


@pytest.mark.parametrize("size", [1e-28, 1e28])
def test_tiny_and_huge_weights_have_the_same_codes(size):
    weight = matrices(1, 3, 40)
    codes = round_to_nearest(weight, choose_steps(weight, 4), 4)
    scaled = weight * size
    found = round_to_nearest(scaled, choose_steps(scaled, 4), 4)
    assert int((found - codes).abs().max()) <= 1  # bfloat16 rounds each step a little differently
    assert torch.allclose(found * choose_steps(scaled, 4).double(), scaled, atol=float(scaled.abs().max()) / 8)


def test_columns_that_count_are_rounded_better():
    weight = matrices(1, 1, 50)
    weight[:, :, 0] = 30.0
    rare = torch.ones(1, 50, dtype=torch.float64)
    rare[:, 0] = 1e-6
    assert float(choose_steps(weight, 3, rare).abs()) < float(choose_steps(weight, 3).abs())


def test_rows_of_zeros_stay_zeros_and_taps_share_a_step():
    weight = matrices(1, 4, 5)
    weight[:, 2:] = 0
    steps = choose_steps(weight, 4, per=2)
    assert steps[0, 0] == steps[0, 1] != 0
    assert bool((steps[:, 2:] == 0).all())
    assert bool((round_to_nearest(weight, steps, 4)[:, 2:] == 0).all())
    eye = torch.eye(4, dtype=torch.float64)[None], torch.eye(5, dtype=torch.float64)[None]
    assert bool((round_with_feedback(weight, steps, 4, *eye)[:, 2:] == 0).all())
