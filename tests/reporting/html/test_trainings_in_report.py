"""What the report says of several trainings."""

from tests.comparisons import make_result, of_training


def several_trainings() -> list:
    """Two widths by two seeds, each with one variant."""
    found = []
    for filters, loss in ((None, 0.0), (8, 0.02)):
        for seed, luck in ((None, 0.0), (2, 0.01)):
            dense = make_result("baseline", None, 0.8 - loss - luck, 800_000 // (4 if filters else 1))
            small = make_result("budget", 0.25, 0.79 - loss - luck, 200_000 // (4 if filters else 1))
            found += [of_training(each, filters, seed) for each in (dense, small)]
    return found


def test_the_report_of_several_trainings_says_what_to_take_and_what_holds_over_them(page):
    text = page(
        several_trainings(), config={"model": {"base_filters": 16, "further_filters": [8]}, "seeds": [1, 2]}
    ).text
    assert "U-Net with 16, 8 filters, seeds 1, 2" in text
    assert "What to take at a size, as a share of the baseline's parameters: at most 50 and 25 %, budget_0.25" in text
    assert "at most 12.5 and 6.25 %, filters_8_budget_0.25 (8 filters, budget; Dice 0.765)" in text
    table = text[text.index("What to take at a size at most variant width") :]
    assert "filters_8_budget_0.25 8 filters budget 6.25 % 0.7650 0.7650" in table
    over = text[text.index("Over 2 trainings variant") :]
    assert over.count("filters_8_budget_0.25") >= 1
    assert "filters_8_seed_2" not in over[: over.index("At equal size")]


def test_of_one_training_the_report_says_nothing_of_several(page, results):
    text = page(results).text
    assert "What to take at a size" not in text
    assert "trainings" not in text


def test_the_training_section_has_every_training(page, history):
    trainings = [{"filters": 16, "seed": 1, **history}, {"filters": 8, "seed": 1, **history, "best_epoch": 7}]
    text = page(several_trainings(), history, trainings=trainings).text
    assert "best epoch 7" in text
    assert "filters 8" in text


def test_of_a_useless_baseline_no_size_and_no_training_is_shown(page):
    blind = [
        of_training(make_result("baseline", None, 0.0, params), filters, seed)
        for filters, params in ((None, 800_000), (8, 200_000))
        for seed in (None, 2)
    ]
    text = page(blind).text
    assert "What to take at a size" not in text
    assert "Over 2 trainings" not in text
