"""A view of MLflow's UI with the columns and charts that compare variants.

MLflow's UI stores a shared view as a tag of the experiment and opens it by a link. A version of MLflow that does not
know the tag shows its default view.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

_TAG = "mlflow.sharedViewState."
_SECTION = "tradeoffs"
_COLUMNS = (
    "params.`method`",
    "metrics.`dice_lesion`",
    "metrics.`change/dice_lesion`",
    "metrics.`recall_images`",
    "metrics.`dice`",
    "metrics.`params`",
    "metrics.`param_reduction_pct`",
    "metrics.`macs`",
    "metrics.`latency_ratio`",
    "tags.`pareto_front`",
)
_SHOWN_RUNS = 100


def view_tag(key: str) -> str:
    """Returns the name of the tag that holds a view."""
    return _TAG + key


def view_link(experiment_id: str, key: str) -> str:
    """Returns the link to a view in MLflow's UI, to be appended to the UI's address."""
    return f"#/experiments/{experiment_id}/runs?viewStateShareKey={key}&compareRunsMode=CHART"


def view_state(search: str) -> str:
    """Returns a view as MLflow's UI stores it: runs by Dice, with charts of what they cost.

    Args:
        search: The runs that are shown, as in MLflow's search box.
    """
    state = {
        "searchFilter": search,
        "orderByKey": "metrics.`dice_lesion`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "selectedColumns": _COLUMNS,
        "columnOrder": [],
        "columnWidths": {},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "SHOW_ALL",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": True,  # in the order of `compareRunSections`
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": False,
        "compareRunCharts": [
            _scatter("params"),
            _scatter("macs"),
            _scatter("latency_ratio"),
            _chart(
                "parallel",
                type="PARALLEL",
                selectedParams=["method"],
                selectedMetrics=["params", "macs", "dice_lesion"],
            ),
        ],
        "compareRunSections": [
            {"uuid": _SECTION, "name": "Trade-offs", "display": True, "isReordered": False, "deleted": False}
        ],
    }
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()


def _scatter(cost: str) -> dict[str, Any]:
    axes = {name: {"key": metric, "type": "METRIC"} for name, metric in (("xaxis", cost), ("yaxis", "dice_lesion"))}
    return _chart(cost, type="SCATTER", **axes)


def _chart(name: str, **fields: Any) -> dict[str, Any]:
    common = {"runsCountToCompare": _SHOWN_RUNS, "metricSectionId": _SECTION, "deleted": False, "isGenerated": False}
    return {"uuid": f"{_SECTION}-{name}", **common, **fields}
