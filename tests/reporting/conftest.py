"""The synthetic comparisons, as fixtures."""

from tests.comparisons import baseline, few_bits, history, recovered_results, result, results

__all__ = ["baseline", "few_bits", "history", "recovered_results", "result", "results"]
