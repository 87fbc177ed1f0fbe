"""Registers a network in MLflow's model registry, if the configuration names one."""

from __future__ import annotations

from collections.abc import Mapping

from zenml.client import Client
from zenml.models import ModelVersionResponse

from analysis.comparison import Comparison
from analysis.conclusions import describe
from configs.schema import RegistrationConfig
from pipelines.execution.abandoned_runs import run_of, this_process
from tracking.pages.model_stages import STAGE, promote
from tracking.registry import ALIAS, RegistrationError, register


def register_chosen(
    wanted: RegistrationConfig, comparison: Comparison, runs: Mapping[str, str], tracking_uri: str
) -> None:
    """Registers the chosen variant, or else the recommended one, prints its address, and promotes it in ZenML.

    In ZenML, the model version of this run gets the stage `production`, and the version that had it is archived.

    Args:
        wanted: The name to register it by, and the variant; without a name nothing is registered.
        comparison: All variants.
        runs: Name of each variant to the id of its MLflow run.
        tracking_uri: URI of MLflow's server or database.

    Raises:
        RegistrationError: No variant is recommended, MLflow refuses, or ZenML does not know this run any more.
    """
    if wanted.name is None:
        return
    recommended = comparison.recommended.name if comparison.recommended else None
    variant = wanted.variant or recommended
    if variant is None:
        raise RegistrationError("nothing was registered, as no variant is recommended; choose by --register_variant")
    result = next(result for result in comparison.results if result.name == variant)
    version = register(tracking_uri, wanted.name, variant, runs[variant], describe(comparison, result))
    print(f"registered {variant} as models:/{wanted.name}@{ALIAS}, version {version}")
    made = _model_version()
    if made is None:
        raise RegistrationError(
            f"{variant} is registered in MLflow, but no stage was moved in ZenML: this run is not found there"
        )
    promote(made, variant, f"models:/{wanted.name}/{version}")
    print(f"ZenML: version {made.number} of the model {made.model.name} has the stage {STAGE.value} now")


def _model_version() -> ModelVersionResponse | None:
    """Returns the version of ZenML's model that this process's run has made; None where it is not found."""
    stack = Client().active_stack_model.name
    run = run_of(this_process()) or run_of(f"{stack}/{this_process()}")  # the second where others run the steps
    return run.model_version if run is not None else None
