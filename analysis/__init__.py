"""What follows from the results of a comparison, as numbers and sentences.

`analysis.load_results(out_dir)` reads the results of a finished run; it is imported when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.reading.results_folder import Results as Results
    from analysis.reading.results_folder import ResultsError as ResultsError
    from analysis.reading.results_folder import load_results as load_results

__all__ = ["Results", "ResultsError", "load_results"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # By its name, as the project's cache keys hold what a file imports, and every file here comes after this one.
    value = getattr(importlib.import_module(f"{__name__}.reading.results_folder"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
