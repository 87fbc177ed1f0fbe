"""A view of MLflow's UI with the columns and charts that compare variants.

MLflow's UI stores a view as a tag of the experiment. It opens it by a link, and, where the tag also holds a name, from
the menu "Views" above the runs. A version of MLflow that does not know the tag shows its default view.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from tracking.pages.run_figures import TIME_RATIO

_TAG = "mlflow.sharedViewState."
_SECTION = "tradeoffs"
# Few, as MLflow puts metrics into the order of the alphabet, between the time of a run and its parameters.
_COLUMNS = (
    *(f"metrics.`{name}`" for name in ("dice", "dice_lesion", "size_mb", TIME_RATIO)),
    "params.`method`",
    "tags.`recommended`",
)
_SHOWN_RUNS = 100
_WIDTHS = {"metrics": 110, "params": 100, "tags": 120}  # pixels of a column
NAME = "Latest comparison"  # in the menu


def view_tag(key: str) -> str:
    """Returns the name of the tag that holds a view."""
    return _TAG + key


def view_link(experiment_id: str, key: str) -> str:
    """Returns the link to a view in MLflow's UI, to be appended to the UI's address."""
    # Which kind of work the UI shows is said by the address: without, a browser that was never asked shows pages for
    # language models, whatever the experiment's own tag says.
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={key}"


def charts_link(experiment_id: str, key: str) -> str:
    """Returns the link to the same view as charts."""
    return f"{view_link(experiment_id, key)}&compareRunsMode=CHART"


def named_view(state: str, existing: str | None, now_ms: int) -> str:
    """Returns the content of a tag that puts a view into the menu.

    Args:
        state: The view, as `view_state` returns it.
        existing: What the tag holds now. A view that is there already stays as it is, with its date.
        now_ms: Milliseconds since 1970.
    """
    if existing is not None and is_named(existing) and json.loads(existing)["state"] == state:
        return existing
    return json.dumps({"name": NAME, "createdAt": now_ms, "updatedAt": now_ms, "state": state})


def is_named(content: str) -> bool:
    """Whether a tag puts a view of this project into the menu."""
    try:
        stored = json.loads(content)
    except ValueError:  # a view without a name
        return False
    return isinstance(stored, dict) and stored.get("name") == NAME and isinstance(stored.get("state"), str)


def without_names(tags: Mapping[str, str], key: str) -> dict[str, str]:
    """Returns the tags of this project's other views as they are out of the menu; their links go on to work.

    Args:
        tags: All tags of the experiment.
        key: The view that stays in the menu.
    """
    views = {name: value for name, value in tags.items() if name.startswith(_TAG) and name != view_tag(key)}
    return {name: json.loads(value)["state"] for name, value in views.items() if is_named(value)}


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
        "columnWidths": {column: _WIDTHS[column.partition(".")[0]] for column in _COLUMNS},
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
            _scatter(TIME_RATIO),
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
