"""Networks that are not ours, trained and compressed on real data: the table of docs/your-network.md.

    python benchmarks/networks.py                          # all of them: about two minutes each on two cores
    python benchmarks/networks.py BasicUNet own --epochs 1  # some, to try

Each is one run of run_pipeline.py, by the command that the page shows; its folder of results says what the table says.
What was measured stays in benchmarks/results/networks.json, so that a second call goes on; --fresh begins anew.
Networks whose packages are not installed are left out, and the table says which.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.pages import machine, read_result, write_result, write_section  # noqa: E402

DATA = "../shared/data/brain_tumor_outlines"
BUDGET = 0.25
MONAI, SMP = "monai.networks.nets", "segmentation_models_pytorch"
_LEVELS = {"strides": [2, 2, 2], "channels": [16, 32, 64, 128]}
# Name in the table: constructor, arguments, further words of the command, packages that it needs.
NETWORKS: dict[str, tuple[str, dict[str, Any], list[str], list[str]]] = {
    "BasicUNet": (f"{MONAI}.BasicUNet", {"features": [16, 16, 32, 64, 128, 16]}, [], []),
    "UNet": (f"{MONAI}.UNet", {**_LEVELS, "num_res_units": 2}, [], []),
    "AttentionUnet": (f"{MONAI}.AttentionUnet", _LEVELS, [], []),
    "SegResNet": (f"{MONAI}.SegResNet", {"init_filters": 16}, [], []),
    "DynUNet": (
        f"{MONAI}.DynUNet",
        {
            "kernel_size": [3, 3, 3, 3],
            "strides": [1, 2, 2, 2],
            "upsample_kernel_size": [2, 2, 2],
            "filters": [16, 32, 64, 128],
            "deep_supervision": True,
            "deep_supr_num": 2,
        },
        ["model.output=0"],
        [],
    ),
    "SwinUNETR": (f"{MONAI}.SwinUNETR", {"feature_size": 12}, [], ["einops"]),
    "smp Unet": (f"{SMP}.Unet", {"encoder_name": "resnet18", "encoder_weights": None}, [], [SMP]),
    "smp FPN": (f"{SMP}.FPN", {"encoder_name": "resnet18", "encoder_weights": None}, [], [SMP]),
    "own": ("benchmarks/own_network.py:Net", {}, [], []),
}


def main() -> None:
    """Runs what has no result yet, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NAME", help="those of the table (default: all)")
    parser.add_argument("--data_root", default=DATA)
    parser.add_argument("--image_size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--fresh", action="store_true", help="forget what was measured")
    parser.add_argument("--dry_run", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()
    if unknown := {*arguments.networks} - {*NETWORKS}:
        parser.error(f"there is no network {', '.join(sorted(unknown))}; there are {', '.join(NETWORKS)}")
    setting = {"data": arguments.data_root, "image_size": arguments.image_size, "epochs": arguments.epochs}
    known = {} if arguments.fresh else read_result("networks")
    rows = known.get("networks", {}) if known.get("setting") == setting else {}
    for name in arguments.networks or NETWORKS:
        missing = [package for package in NETWORKS[name][3] if find_spec(package) is None]
        if missing:
            rows.setdefault(name, {"missing": missing[0]})
        elif "dice" not in rows.get(name, {}):
            rows[name] = measure(name, setting)
        print(name, json.dumps(rows[name]))
        if not arguments.dry_run:
            write_result("networks", {"setting": setting, "machine": machine(), "networks": rows})
    lines = table(rows, setting)
    print("\n".join(lines))
    if not arguments.dry_run:
        write_section("your-network.md", "networks", lines)


def command(name: str, setting: dict[str, Any]) -> list[str]:
    """Returns the words after `python run_pipeline.py`, but for the folders."""
    place, given, more, _ = NETWORKS[name]
    size = str(setting["image_size"])
    return [
        *("--network", place),
        *(["--network_args", json.dumps(given)] if given else []),
        *more,
        *("--image_size", size, size, "--channels", "1", "--epochs", str(setting["epochs"]), "--lr", "1e-3"),
        *("--svd_ranks", "", "--arsvd_taus", "", "--budgets", str(BUDGET), "--recalibrate"),
    ]


def measure(name: str, setting: dict[str, Any]) -> dict[str, Any]:
    """Runs the pipeline for one network."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*command(name, setting), "--data_root", setting["data"], "--out_dir", folder]
        subprocess.run([sys.executable, "run_pipeline.py", *words], cwd=ROOT, check=True)  # noqa: S603 - our own
        summary = json.loads((Path(folder) / "experiment_summary.json").read_text(encoding="utf-8"))
    baseline, shares = summary["baseline"], summary["baseline"]["factorizable"]
    small = next(entry for entry in summary["budget_variants"] if entry["budget"] == BUDGET)
    return {
        "params": baseline["info"]["params"],
        "factorizable": shares["factorizable"],
        "others": shares["others"],
        "dice": baseline["metrics"]["dice_lesion"],
        "small_dice": small["metrics"]["dice_lesion"],
        "small_params": small["info"]["params"],
    }


def table(rows: dict[str, dict[str, Any]], setting: dict[str, Any]) -> list[str]:
    """Returns the lines of the section: the table, and a command for each row."""
    measured = [name for name in NETWORKS if "dice" in rows.get(name, {})]
    lines = [
        f"Dice of images with a lesion, on the test split of `{Path(setting['data']).name}`, gray, at "
        f"{setting['image_size']}x{setting['image_size']}, after {setting['epochs']} epochs: a short training, to "
        f"compare a network with what is left of it, not networks with each other. Small is `budget_{BUDGET}`, "
        "recalibrated, not trained on.",
        "",
        "| network | parameters | can be factorised | cannot | Dice | Dice at 25 % |",
        "|---|---:|---:|---|---:|---:|",
    ]
    for name in measured:
        row = rows[name]
        others = ", ".join(f"{reason} {100 * share:.2g} %" for reason, share in row["others"].items())
        lines.append(
            f"| {name} | {row['params']:,} | {100 * row['factorizable']:.1f} % | {others} | {row['dice']:.3f} "
            f"| {row['small_dice']:.3f} |"
        )
    absent = [f"{name} (needs `{rows[name]['missing']}`)" for name in NETWORKS if "missing" in rows.get(name, {})]
    if absent:
        lines += ["", f"Not measured here, as the package is not installed: {', '.join(absent)}."]
    lines += ["", "Each row is one command, on `--data_root FOLDER`:", "", "```bash"]
    lines += [f"python run_pipeline.py {shlex.join(command(name, setting))}" for name in measured]
    return [*lines, "```"]


if __name__ == "__main__":
    main()
