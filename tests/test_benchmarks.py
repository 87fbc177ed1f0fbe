"""The GPU's benchmark at sizes of a few seconds on the CPU, and the exponents of the scaling one."""

from pathlib import Path

import pytest
import torch

from benchmarks import gpu_latency, latency, run_page
from benchmarks.gpu import MEASURE, name_of
from benchmarks.gpu_page import section
from benchmarks.gpu_timing import Setup
from benchmarks.gpu_training import MODES
from benchmarks.reference_experiment import Experiment, run_experiment
from benchmarks.scaling import exponent, measure, table
from benchmarks.scaling_stages import STAGES, Size
from dataset.phantoms.write_phantoms import write_phantoms
from models.unet import UNet
from reporting.plots.series import SERIES
from torch_lowrank.layers.factorized import LowRank

SETUP = Setup("cpu", base_filters=8, image_size=32, rounds=1)


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiler: it takes longer than everything else here."""
    monkeypatch.setattr(torch, "compile", lambda network, **options: network)


@pytest.mark.slow
def test_every_part_of_the_gpu_benchmark_runs_and_has_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_latency, "BATCHES", {1: 1})
    data = write_phantoms(tmp_path / "data", 0, {"train": 8, "valid": 2, "test": 2}, 64)
    few = {"ranks": (2,), "taus": (0.9,), "budgets": (0.5,), "joint_budgets": ((0.5, 0.5),)}
    experiment = Experiment(data, tmp_path, "cpu", 4, 32, epochs=1, batch_size=4, **few)
    result = {
        "network": "UNet(3, 1, 4)",
        "side": 32,
        "device": "a test",
        "torch": torch.__version__,
        **{part: work(SETUP) for part, work in MEASURE.items()},
        "experiment": run_experiment(experiment),
    }
    assert set(result["training"]) == set(MODES)
    assert [row["variant"] for row in result["experiment"]["rows"]] == [
        "baseline",
        "svd_rank_2",
        "arsvd_tau_0.9",
        "budget_0.5",
        "budget_0.5_macs_0.5",
    ]
    dense, *smaller = result["latency"]
    assert all(row["params"] < dense["params"] for row in smaller if "parameters" in row["network"])
    assert all(row["macs"] < dense["macs"] for row in smaller if "MACs" in row["network"])
    page = "\n".join(section(result))
    assert "images a second" in page
    assert "12.5 % of MACs" in page
    assert "recalibrated" in page
    assert "budget_0.5_macs_0.5" in page
    assert set(result["experiment"]["ranks"]) == {"budget_0.5", "budget_0.5_macs_0.5"}


def test_networks_are_made_from_the_ranks_of_a_trained_one(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"network": "UNet(1, 1, 4)", "side": 32, "ranks": {"budget_0.5": {"inc.double_conv.3": ["spatial", 2]}}}
    monkeypatch.setattr(latency, "read_result", lambda name: kept)
    torch.manual_seed(0)
    dense, shape = UNet(1, 1, 4).eval(), (1, 32, 32)
    (made,) = latency.by_our_budgets(dense, shape).values()
    factorised = {name: layer.rank for name, layer in made.named_modules() if isinstance(layer, LowRank)}
    assert factorised == {"inc.double_conv.3": 2}
    kept["ranks"]["budget_0.5"]["inc.double_conv.3"][1] = 99
    with pytest.raises(ValueError, match="of another network"):
        latency.by_our_budgets(dense, shape)
    kept["side"] = 64
    assert set(latency.by_our_budgets(dense, shape)) == {"budget 0.25", "budget 0.125"}


def test_a_result_is_named_by_its_device() -> None:
    assert name_of("NVIDIA H100 80GB HBM3") == "nvidia_h100_80gb_hbm3"


def test_the_exponent_is_that_of_the_power_law() -> None:
    assert exponent((1, 2, 4), [3.0, 12.0, 48.0]) == pytest.approx(2)


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_is_measured_in_all_that_it_grows_with(name: str, tmp_path: Path) -> None:
    few = {"images": (2, 4), "side": (32, 64), "filters": (2, 4), "variants": (2, 3)}
    found = measure(STAGES[name], few, 1, tmp_path)
    assert set(found) == set(STAGES[name].grows_with)
    assert all(min(growth["cpu_seconds"]) > 0 for growth in found.values())
    page = table({"device": "a test", "fixed": {"images": Size().images}, "stages": {name: found}})
    assert name in page[-1]


def _entry(name: str, params: int, dice: float, **more: object) -> dict:
    ends = {"dice_lesion_low": dice - 0.05, "dice_lesion_high": dice + 0.05}
    change = (
        {} if name == "baseline" else {"dice_lesion": dice - 0.8, "dice_lesion_low": -0.1, "dice_lesion_high": -0.05}
    )
    return {
        "name": name,
        "method": more.pop("method", "baseline"),
        "info": {"params": params},
        "metrics": {"dice_lesion": dice},
        "intervals": {"ci95": ends, "change": change},
        **more,
    }


def _summary(**more: object) -> dict:
    return {
        "config": {"model": {"base_filters": 16}, "training": {"epochs": 5}, "data": {"image_size": [32, 48]}},
        "intervals_over": "images",
        "trainings": [{"filters": 16, "seed": 42}, {"filters": 8, "seed": 42}],
        "baseline": _entry("baseline", 1000, 0.8),
        "baseline_variants": [_entry("filters_8", 260, 0.7, filters=8)],
        "budget_variants": [
            _entry("budget_0.25", 249, 0.75, method="budget", budget=0.25),
            _entry("filters_8_budget_0.5", 130, 0.7, method="budget", budget=0.5, filters=8),
        ],
        **more,
    }


def test_a_run_of_several_widths_has_a_row_for_each_width_and_method() -> None:
    summary = _summary()
    page = run_page.tables(run_page.rows_of(summary))
    assert page[0] == "| trained | method | 100 % | 25 % | 12.5 % |"
    assert page[2:6] == [
        "| 16 filters | as trained | 0.8000 (0.750 to 0.850) | - | - |",
        "| 8 filters | as trained | - | 0.7000 (0.650 to 0.750) | - |",
        "| 16 filters | budget | - | 0.7500 (0.700 to 0.800) | - |",
        "| 8 filters | budget | - | - | 0.7000 (0.650 to 0.750) |",
    ]
    assert page[-1] == "| 8 filters | budget | - | - | **-0.100 (-0.100 to -0.050)** |"
    assert run_page.about(summary)[0].startswith("Trained: 16 filters, 8 filters, 5 epochs at 32x48, seed 42.")
    assert "Left out" not in run_page.about(summary)[0]


def _line(variant: str, method: str, params: int) -> dict:
    mean = {"mean": 0.7, "sd": 0.01, "interval": [0.6, 0.8]}
    return {"variant": variant, "method": method, "params": params, "dice_lesion": mean, "change": mean}


def test_networks_whose_size_is_not_their_parameters_alone_are_left_out_in_so_many_words() -> None:
    several = ["baseline_w8", "budget_0.25_macs_0.2", "size_0.05"]
    summary = _summary(
        baseline_variants=[_entry("baseline_w8", 1000, 0.8, weight_bits=8)],
        budget_variants=[
            _entry("budget_0.25", 249, 0.75, method="budget", budget=0.25),
            _entry("budget_0.25_macs_0.2", 249, 0.7, method="budget", budget=0.25, mac_budget=0.2),
        ],
        size_variants=[_entry("size_0.05", 250, 0.7, method="size", size=0.05)],
    )
    assert [row.name for row in run_page.rows_of(summary)] == ["baseline", "budget_0.25"]
    assert run_page.about(summary)[0].endswith(
        f"Left out are networks in few bits, and of budgets of MACs: {', '.join(several)}."
    )
    summary["over_trainings"] = [_line("baseline", "baseline", 1000), *(_line(name, "budget", 249) for name in several)]
    assert [row.name for row in run_page.rows_of(summary)] == ["baseline"]


def test_two_networks_of_one_cell_are_refused_by_name() -> None:
    summary = _summary(
        budget_variants=[
            _entry("budget_0.25", 249, 0.75, method="budget", budget=0.25),
            _entry("smallest", 270, 0.76, method="budget", budget=0.27, max_dice_loss=0.01),
        ]
    )
    with pytest.raises(ValueError, match=r"budget_0\.25 \(24\.9 %\) and smallest \(27 %\) fall into one cell"):
        run_page.tables(run_page.rows_of(summary))


def test_what_a_rule_finds_itself_is_in_another_row_than_what_meets_a_budget() -> None:
    found = [
        _entry("evbmf", 240, 0.7, method="evbmf"),
        _entry("evbmf_budget_0.25", 250, 0.7, method="evbmf", budget=0.25),
    ]
    rows = run_page.rows_of(_summary(evbmf_variants=found))
    page = "\n".join(run_page.tables(rows))
    assert "| 16 filters | EVBMF | - | 0.7000" in page
    assert "| 16 filters | EVBMF at a budget | - | 0.7000" in page
    (line,) = [each for each in run_page.draw(rows).axes[0].containers if each.get_label() == "16 filters, EVBMF"]
    assert line[0].get_color() == SERIES["evbmf"].color
