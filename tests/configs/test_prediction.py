"""What a run with `--predict` may be told."""

from pathlib import Path

import pytest

from configs.loading import ConfigError, load_config

BOTH = ("--predict", "scans", "--model", "networks/baseline")


def test_images_and_a_network_are_all_that_is_needed() -> None:
    wanted = load_config(BOTH).prediction
    assert (wanted.images, wanted.network) == (Path("scans"), "networks/baseline")
    assert load_config([]).prediction.images is None


def test_the_section_of_the_network_is_still_called_model() -> None:
    config = load_config(["model={}", "model.base_filters=8"])
    assert (config.model.base_filters, config.prediction.network) == (8, None)


@pytest.mark.parametrize(
    "more",
    [
        ("--out_dir", "out"),
        ("--device", "cpu"),
        ("--num_workers", "2"),
        ("--image_size", "64", "64"),
        ("--channels", "1"),
        ("--interpolation", "linear"),
        ("--skip_bad_samples",),
        ("--batch_size", "2"),
        ("--network", "monai.networks.nets.UNet"),
        ("--no_cache", "--verbose"),
        ("data.exif=ignore",),
    ],
)
def test_what_says_how_to_predict_goes_beside_it(more: tuple[str, ...]) -> None:
    load_config([*BOTH, *more])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (BOTH[:2], "--predict needs a network: give its folder, or models:/name@alias, by --model"),
        (BOTH[2:], "--model is the network that predicts: give the images, too, by --predict"),
        ((*BOTH, "--data_root", "data"), "so leave out --data_root; beside it there are"),
        ((*BOTH, "--epochs", "3", "--budgets", "0.5"), "so leave out --budgets, --epochs; beside it there are"),
        ((*BOTH, "--reuse_training"), "so leave out --reuse_training"),
        ((*BOTH, "--checkpoint", "a.pth"), "so leave out --checkpoint"),
        ((*BOTH, "input.mean=0.5"), "so leave out input.mean"),
        ((*BOTH, "--seed", "42"), "so leave out --seed"),  # whatever the value
    ],
)
def test_what_says_nothing_to_it_is_refused(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(arguments)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("written", "typed", "said"),
    [
        ("training: {epochs: 3}", (), "so leave out --config {0}, which sets training.epochs; beside it"),
        (
            "{data_root: a, seed: 1, training: {epochs: 3, lr: 1}}",
            (),
            "sets data_root, seed, training.epochs and 1 more;",
        ),
        ("training: {epochs: 3}", ("--seed", "1"), "so leave out --seed, --config {0}, which sets training.epochs;"),
        ("training: {epochs: 3}", ("--epochs", "4"), "so leave out --epochs; beside it"),
        ("training: {epochs: 3}", ("training={lr: 1}",), "so leave out --lr; beside it"),
    ],
)
def test_what_a_file_sets_is_told_apart_from_what_was_typed(
    tmp_path: Path, written: str, typed: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(written)
    with pytest.raises(ConfigError) as error:
        load_config([*BOTH, "--config", str(file), *typed])
    assert said.format(file) in str(error.value)


def test_of_several_seeds_only_what_was_typed_is_named() -> None:
    with pytest.raises(ConfigError, match="leave out --seeds; beside it"):
        load_config([*BOTH, "--seeds", "1,2"])


def test_a_file_that_says_how_to_predict_goes_beside_it(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("{out_dir: out, data: {image_size: [64, 64]}, training: {batch_size: 2}}")
    assert load_config([*BOTH, "--config", str(tmp_path / "run.yaml")]).data.image_size == (64, 64)
