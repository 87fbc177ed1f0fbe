"""From the command line to a checked configuration."""

from pathlib import Path

import pytest

from configs.loading import FLAGS, ConfigError, load_config, network_title
from configs.schema import RunConfig

CONFIGS = Path(__file__).resolve().parent.parent.parent / "configs"
YAMLS = sorted(CONFIGS.glob("*.yaml"))


def test_these_are_the_experiments() -> None:
    names = ["brain_tumor.yaml", "budgets.yaml", "demo.yaml", "reference.yaml", "widths.yaml"]
    assert [file.name for file in YAMLS] == names


@pytest.mark.parametrize("file", YAMLS, ids=lambda file: file.name)
def test_every_experiment_is_valid(file: Path) -> None:
    assert isinstance(load_config(["--config", str(file)]), RunConfig)


def test_without_arguments_the_defaults_are_the_references() -> None:
    config = load_config([])
    assert (config.training.batch_size, config.training.epochs, config.training.lr) == (8, 10, 1e-4)
    assert config.data.image_size == (256, 256)
    assert config.model.base_filters == 64
    assert (config.compression.svd_ranks, config.compression.arsvd_taus) == ((32,), (0.9,))
    assert (config.finetune.enabled, config.finetune.epochs, config.finetune.lr) == (False, 3, 1e-5)
    assert (config.finetune.distillation, config.recalibration.enabled, config.recalibration.images) == (0, False, 256)
    assert not config.recovers


@pytest.mark.parametrize("flag", ["--recalibrate", "--finetune_compressed"])
def test_networks_recover_if_anything_is_done_after_truncation(flag: str) -> None:
    assert load_config([flag]).recovers


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag not in ("register_variant", "export_variant")])
def test_every_flag_is_known_with_underscores_and_with_dashes(flag: str) -> None:
    values = {
        "image_size": ["64", "32"],
        "base_filters": ["2"],
        "distill_narrow": ["--base_filters", "4,2"],
        "device": ["cpu"],
        "channels": ["1"],
        "interpolation": ["area"],
        "svd_ranks": ["4"],
        "weight_bits": ["8"],
        "rank_rules": ["evbmf"],
        "recalibration_images": ["16"],
        "split": ["0.6,0.2,0.2"],
        "network": ["monai.networks.nets.UNet"],
        "network_args": ["{}"],
        "predict": ["scans", "--model", "network"],
        "model": ["network", "--predict", "scans"],
        "export": ["onnx,pt2"],
    }
    value = values.get(flag, [] if FLAGS[flag][1].get("action") == "store_true" else ["1"])
    others = ["--budgets", "0.5"] if flag == "mac_budgets" else []
    dashes = flag.replace("_", "-")
    assert load_config([f"--{flag}", *value, *others]) == load_config([f"--{dashes}", *value, *others])


def test_files_to_deploy_are_named_once_each_and_the_variant_goes_with_them() -> None:
    config = load_config(["--export", "onnx, onnx_int8,pt2,monai_bundle,onnx", "--export-variant", "baseline"])
    assert config.export.formats == ("onnx", "onnx_int8", "pt2", "monai_bundle")
    assert config.export.variant == "baseline"
    assert load_config([]).export.formats == ()
    with pytest.raises(ConfigError, match=r"\(--export\) is 'tflite': give onnx, .* or monai_bundle"):
        load_config(["--export", "onnx,tflite"])
    with pytest.raises(ConfigError, match="export_variant says of which network; say which files, too"):
        load_config(["--export_variant", "baseline"])


def test_shares_of_the_splits_are_three_numbers() -> None:
    assert load_config(["--split", "0.7,0.15,0.15"]).data.split == (0.7, 0.15, 0.15)
    assert load_config(["data.split=[0.6, 0.2, 0.2]"]).data.split == (0.6, 0.2, 0.2)
    assert load_config([]).data.split is None


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ("0.7,0.3", "give the shares of train, valid and test, which sum to 1"),
        ("0.7,0.2,0.2", "sum to 1"),
        ("1.2,-0.1,-0.1", "sum to 1"),
        ("0.8,0.2,0", "each of the three needs images"),
        ("most,some,few", "give a number"),
    ],
)
def test_other_shares_are_refused_by_their_flag(shares: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"data.split \(--split\) is .*{message}"):
        load_config(["--split", shares])


@pytest.mark.parametrize(("pattern", "message"), [("(", "no regular expression"), ("a*", "names no patient")])
def test_a_pattern_that_names_no_patients_is_refused_by_its_flag(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"data.group_by \(--group_by\) is .*{message}"):
        load_config(["--group_by", pattern])


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("training: {epochs: 3, lr: 0.5, batch_size: 2}")
    config = load_config(["--config", str(file), "--epochs", "4", "--lr", "0.25", "training.lr=0.125"])
    assert (config.training.batch_size, config.training.epochs, config.training.lr) == (2, 4, 0.125)


def test_overrides_may_stand_anywhere_and_use_flag_names() -> None:
    config = load_config(["training.patience=5", "--epochs", "3", "svd_ranks=4,8"])
    assert (config.training.patience, config.training.epochs, config.compression.svd_ranks) == (5, 3, (4, 8))


@pytest.mark.parametrize(
    ("text", "expected"), [("16,32,64", (16, 32, 64)), (" 16 , 32 ", (16, 32)), ("7", (7,)), ("", ())]
)
def test_sweeps_are_comma_separated(text: str, expected: tuple[int, ...]) -> None:
    assert load_config(["--svd_ranks", text]).compression.svd_ranks == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--epochs", "0"], "training.epochs (--epochs) is '0'"),
        (["--lr", "nan"], "--lr"),
        (["--arsvd_taus", "0"], "--arsvd_taus"),
        (["--arsvd_taus", "nan"], "--arsvd_taus"),
        (["--svd_ranks", "8,x"], "--svd_ranks"),
        (["--svd_ranks", "8,8"], "more than once"),
        (["--svd_ranks", "2.5"], "--svd_ranks"),
        (["--budgets", "2"], "--budgets"),
        (["--device", "tpu"], "--device"),
        (["--channels", "2"], "--channels"),
        (["--channels", "4"], "choose 1 (gray) or 3 (colour)"),
        (["data.categories=null"], "--categories"),
        (["--image_size", "4", "64"], "--image_size"),
        (["--recalibration_images", "1"], "--recalibration_images"),
        (["--finetune_distillation", "1.5"], "--finetune_distillation"),
        (["--finetune_distillation", "nan"], "--finetune_distillation"),
        (["--no_such"], "--no_such"),
        (["--epoch", "3"], "(did you mean --epochs?)"),
        (["--svd-rank", "3", "--svd-rank", "4", "--confg"], "(did you mean --svd_ranks, --config?)"),
        (["trainig.lr=1"], "trainig: there is no such field (did you mean training?)"),
        (["training.patiance=3"], "training.patiance: there is no such field (did you mean training.patience?)"),
        (["patience=3"], "patience: there is no such field (did you mean training.patience?)"),
        (["training.arsvd_tau=3"], "no such field (did you mean compression.arsvd_taus?)"),
        (["--budgets", "25"], "compression.budgets (--budgets) is '25': give a share above 0, at most 1, as 0.25"),
        (["--arsvd_taus", "0"], "give a share above 0"),
        (["loose"], "'loose'"),
        (["gpu_steps=[train_unet]"], "gpu_steps: there is no such field"),
        (["--reuse_training", "--checkpoint", "x.pth"], "exclude each other"),
        (["--network", "Net"], "write package.module.Name"),
        (["--network", "net.py"], "write package.module.Name"),
        (["--network", "folder/my.net.py:Net"], "letters, digits and _ alone"),
        (["--network", "a.b", "--network_args", '{"x": NaN}'], "without NaN and Infinity"),
        (["--network", "a.b", "--network_args", '{"x": [1e999]}'], "without NaN and Infinity"),
        (
            ["--network", "a.b", "--network_args", "{features"],
            "--network_args",
        ),
        (["--network", "a.b", "--network_args", "[1]"], "--network_args"),
        (["--network_args", '{"a": 1}'], "give --network"),
        (["model.output=0"], "give --network"),
        (["--network", "a.B", "--base_filters", "64"], "model.base_filters=64 is of our U-Net"),
        (["--network", "a.B", "model.dropout=0"], "--network_args"),
    ],
)
def test_wrong_values_are_named(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(arguments)
    assert said in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(["--epochs", "0", "--lr", "-1", "--budgets", "3"])
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize("name", ["monai.networks.nets.BasicUNet", "net.py:Net", "/some where/net.py:Net"])
def test_a_network_is_named_with_its_arguments_as_json(name: str) -> None:
    given = load_config(["--network", name, "--network_args", '{"features": [8, 8], "act": null}', "model.output=aux"])
    assert (given.model.network, given.model.output) == (name, "aux")
    assert given.model.arguments == {"features": [8, 8], "act": None}
    assert load_config([f"model.network={name}", "model.output=1"]).model.output == 1
    assert network_title(given.model) == name.replace(":", ".").rpartition(".")[2]


@pytest.mark.parametrize("content", ["- a list", "training: [", "\x00"])
def test_a_wrong_file_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"wrong\.yaml"):
        load_config(["--config", str(file)])


def test_the_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_config([]).training.epochs = 3


def test_a_network_is_registered_by_name_and_may_be_chosen() -> None:
    assert load_config([]).registration.name is None
    chosen = load_config(["--register", "tumor", "--register-variant", "svd_rank_16"]).registration
    assert (chosen.name, chosen.variant) == ("tumor", "svd_rank_16")
    with pytest.raises(ConfigError, match=r"^register_variant says which network; give the name to register it by"):
        load_config(["--register_variant", "svd_rank_16"])


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a'b"])
def test_a_name_that_the_registry_does_not_allow_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"registration.name \(--register\)"):
        load_config(["--register", name])


def test_layouts_of_data_are_set_by_keys() -> None:
    data = load_config(["data.format=volumes", "data.axis=1", "data.modality=0001"]).data
    assert (data.format, data.axis, data.modality) == ("volumes", 1, "1")  # YAML reads 0001 as a number
    assert load_config(["data.modality=flair"]).data.modality == "flair"
    assert load_config([]).data.modality is None
    with pytest.raises(ConfigError, match=r"data\.format"):
        load_config(["data.format=nifti"])
    with pytest.raises(ConfigError, match=r"data\.axis"):
        load_config(["data.axis=3"])


def test_bits_and_sizes_are_lists_of_what_can_be() -> None:
    assert load_config(["--pruned", "0.5", "--mac_budgets", "0.4"]).compression.pruned == (0.5,)
    settings = load_config(["--weight_bits", "8,4", "--size_budgets", "0.1,0.05"]).compression
    assert (settings.weight_bits, settings.size_budgets) == ((8, 4), (0.1, 0.05))
    with pytest.raises(ConfigError, match=r"--weight_bits\) is '9': give 2, 3, 4, 5, 6, 7, 8 or 16"):
        load_config(["--weight_bits", "9"])
    with pytest.raises(ConfigError, match=r"--weight_bits\) is 'eight': give 2, 3, 4, 5, 6, 7, 8 or 16"):
        load_config(["--weight_bits", "eight"])
    with pytest.raises(ConfigError, match=r"--size_budgets\) is '5': give a share above 0, at most 1"):
        load_config(["--size_budgets", "5"])


def test_rank_rules_are_a_list_of_what_is_known() -> None:
    settings = load_config(["--rank_rules", "evbmf, stable_rank", "--energies", "0.9,0.8", "--rank_ratios", "0.5"])
    compression = settings.compression
    assert compression.rank_rules == ("evbmf", "stable_rank")
    assert (compression.energies, compression.rank_ratios) == ((0.9, 0.8), (0.5,))
    assert load_config(["rank_rules=[hard_threshold,effective_rank]"]).compression.rank_rules[0] == "hard_threshold"
    assert load_config([]).compression.rank_rules == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--rank_rules", "evbfm"],
            r"\(--rank_rules\) is 'evbfm': there is no such rule \(did you mean evbmf\?\)",
        ),
        (["--rank_rules", "evbmf,Stable-Rank"], r"is 'Stable-Rank': .*did you mean stable_rank"),
        (["--rank_rules", "energy"], "is 'energy': there is no such rule; known are evbmf, .* by --energies and"),
        (["--rank_rules", "evbmf,evbmf"], "evbmf occurs more than once"),
        (["--energies", "90"], r"\(--energies\) is '90': give a share above 0, at most 1"),
        (["--rank_ratios", "0.5,0.5"], r"0\.5 occurs more than once"),
    ],
)
def test_other_rank_rules_are_refused_with_what_was_meant(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(arguments)


def test_a_section_that_is_given_as_a_value_names_its_fields() -> None:
    with pytest.raises(ConfigError, match=r"export is a section, .* set one of export\.formats, export\.variant"):
        load_config(["export=onnx,pt2"])
