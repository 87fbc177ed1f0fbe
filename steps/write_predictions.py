"""Step: predicted masks, in the folder of results."""

from pathlib import Path

from zenml import step

from reporting.prediction_folder import Predictions, replace_results
from steps import runtime


@step(enable_cache=False)
def write_predictions(predictions: Predictions) -> None:
    """Copies them there; runs always, so that the folder is complete after cached runs too."""
    replace_results(predictions, Path(runtime.current().out_dir))
