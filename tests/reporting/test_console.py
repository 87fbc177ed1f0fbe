import dataclasses
import io

import pytest
from rich.console import Console

from analysis.comparison import Comparison
from reporting.console import WORDS, _known_columns, print_comparison, print_table
from tests.comparisons import images, means, of_patients, of_training, recovered, renamed
from torch_lowrank.report import ParameterShares


def printed(results, width=80, **options) -> str:
    stream = io.StringIO()
    print_table(Comparison(results), Console(file=stream, width=width, **options))
    return stream.getvalue()


def shown(results, width=80) -> str:
    stream = io.StringIO()
    print_comparison(Comparison(results), Console(file=stream, width=width))
    return stream.getvalue()


def test_table_lists_every_variant_in_order(results):
    names = [line[2:].split()[0] for line in printed(results).splitlines()[2 : 2 + len(results)]]
    assert names[0] == "baseline"
    assert names[1:4] == ["svd_rank_16", "svd_rank_32", "svd_rank_64"]
    assert names[-2:] == ["budget_0.5", "budget_0.25"], "the largest budget first, as at equal size"
    assert len(names) == len(results)


def test_table_shows_the_numbers_of_a_variant(results):
    line = next(line for line in printed(results).splitlines() if "svd_rank_32" in line)
    change = ["-.006", "[-.006", "-.005]*"]
    assert line.split() == ["svd_rank_32", "0.7710", *change, "0.6273", "356,193", "57.5", "same"]


def test_a_wide_screen_shows_everything(results):
    line = next(line for line in printed(results, width=120).splitlines() if "svd_rank_32" in line)
    change = ["-.006", "[-.006", "-.005]*"]
    numbers = ["0.7710", *change, "0.6273", "0.9771", "356,193", "57.5", "1.42", "0.021", "same", "[0.98", "1.02]"]
    assert line.split()[-len(numbers) :] == numbers


def test_table_marks_the_pareto_front(results):
    text = printed(results)
    marked = [line.split()[1] for line in text.splitlines() if line.startswith(">")][:-1]
    assert marked == ["baseline", "svd_rank_16", "budget_0.5", "budget_0.25"]
    assert [line.split()[1] for line in text.splitlines() if line[1:2] == "+"] == ["budget_0.25"]
    assert "+ recommended: budget_0.25" in text.splitlines()
    assert "recommended" not in printed(results[-1:]), "the baseline alone"


def test_times_are_relative_and_no_difference_is_shown_as_none(baseline, result):
    others = [result("svd", rank, 0.7, 1000, ms) for rank, ms in ((4, 5.0), (8, 12.3), (16, 20.0))]
    lines = printed([baseline, *others]).splitlines()
    assert [line.split()[-1] for line in lines[2:6]] == ["1.00", "0.40", "same", "1.60"]
    words = " ".join(" ".join(lines).split())
    assert "which takes 12.5 ms on a processor, 2 threads; same: within 0.9 to 1.1" in words
    assert "unclear" not in words


def test_times_that_say_nothing_are_unclear_and_not_the_same(baseline, result):
    latency = dataclasses.replace(baseline.latency, ratio=0.9, low=0.69, high=1.12)
    wide = [dataclasses.replace(result("svd", rank, 0.7, 1000 * rank), latency=latency) for rank in (4, 8)]
    text = shown([baseline, *wide, result("svd", 16, 0.7, 9000)])
    words = " ".join(text.split())
    assert [line.split()[-1] for line in text.splitlines()[2:6]] == ["1.00", "unclear", "unclear", "same"]
    assert "unclear: the interval is too wide to say" in words
    assert "Times are unclear: the machine was busy. Time again with more timing.seconds" in words
    half = shown([baseline, wide[0], result("svd", 16, 0.7, 9000)])
    assert "the machine was busy" not in half, "most are clear"


def test_unknown_latency_is_a_dash(results):
    line = next(line for line in printed(results).splitlines() if "svd_rank_16" in line)
    assert line.split()[-1] == "-"


@pytest.mark.parametrize("terminal", [False, True])
def test_table_fits_into_80_columns_with_large_numbers(result, terminal):
    results = [result("baseline", None, 0.6920, 31_043_521), result("arsvd", 0.9375, 0.6244, 25_391_361, 1234.56)]
    text = printed(results, force_terminal=terminal, color_system=None, legacy_windows=False)
    assert "31,043,521" in text
    assert "arsvd_tau_0.9375 " in text
    assert max(map(len, text.splitlines())) <= 80


def test_piped_table_is_plain_ascii(results):
    text = printed(results)
    assert text.isascii()
    assert "\x1b" not in text


def test_baseline_alone_is_printed(baseline):
    assert "838,497" in printed([baseline])


def test_square_brackets_in_a_name_are_text(baseline):
    assert "[red]x" in printed([renamed(baseline, "[red]x")])


def test_a_recovered_variant_shows_what_it_was_before(results, recovered_results):
    lines = printed(recovered_results).splitlines()
    number = next(i for i, result in enumerate(recovered_results) if result.name == "svd_rank_32")
    before = f"{recovered_results[number].metrics['dice_before_recovery']:.4f}"
    line = next(line for line in lines if "svd_rank_32" in line)
    assert line.split()[:3] == ["svd_rank_32", before, "0.7710"]
    assert line.split()[-3:] == ["356,193", "57.5", "same"]
    assert next(line for line in lines if "baseline" in line).split()[2] == "-"
    assert "before: Dice straight after compression" in " ".join(lines)
    assert "before" not in printed(results)


def test_a_recovered_table_with_large_numbers_fits_into_80_columns(result):
    large = recovered(result("arsvd", 0.9375, 0.6244, 25_391_361, 1234.56), 0.1, [0.5])
    text = printed([result("baseline", None, 0.6920, 31_043_521), large])
    assert "31,043,521" in text
    assert "arsvd_tau_0.9375 " in text
    assert "98.76" in text, "1234.56 / 12.5"
    assert max(map(len, text.splitlines())) <= 80


def test_a_difference_beyond_chance_is_marked(baseline, result):
    spread = [images([value + change for value in (0.2, 0.5, 0.8, 0.9) * 3]) for change in (0, -0.1)]
    full, worse = (
        dataclasses.replace(each, per_image=values)
        for each, values in zip((baseline, result("svd", 16, 0.5, 1000)), spread, strict=True)
    )
    text = printed([full, worse])
    assert "-.100 [-.100 -.100]*" in text
    same = printed([full, dataclasses.replace(worse, per_image=spread[0])])
    assert ".000 [.000 .000] " in same
    assert "]*" not in same


def test_the_answer_stands_below_in_words(results):
    words = " ".join(shown(results).split())
    assert "budget_0.25 keeps 99.5 % of the Dice with 24.9 % of the parameters." in words
    assert "--budgets" in words, "how to compare at equal size"


def test_where_images_have_no_lesion_the_table_says_what_is_found(baseline, result):
    """A network that finds nothing is right on these images."""
    measured = means(0.5) | {"dice": 0.7, "recall_images": 0.625, "false_alarm_images": 0.375}
    made = [baseline, result("arsvd", 0.9375, 0.5, 25_391_361, 1234.56)]
    few, many = (
        [dataclasses.replace(each, metrics=measured, per_image=mixed(16 * times, 8 * times)) for each in made]
        for times in (1, 3)
    )
    text = printed(few)
    assert max(map(len, text.splitlines())) <= 80
    line = next(line for line in text.splitlines() if "baseline" in line)
    assert " ".join(line.split()[1:]).startswith("baseline 0.5000 - 10 of 16 3 of 8 ")
    assert "Dice, found: of the 16 images with a lesion; found: a pixel of it is" in text
    assert "alarms: of the 8 images without a lesion, those in which something is found" in text
    assert "IoU" not in text.partition("more columns")[0], "neither the column nor its explanation"
    assert "found" not in printed([baseline]).replace("found lesions", "")
    line = next(line for line in printed(many).splitlines() if "baseline" in line)
    assert " ".join(line.split()[1:]).startswith("baseline 0.5000 - 62.5 % 37.5 % ")
    unknown = [dataclasses.replace(each, per_image={}) for each in few]
    assert "62.5 %" in printed(unknown)


def test_it_says_that_images_count_as_independent_where_patients_are_not_known(results):
    assert "intervals: images count as independent; --group_by says which are of a patient" in printed(results)


def test_it_says_over_how_many_patients_intervals_are(results):
    text = printed(of_patients(results, 11))
    assert "intervals: over 11 patients with a lesion, each with all its images" in text
    assert "independent" not in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_wide_screen_shows_dice_a_patient(results, baseline):
    (known,) = of_patients([baseline], 5)
    text = printed([known], width=140)
    assert f"{known.metrics['dice_patient']:.4f}" in text
    assert "patient: mean over patients" in text
    assert "patient:" not in printed(results, width=140)


def test_volumes_are_not_called_patients(results):
    text = printed(of_patients(results, 11, "volume"), width=140)
    assert "intervals: over 11 volumes with a lesion, each with all its images" in text
    assert "volume: mean over volumes of the Dice of all their images taken as one" in text
    assert "patient" not in text


def test_what_share_of_the_network_can_be_factorised_stands_before_the_answer(baseline):
    shares = ParameterShares(0.9, {"normalisation": 0.1})
    stream = io.StringIO()
    print_comparison(Comparison([dataclasses.replace(baseline, factorizable=shares)]), Console(file=stream, width=120))
    assert "90 % of the parameters can be factorised; not: normalisation 10 %." in stream.getvalue()


def mixed(with_lesion, without):
    """Values of images of which some have no lesion."""
    made = images([0.5] * (with_lesion + without))
    return made | {"lesion_px": [20.0] * with_lesion + [0.0] * without}


@pytest.fixture
def crowded(baseline, result):
    """Recovery, budgets of multiply-accumulates, images without a lesion and long names at once."""
    made = [result("svd", 32, 0.771, 11_356_193, 8.0), *(result("budget", 0.25, 0.776, 5_900_000, 6.0),) * 2]
    specs = [
        dataclasses.replace(each.spec, recalibrated=64, **macs)
        for each, macs in zip(made, ({}, {"mac_budget": 0.25}, {"mac_budget": 0.125}), strict=True)
    ]
    extra = {"false_alarm_images": 0.3, "dice_lesion_before_recovery": 0.6}
    large = dataclasses.replace(baseline, cost=dataclasses.replace(baseline.cost, params=31_043_521))
    worse = mixed(60, 40) | {"dice": [0.47, 0.51] * 50}
    return [
        dataclasses.replace(each, spec=spec, metrics=each.metrics | extra, per_image=values)
        for each, spec, values in zip(
            [large, *made], [baseline.spec, *specs], [mixed(60, 40), *(worse,) * 3], strict=True
        )
    ]


@pytest.mark.parametrize("width", [30, 60, 80, 100, 120, 160])
def test_names_are_whole_at_any_width(crowded, width):
    lines = printed(crowded, width=width).splitlines()
    names = [line[2:].split()[0] for line in lines[2:6]]
    assert names == ["baseline", "svd_rank_32", "budget_0.25_macs_0.25", "budget_0.25_macs_0.125"]
    if width >= 60:
        assert max(map(len, lines)) <= width
    assert "31,043,521" in lines[2]


def test_what_there_is_no_place_for_is_said_and_where_it_is(crowded):
    lines = printed(crowded).splitlines()
    assert lines[0].split() == ["variant", "before", "Dice", "change", "found", "parameters", "time"]
    text = " ".join(" ".join(lines).split())
    left_out = "MB, interval of time, IoU, saved %, alarms, GMACs, interval of change"
    assert f"more columns: results.csv ({left_out})" in text
    assert "alarms:" not in text
    assert "* its 95 % interval excludes zero" in text
    wide = printed(crowded, width=200)
    assert "more columns" not in wide
    assert "alarms: of the 40 images without a lesion" in wide
    assert wide.split("\n")[0].split()[-2:] == ["GMACs", "time"]


def test_below_each_heading_a_word_says_what_it_is(crowded):
    first, second = printed(crowded, width=200).splitlines()[:2]
    assert second.split()[:9] == ["Dice", "0", "to", "1", "Dice,", "95", "%", "interval", "lesion"]
    narrow = printed(crowded).splitlines()
    assert narrow[1].split() == ["Dice", "0", "to", "1", "Dice", "lesion", "network", "ratio"]
    for line in (first, second, *narrow[:2]):
        assert line.strip()
    assert {*WORDS} == {*_known_columns(Comparison(crowded)), "patient", "accuracy"}


def test_the_recommended_row_stands_out_in_a_terminal(results):
    options = {"force_terminal": True, "color_system": "standard", "legacy_windows": False}
    lines = printed(results, **options).splitlines()
    reversed_, green = "\x1b[1;7;32m", "\x1b[32m"
    assert [line for line in lines if reversed_ in line] == [line for line in lines if ">+" in line]
    assert any(line.startswith(green) and "svd_rank_16" in line for line in lines)


def test_a_network_with_two_names_is_noted(crowded):
    assert "budget_0.25_macs_0.125 is the same network as budget_0.25_macs_0.25" in printed(crowded, width=120)


def test_several_trainings_have_tables_of_sizes_and_of_spread(baseline, result):
    narrow = [of_training(result("baseline", None, 0.77, 209_000), filters=8)]
    other = [of_training(each, seed=2) for each in (baseline, result("budget", 0.5, 0.74, 419_000))]
    text = shown([baseline, result("budget", 0.5, 0.776, 419_000), *narrow, *other])
    lines = [line.split() for line in text.splitlines()]
    assert ["25", "%", "filters_8", "8", "filters", "as", "trained", "24.9", "%", "0.7700"] in lines
    spread = next(line for line in lines if line[:2] == ["budget_0.5", "0.7580"])
    assert spread[2] == "0.0255", "the standard deviation of .776 and .740"
    assert "change: minus the baseline of the same seed" in text
