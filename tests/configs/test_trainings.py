"""Which trainings a run has, and which command lines ask for several that cannot be."""

from pathlib import Path

import pytest

from configs.loading import ConfigError, load_config, network_title
from configs.trainings import trainings_of


def asked(*arguments: str) -> list[tuple[int | None, int | None, int, int]]:
    """Of each training the width and the seed in its name, and those that it is trained with."""
    trainings = trainings_of(load_config(arguments))
    return [(each.filters, each.seed, each.config.model.base_filters, each.config.seed) for each in trainings]


def test_a_single_number_is_one_training_as_ever() -> None:
    assert asked("--base_filters", "16", "--seed", "3") == [(None, None, 16, 3)]
    assert asked("--base_filters", "16", "--seeds", "3") == [(None, None, 16, 3)]
    (only,) = trainings_of(load_config([]))
    assert only.config == load_config([])


def test_the_first_width_and_seed_are_the_main_training_and_every_width_has_every_seed() -> None:
    found = asked("--base_filters", "16,8", "--seeds", "1,2")
    assert found == [(None, None, 16, 1), (None, 2, 16, 2), (8, None, 8, 1), (8, 2, 8, 2)]


def test_a_training_looks_as_if_it_were_the_only_one() -> None:
    """What its steps are given is in their cache keys: a further width changes no other training's."""
    both, alone = load_config(["--base_filters", "16,8", "--seeds", "1,2"]), load_config(["--base_filters", "8"])
    main, _, narrow, _ = (each.config for each in trainings_of(both))
    assert main == load_config(["--base_filters", "16", "--seed", "1"])
    assert narrow.model == alone.model
    assert repr(narrow.model) == repr(alone.model)


def test_every_narrower_width_is_trained_a_second_time_after_its_teacher() -> None:
    config = load_config(["--base_filters", "16,8,32,4", "--seeds", "1,2", "--distill_narrow"])
    trainings = trainings_of(config)
    found = [(each.filters, each.distilled, each.seed) for each in trainings]
    widths = [(None, None), (8, None), (8, 0.5), (32, None), (4, None), (4, 0.5)]
    assert found == [(*width, seed) for width in widths for seed in (None, 2)]
    for each in trainings:
        teachers = [other for other in trainings if other.teaches(each)]
        assert [(other.filters, other.seed) for other in teachers] == ([(None, each.seed)] if each.distilled else [])
        assert all(trainings.index(other) < trainings.index(each) for other in teachers)


def test_a_taught_training_has_the_recipe_of_the_untaught_one() -> None:
    """They are compared at equal epochs: of the settings nothing but the teacher differs."""
    _, narrow, taught = trainings_of(load_config(["--base_filters", "16,8", "--distill_narrow"]))
    assert narrow.config == taught.config
    without = trainings_of(load_config(["--base_filters", "16,8"]))
    assert without[1] == narrow, "the flag changes nothing of the others, which are known"


def test_widths_and_seeds_can_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("model: {base_filters: [16, 8]}\nseeds: [4, 5]\n")
    found = asked("--config", str(tmp_path / "run.yaml"))
    assert [(filters, seed) for _, _, filters, seed in found] == [(16, 4), (16, 5), (8, 4), (8, 5)]
    assert asked("--config", str(tmp_path / "run.yaml"), "--base_filters", "4")[0] == (None, None, 4, 4)


def test_all_widths_are_said() -> None:
    assert network_title(load_config(["--base_filters", "16,8,4"]).model) == "U-Net of 16, 8, 4 filters"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--base_filters 16,7", "(--base_filters) is 7; with bilinear up-sampling it must be even"),
        ("--base_filters 16,8,16", "(--base_filters): 16 occurs more than once"),
        ("--base_filters 16,x", "(--base_filters) is 'x'"),
        ("--base_filters 16,0", "(--base_filters) is '0'"),
        ("--base_filters 16,8 model.further_filters=4", "leave further_filters out"),
        ("--seeds 1,2,1", "1 occurs more than once"),
        ("--seeds 1,-2", "(--seeds) is '-2'"),
        (
            "--seeds 1-3",
            "(--seeds) is '1-3': give a whole number of at least 0, below 2147483648; a list is written 1,2,3",
        ),
        ("--seed 3 --seeds 1,2", "leave --seed out"),
        ("--base_filters 16,8 --network monai.networks.nets.BasicUNet", "is of our U-Net"),
        ("--base_filters 16,8 --reuse_training", "give one number to --base_filters, or leave --reuse_training out"),
        (
            "--base_filters 16 --distill_narrow",
            'base_filters is 16: add a width below the first one, as --base_filters "16,8"',
        ),
        (
            "--base_filters 6,8 --distill_narrow",
            'base_filters is 6, 8: add a width below the first one, as --base_filters "6,2"',
        ),
        ("--base_filters 2 --distill_narrow", "base_filters is 2, below which there is little"),
        ("--network monai.networks.nets.BasicUNet --distill_narrow", "leave --network or --distill_narrow out"),
        (
            "--distill_narrow --base_filters 16,8 distill_narrow.share=0",
            "distill_narrow.share is 0: give a share above 0",
        ),
        ("--seeds 1,2 --checkpoint unet.pth", "give one number to --seeds, or leave --checkpoint out"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(line: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(line.split())
    assert said in str(refused.value)


@pytest.mark.parametrize("seeds", ["1-3", "x,2", "-1", "3000000000"])
def test_a_seed_that_cannot_be_is_told_once_by_the_flag_that_was_typed(seeds: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config([f"--seeds={seeds}"])
    assert str(refused.value).count("give a whole number") == 1
    assert "(--seed)" not in str(refused.value)


def test_seeds_go_with_a_network_of_any_kind() -> None:
    assert len(asked("--seeds", "1,2,3", "--network", "monai.networks.nets.BasicUNet")) == 3
