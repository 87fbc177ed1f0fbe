"""The synthetic comparisons, as fixtures."""

from tests.comparisons import baseline, history, recovered_results, result, results

__all__ = ["baseline", "history", "recovered_results", "result", "results"]
