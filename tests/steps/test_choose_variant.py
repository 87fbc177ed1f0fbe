"""Which variant is exported."""

import pytest
from torch import nn

from analysis.comparison import Comparison
from analysis.ranking import recommended
from models.preprocessing import Preprocessing
from models.variant import Variant
from steps.choose_variant import choose_variant
from tests.comparisons import baseline, make_result, results

__all__ = ["baseline", "results"]


@pytest.fixture
def variants(results) -> list[Variant]:
    return [Variant(result.spec, nn.Conv2d(1, 1, 1), Preprocessing(0, 1), 1) for result in results]


def chosen(results, variants, name: str | None) -> Variant | None:
    *compressed, full = variants
    return choose_variant.entrypoint(results, compressed, full, name)


def test_the_recommended_one_is_chosen(results, variants) -> None:
    assert chosen(results, variants, None).name == recommended(results).name != "baseline"


@pytest.mark.parametrize("name", ["baseline", "svd_rank_16"])
def test_the_one_that_is_named_is_chosen(results, variants, name: str) -> None:
    assert chosen(results, variants, name).name == name


@pytest.mark.parametrize("dice", [0.0, 0.03])  # 0.03: marking everything can have as much
def test_none_is_chosen_where_none_is_recommended(variants, dice: float) -> None:
    useless = [make_result("svd", 16, dice, 100_000), make_result("baseline", None, dice, 838_497)]
    assert Comparison(useless).recommended is None
    assert recommended(useless) is None
    assert chosen(useless, [variants[6], variants[-1]], None) is None
