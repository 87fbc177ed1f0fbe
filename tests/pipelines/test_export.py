"""Files to deploy: made once of the chosen variant, written whole, and removed where a run makes none."""

import json

import pytest

from tests.pipelines.workshop import Workshop

pytestmark = pytest.mark.pipeline

FORMATS = "onnx,onnx_int8,pt2,monai_bundle"
OF_ONE = ("--export", FORMATS, "--export_variant", "svd_rank_2")
STEPS = {"choose_variant", "export"}
ALWAYS = {"fingerprint_dataset", "compare"}


def test_a_variant_that_is_not_in_the_sweep_is_told_before_any_work(workshop: Workshop) -> None:
    failed = workshop.run("--export", "pt2", "--export_variant", "svd_rank_77", check=False)
    assert failed.status == 2
    assert failed.stderr.splitlines()[-1].startswith(
        "error: --export_variant svd_rank_77: there is no such variant; there are baseline"
    )
    assert failed.ran == set()


def test_a_folder_that_no_run_has_written_is_not_replaced(workshop: Workshop) -> None:
    mine = workshop.out / "export" / "svd_rank_2"
    mine.mkdir(parents=True)
    failed = workshop.run(*OF_ONE, check=False)
    mine.rmdir()
    assert failed.status == 2
    assert f"{mine} is there, and no run has written it" in failed.stderr
    assert failed.ran == set()


@pytest.mark.slow
def test_files_are_made_once_and_kept_while_the_variant_is_the_same(workshop: Workshop) -> None:
    done = workshop.run(*OF_ONE)
    assert done.ran == ALWAYS | STEPS
    folder = workshop.out / "export" / "svd_rank_2"
    assert {file.name for file in folder.iterdir()} == {
        *("model.onnx", "model_int8.onnx", "model.pt2", "monai_bundle", "export.json")
    }
    assert all(name in done.stdout for name in ("model.onnx", "model.pt2", "monai_bundle", str(folder)))
    exports = workshop.summary()["exports"]
    assert [entry["format"] for entry in exports["formats"]] == FORMATS.split(",")
    for entry in exports["formats"]:
        assert entry["fault"] is None
        assert entry["measured"]["latency"]["ms"] > 0
        if entry["format"] != "onnx_int8":
            assert entry["measured"]["max_difference"] < 1e-4
            assert entry["measured"]["metrics"] == pytest.approx(exports["metrics"], abs=1e-3)
    of_variant = workshop.variants()["svd_rank_2"]["metrics"]
    assert exports["metrics"] == pytest.approx({name: of_variant[name] for name in exports["metrics"]}, abs=1e-3)
    assert "Files to deploy" in (workshop.out / "report.html").read_text()
    before = (folder / "model.onnx").read_bytes()
    more = workshop.run(*OF_ONE, "--arsvd_taus", "0.5,0.8,0.9")
    assert "export" not in more.ran
    assert "export" in more.steps
    assert (folder / "model.onnx").read_bytes() == before


@pytest.mark.slow
def test_files_of_another_run_are_removed_and_said_so(workshop: Workshop) -> None:
    workshop.run("--export", "onnx", "--export_variant", "baseline")
    done = workshop.run()
    assert "export" not in done.steps
    assert "as this run exports no such variants: baseline" in done.stderr
    assert [*(workshop.out / "export").iterdir()] == []
    assert "exports" not in json.loads((workshop.out / "experiment_summary.json").read_text())


@pytest.mark.slow
def test_nothing_recommended_is_told_after_all_else_is_written(workshop: Workshop) -> None:
    failed = workshop.run("--export", "pt2", check=False)
    if workshop.summary()["recommended"] is not None:
        pytest.skip("this training recommends a variant")
    assert failed.status == 1
    assert failed.stderr.splitlines()[-1] == (
        "error: nothing was exported, as no variant is recommended; choose one by --export_variant"
    )
    assert workshop.summary()["exports"]["formats"] == []
