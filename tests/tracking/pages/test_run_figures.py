"""The figures that a run has in MLflow."""

from analysis.comparison import Comparison
from reporting.summary import TIMES, run_metrics
from tests.comparisons import make_result
from tracking.pages.run_figures import run_figures

# Fixed: other programs ask MLflow for them.
PROMISED = {
    *("dice", "dice_lesion", "iou", "pixel_accuracy", "dice_retained", "params", "size_mb", "macs", "latency_ms"),
    *("param_reduction_pct", "size_reduction_pct"),
}
RESULTS = [make_result("baseline", None, 0.8, 1000), make_result("svd", 8, 0.7, 300)]


def figures() -> dict[str, float]:
    return run_figures(run_metrics(RESULTS[1], Comparison(RESULTS)))


def test_promised_names_have_no_section_and_their_values() -> None:
    assert figures().keys() >= PROMISED
    assert {name for name in figures() if "/" not in name} == {*PROMISED, "time_ratio"}
    assert figures()["dice"] == RESULTS[1].metrics["dice"]


def test_a_run_has_few_sections_and_few_figures() -> None:
    sections = {name.partition("/")[0] for name in figures() if "/" in name}
    assert sections <= {"change", "ci95", "classes", "detail", "equal_size", "lesions", "valid"}
    assert len(figures()) < len(run_metrics(RESULTS[1], Comparison(RESULTS)))
    assert len(figures()) <= 30


def test_classes_and_other_methods_have_one_figure_each() -> None:
    metrics = {"classes/dice_edema": 0.5, "classes/hausdorff95_px_edema": 3.0}
    metrics |= {f"equal_size/dice_lesion_over_svd{end}": 0.1 for end in ("", "_low", "_high")}
    assert run_figures(metrics) == {"classes/dice_edema": 0.5, "equal_size/dice_lesion_over_svd": 0.1}


def test_times_are_among_them_by_the_names_that_mlflow_has() -> None:
    assert run_figures(dict.fromkeys(TIMES, 1.0)) == {"latency_ms": 1.0, "time_ratio": 1.0}
