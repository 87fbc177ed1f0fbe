"""The rate at which compressed networks are trained on."""

import pytest

from models.training.recovery import recovery_rate


@pytest.mark.parametrize(
    ("share", "times"),
    [(1.2, 1), (1, 1), (0.5, 1), (0.125, 1), (0.1, 1.25), (0.0625, 2), (0.03125, 4), (0.01, 4), (1e-9, 4)],
)
def test_the_rate_grows_below_an_eighth_of_the_parameters_up_to_four_times(share: float, times: float) -> None:
    assert recovery_rate(1e-3, share) == pytest.approx(times * 1e-3, rel=1e-12)


@pytest.mark.parametrize("share", [0, -0.1, float("nan")])
def test_a_network_without_parameters_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="give a number above 0"):
        recovery_rate(1e-3, share)
