"""What is checked of a network before any step runs."""

import json
from pathlib import Path

import pytest
from torch import nn

from configs.loading import load_config
from configs.schema import RunConfig
from materializers.variant import StoredNetwork
from models.networks.errors import NetworkError
from models.networks.recipe import Recipe
from pipelines.execution.network_check import (
    NamedNetwork,
    check_network,
    check_weights_fit,
    reused_network,
    without_place,
)
from torch_lowrank.ranks.budgets import BudgetError

BASIC = ("--network", "monai.networks.nets.BasicUNet", "--image_size", "32", "32", "--channels", "1")
TINY = ("--network_args", json.dumps({"features": [4, 4, 4, 4, 4, 4]}))


def named(place: str, *more: str) -> RunConfig:
    return load_config(["--network", place, *more])


def test_a_network_is_tried_and_described(capsys: pytest.CaptureFixture) -> None:
    network = check_network(load_config([*BASIC, *TINY, "--recalibrate"]))
    assert network is not None
    assert network.place == "monai.networks.nets.BasicUNet"
    first, shares, note = capsys.readouterr().err.splitlines()
    assert first.startswith("monai.networks.nets.BasicUNet: ")
    assert first.endswith("parameters, by the data spatial_dims=2, in_channels=1, out_channels=1")
    assert "of the parameters can be factorised; not: normalisation" in shares
    assert "no BatchNorm" in note
    assert "--recalibrate changes nothing" in note


def test_our_network_is_not_tried(capsys: pytest.CaptureFixture) -> None:
    assert check_network(load_config([])) is None
    assert capsys.readouterr().err == ""


def test_a_budget_that_no_ranks_of_the_network_meet_is_refused() -> None:
    with pytest.raises(BudgetError, match=r"--budgets.*0\.01 cannot be met"):
        check_network(load_config([*BASIC, *TINY, "--budgets", "0.01"]))


def test_of_several_widths_the_one_that_cannot_meet_a_budget_is_named() -> None:
    with pytest.raises(BudgetError, match=r"0\.03 cannot be met.* of the parameters of the U-Net of 4 filters by"):
        check_network(load_config(["--base_filters", "64,4", "--budgets", "0.03"]))
    check_network(load_config(["--base_filters", "64", "--budgets", "0.03"]))


def test_a_share_of_the_work_that_pruning_alone_has_to_meet_is_not_measured_by_ranks() -> None:
    asked = ["--base_filters", "8", "--mac_budgets", "0.02"]
    check_network(load_config([*asked, "--pruned", "0.5"]))
    with pytest.raises(BudgetError, match=r"--mac_budgets.*0\.02 cannot be met"):
        check_network(load_config([*asked, "--budgets", "0.5"]))


def test_several_classes_are_two_until_the_data_tell(capsys: pytest.CaptureFixture) -> None:
    assert check_network(load_config([*BASIC, *TINY, "--multi_class"])) is not None
    assert "note: how many classes the masks have is known when they are read; until then, 2" in capsys.readouterr().err


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_a_number_of_several_classes_that_is_given_is_taken_until_the_data_tell(
    classes: int, capsys: pytest.CaptureFixture
) -> None:
    arguments = ("--network_args", json.dumps({"features": [4, 4, 4, 4, 4, 4], "out_channels": classes}))
    assert check_network(load_config([*BASIC, *arguments, "--multi_class", "--categories", "a,b"])) is not None
    assert "how many classes" not in capsys.readouterr().err


def test_where_a_file_lies_is_no_part_of_the_configuration() -> None:
    assert without_place(named("/some/where/net.py:Net")).model.network == "net.py:Net"
    assert without_place(load_config([])) == load_config([])


def test_an_earlier_networks_file_is_found_where_it_was_or_where_it_is_now(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "moved_net.py", tmp_path / "new" / "moved_net.py"
    new.parent.mkdir()
    new.write_text(f"from torch import nn\n\nclass Net(nn.{nn.Conv2d.__name__}):\n    pass\n")
    arguments = ("--network_args", json.dumps({"in_channels": 1, "out_channels": 1, "kernel_size": 1}))
    trained, places = named("moved_net.py:Net", *arguments), [f"{old}:Net"]
    with pytest.raises(NetworkError, match="give --network with the file's present place"):
        reused_network(trained, places, None)
    found = reused_network(trained, places, f"{new}:Net")
    assert found is not None
    assert found.place == f"{new}:Net"
    for earlier, other in ((trained, f"{new}:Other"), (trained, "a.Net"), (load_config([]), f"{new}:Net")):
        with pytest.raises(NetworkError, match=r"is not the network of the training.*leave out --reuse_training"):
            reused_network(earlier, places, other)
    assert reused_network(load_config([]), [], None) is None


def test_weights_that_do_not_fit_todays_code_are_told_by_layer_with_their_shapes() -> None:
    recipe = Recipe("torch.nn.Conv2d", {"in_channels": 1, "out_channels": 2, "kernel_size": 1})
    network, shown = NamedNetwork("torch.nn.Conv2d", "x"), "baseline_network:3"
    shapes = {"weight": (2, 1, 1, 1), "bias": (2,)}
    check_weights_fit(network, StoredNetwork(recipe.to_dict(), shapes), shown)
    check_weights_fit(network, StoredNetwork(None, {}), shown)
    with pytest.raises(NetworkError) as caught:
        check_weights_fit(network, StoredNetwork(recipe.to_dict(), {**shapes, "weight": (2, 1, 3, 3)}), shown)
    told = str(caught.value)
    assert "the weights of baseline_network:3 do not fit the network that torch.nn.Conv2d makes today (in_" in told
    assert "of another shape: weight (2, 1, 3, 3) instead of (2, 1, 1, 1); put back the code" in told
    assert "leave out --reuse_training" in told


def test_arguments_of_a_training_that_the_code_takes_no_more_are_told_with_what_can_be_done() -> None:
    recipe = Recipe("torch.nn.Conv2d", {"in_channels": 1, "out_channels": 2, "kernel_size": 1, "width": 3})
    with pytest.raises(
        NetworkError, match=r"width=3\) makes no network.*put back the code.*leave out --reuse_training"
    ):
        check_weights_fit(NamedNetwork("torch.nn.Conv2d", "x"), StoredNetwork(recipe.to_dict(), {}), "one")
    trained = named("torch.nn.Conv2d", "--network_args", json.dumps(dict(recipe.arguments)))
    with pytest.raises(NetworkError, match=r"makes no network.*leave out --reuse_training"):
        reused_network(trained, ["torch.nn.Conv2d"], None)


def test_steps_elsewhere_see_files_of_the_repository_alone() -> None:
    root = Path("/repository")
    assert NamedNetwork("/repository/nets/net.py:Net", "x").within(root).place == "nets/net.py:Net"
    assert NamedNetwork("monai.networks.nets.UNet", "x").within(root).place == "monai.networks.nets.UNet"
    with pytest.raises(NetworkError, match="does not lie in /repository"):
        NamedNetwork("/elsewhere/net.py:Net", "x").within(root)
