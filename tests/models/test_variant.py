"""Variants: networks with their origin, through storage and back."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from models.compress_variant import compress_variant, svd_rule
from models.networks.errors import NetworkError
from models.networks.recipe import Recipe
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant, VariantError
from models.variant_spec import BASELINE, VariantSpec
from torch_lowrank.decomposition.decompose import decompose
from torch_lowrank.io import StorageError, save_network


def baseline(seed: int = 0) -> Variant:
    torch.manual_seed(seed)
    return Variant(BASELINE, UNet(base_filters=4).eval(), Preprocessing(0.18, 0.18), 1)


def compressed(of: Variant, rank: int = 3) -> Variant:
    spec = VariantSpec("svd", rank=rank, scheme="channel")
    return compress_variant(of, decompose(of.network), svd_rule(spec), spec)


@pytest.mark.parametrize("make", [baseline, lambda: compressed(baseline())])
def test_a_variant_survives_storage(tmp_path: Path, make) -> None:
    variant = make()
    variant.save(tmp_path / "network")
    loaded = Variant.load(tmp_path / "network")
    image = torch.rand(1, 1, 32, 32)
    assert torch.equal(loaded.network(image), variant.network(image))
    assert loaded.about() == variant.about()
    assert loaded.digest() == variant.digest()


@pytest.mark.parametrize(
    ("method", "setting", "spec"),
    [
        ("baseline", {}, BASELINE),
        ("svd", {"rank": 3, "scheme": "channel"}, VariantSpec("svd", rank=3, scheme="channel")),
        ("budget", {"budget": 0.5, "recalibrated": 8}, VariantSpec("budget", budget=0.5, recalibrated=8)),
    ],
)
def test_a_folder_of_an_earlier_version_is_read(tmp_path: Path, method: str, setting: dict, spec: VariantSpec) -> None:
    about = baseline().about()
    del about["spec"]
    save_network(baseline().network, tmp_path / "old", {**about, "name": "x", "method": method, "setting": setting})
    assert Variant.load(tmp_path / "old").spec == spec


def test_how_its_images_are_read_travels_with_a_network(tmp_path: Path) -> None:
    read = Preprocessing(0.2, 0.1, channels=1, image_size=(96, 128), interpolation="cubic")
    variant = compressed(Variant(BASELINE, UNet(base_filters=4).eval(), read, 1))
    variant.save(tmp_path / "network")
    said = json.loads((tmp_path / "network" / "network.json").read_text())["about"]["preprocessing"]
    assert said == {"mean": 0.2, "std": 0.1, "channels": 1, "image_size": [96, 128], "interpolation": "cubic"}
    assert Variant.load(tmp_path / "network").preprocessing == read


def test_a_folder_that_does_not_say_how_its_images_were_read_is_read(tmp_path: Path) -> None:
    save_network(
        baseline().network, tmp_path / "old", {**baseline().about(), "preprocessing": {"mean": 0.2, "std": 0.1}}
    )
    assert Variant.load(tmp_path / "old").preprocessing == Preprocessing(0.2, 0.1, None, None, "area")


def test_compression_says_how_the_network_came_about() -> None:
    variant = compressed(baseline())
    assert variant.spec == VariantSpec("svd", rank=3, scheme="channel")
    assert any(layer.rank == 3 for layer in variant.layers)


def test_the_code_of_a_network_travels_with_it_and_is_no_part_of_its_digest(tmp_path: Path) -> None:
    recipe = Recipe("torch.nn.Conv2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 1}, code="c0de")
    variant = Variant(BASELINE, recipe.build(), Preprocessing(0.18, 0.18), 1, recipe=recipe)
    variant.save(tmp_path / "network")
    assert json.loads((tmp_path / "network" / "network.json").read_text())["about"]["network"]["code"] == "c0de"
    loaded = Variant.load(tmp_path / "network", networks=["torch.nn.Conv2d"])
    assert loaded.recipe is not None
    assert loaded.recipe.code == "c0de"
    other = dataclasses.replace(variant, recipe=dataclasses.replace(recipe, code="other"))
    assert other.about() != variant.about()
    assert other.digest() == variant.digest() == loaded.digest()


def test_digests_differ_in_weights_and_in_origin() -> None:
    one = baseline()
    assert one.digest() == baseline().digest()
    assert one.digest() != baseline(1).digest()
    assert one.digest() != one.with_spec(recalibrated=8).digest()
    assert compressed(one, 2).digest() != compressed(one, 3).digest()


@pytest.mark.parametrize(("channels", "classes", "said"), [(3, 1, "use --channels 1"), (1, 3, "--multi_class")])
def test_a_network_that_does_not_fit_the_data_is_refused(channels: int, classes: int, said: str) -> None:
    baseline().check_input(1, 1)
    with pytest.raises(VariantError, match=said):
        baseline().check_input(channels, classes)


def test_what_is_said_of_a_network_for_four_channels_can_be_followed() -> None:
    network = Variant(BASELINE, UNet(4, base_filters=2), Preprocessing(0.18, 0.18), 1)
    with pytest.raises(VariantError, match=r"takes 4 channels, .* with 3: use one trained on gray or colour images"):
        network.check_input(3, 1)


@pytest.mark.parametrize("names", ["architecture", "recipe", "both"])
@pytest.mark.parametrize("networks", [(), ("monai.networks.nets.BasicUNet",)])
def test_a_folder_that_names_other_code_runs_none_of_it(tmp_path: Path, names: str, networks: tuple[str, ...]) -> None:
    baseline().save(tmp_path / "network")
    file = tmp_path / "network" / "network.json"
    said, ran = json.loads(file.read_text()), tmp_path / "ran"
    if names != "recipe":
        said |= {"architecture": "os.system", "arguments": {"command": f"touch {ran}"}}
    if names != "architecture":
        said["about"]["network"] = {"name": "os.system", "arguments": {"command": f"touch {ran}"}, "output": None}
    file.write_text(json.dumps(said))
    with pytest.raises(
        NetworkError, match=r"made by os\.system, and nothing .* imported or run.*Variant\.load\("
    ) as caught:
        Variant.load(tmp_path / "network", networks)
    assert str(tmp_path / "network") in str(caught.value)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("network", "os.system", r"about\.network is 'os\.system' \(it must hold name, arguments and output\)"),
        ("network", ["os.system"], r"about\.network is \['os\.system'\]"),
        ("spec", None, r"about\.spec is missing \('method' is missing\)"),
        ("spec", "baseline", r"about\.spec is 'baseline'"),
        ("preprocessing", None, r"about\.preprocessing is missing"),
        ("preprocessing", {"mean": "0", "std": 1}, r"about\.preprocessing is "),
        ("preprocessing", "0.18", r"about\.preprocessing is '0\.18'"),
        ("classes", None, r"about\.classes is missing"),
        ("classes", "1", r"about\.classes is '1' \(it must be a whole number"),
        ("layers", None, r"about\.layers is missing"),
        ("layers", [3], r"about\.layers is \[3\]"),
    ],
)
def test_a_description_of_no_variant_is_told_by_its_field(field: str, value: object, said: str, tmp_path: Path) -> None:
    baseline().save(tmp_path / "network")
    file = tmp_path / "network" / "network.json"
    content = json.loads(file.read_text())
    content["about"] = {key: kept for key, kept in content["about"].items() if key != field}
    content["about"] |= {} if value is None else {field: value}
    file.write_text(json.dumps(content))
    with pytest.raises(StorageError, match=rf"network\.json is damaged, or its network is no variant.*{said}"):
        Variant.load(tmp_path / "network", networks=["os.system"])
