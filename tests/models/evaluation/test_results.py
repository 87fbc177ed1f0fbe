"""What is said of a network's time."""

import pytest

from models.evaluation.results import Latency, Machine


@pytest.mark.parametrize(
    ("low", "high", "judgement"),
    [
        (0.50, 0.60, "faster"),
        (1.30, 1.40, "slower"),
        (0.95, 1.05, "same"),
        (0.90, 1.10, "same"),
        (0.69, 1.12, "unclear"),  # nothing can be said: the same it is not
        (0.89, 1.01, "unclear"),
        (0.99, 1.11, "unclear"),
        (0.94, 0.996, "same"),  # read as 0.94 to 1.00
        (0.94, 0.994, "faster"),
        (1.004, 1.05, "same"),  # read as 1.00 to 1.05
        (1.006, 1.05, "slower"),
        (1.0, 1.0, "same"),  # the baseline beside itself
    ],
)
def test_a_time_is_judged_by_its_interval_as_it_is_read(low: float, high: float, judgement: str) -> None:
    latency = Latency(10.0, (low + high) / 2, low, high, Machine("a processor", 2, 1))
    assert latency.judgement == judgement
    assert latency.differs == (judgement in ("faster", "slower"))
    assert latency.judged == (latency.ratio if latency.differs else 1.0)
