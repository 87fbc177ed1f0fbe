"""A finished run as tables, and what is said of folders that hold none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import analysis
from analysis.comparison import Comparison
from reporting.summary import per_image_table, results_table, summarize, to_json
from tests.comparisons import make_result
from tests.conftest import ROOT

RESULTS = [
    make_result("baseline", None, 0.8, 1000),
    make_result("svd", 8, 0.795, 300),
    make_result("arsvd", 0.9, 0.6, 500),
]
IMAGES = len(RESULTS[0].per_image["dice"])
NAMES = [f"{number:03}" for number in range(IMAGES)]  # which pandas would take for numbers
MANIFEST = {"splits": {split: {"samples": [{"file_name": name} for name in NAMES]} for split in ("valid", "test")}}


@pytest.fixture
def out_dir(tmp_path: Path) -> Path:
    """The folder of a finished run."""
    comparison = Comparison(RESULTS)
    (tmp_path / "experiment_summary.json").write_bytes(to_json(summarize(comparison, {})))
    (tmp_path / "results.csv").write_text(results_table(comparison))
    (tmp_path / "per_image.csv").write_text(per_image_table(comparison, MANIFEST))
    return tmp_path


def test_a_variant_is_a_row_with_its_numbers(out_dir: Path) -> None:
    variants = analysis.load_results(out_dir).variants
    assert variants["variant"].tolist() == ["baseline", "svd_rank_8", "arsvd_tau_0.9"]
    for result, (_, row) in zip(RESULTS, variants.iterrows(), strict=True):
        assert (row["method"], row["params"]) == (result.method, result.cost.params)
        assert row["dice"] == pytest.approx(result.metrics["dice"])
    assert variants["rank"].isna().tolist() == [True, False, True]
    assert variants.loc[variants["recommended"], "variant"].tolist() == [Comparison(RESULTS).recommended.name]


def test_an_image_of_a_split_is_a_row_of_each_variant(out_dir: Path) -> None:
    images = analysis.load_results(str(out_dir)).images
    assert len(images) == len(RESULTS) * 2 * IMAGES
    for result in RESULTS:
        rows = images[(images["variant"] == result.name) & (images["split"] == "test")]
        assert rows["file_name"].tolist() == NAMES
        assert rows["dice"].tolist() == pytest.approx(result.per_image["dice"])


def test_losses_can_be_paired_by_image(out_dir: Path) -> None:
    """The example of the manual."""
    images = analysis.load_results(out_dir).images.query("split == 'test'")
    dice = images.pivot(index="file_name", columns="variant", values="dice")
    assert (dice["baseline"] - dice["svd_rank_8"]).mean() == pytest.approx(0.005)


def test_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(analysis.ResultsError, match=r"there is no folder .*nowhere: name the --out_dir"):
        analysis.load_results(tmp_path / "nowhere")


@pytest.mark.parametrize("missing", ["experiment_summary.json", "results.csv", "per_image.csv"])
def test_a_run_that_has_not_finished_is_told_with_what_it_lacks(out_dir: Path, missing: str) -> None:
    (out_dir / missing).unlink()
    with pytest.raises(analysis.ResultsError, match=f"holds no finished run, it lacks {missing}"):
        analysis.load_results(out_dir)


@pytest.mark.parametrize("content", ["{", "[]", "{}", b"\xff"])
def test_a_damaged_summary_is_named(out_dir: Path, content: str | bytes) -> None:
    (out_dir / "experiment_summary.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(analysis.ResultsError, match=r"experiment_summary\.json is "):
        analysis.load_results(out_dir)


@pytest.mark.parametrize("file", ["results.csv", "per_image.csv"])
@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", 'variant,split,file_name\n"1', b"\xff\xfe"])
def test_a_damaged_table_is_named(out_dir: Path, file: str, content: str | bytes) -> None:
    (out_dir / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(analysis.ResultsError, match=file.replace(".", r"\.")):
        analysis.load_results(out_dir)


def test_files_of_two_runs_are_not_mixed(out_dir: Path) -> None:
    summary = json.loads((out_dir / "experiment_summary.json").read_text())
    summary["svd_variants"] = []
    (out_dir / "experiment_summary.json").write_text(json.dumps(summary))
    with pytest.raises(analysis.ResultsError, match=r"is of another run than .* \(svd_rank_8\)"):
        analysis.load_results(out_dir)


def test_importing_analysis_stays_light() -> None:
    code = (
        "import sys, analysis; assert 'load_results' in dir(analysis)\n"
        "sys.exit(bool({'pandas', 'numpy', 'torch', 'analysis.reading'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_what_analysis_does_not_have_is_said() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'load_result'"):
        _ = analysis.load_result
