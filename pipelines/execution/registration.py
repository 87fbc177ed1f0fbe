"""Registers a network in MLflow's model registry, if the configuration names one."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.comparison import Comparison
from analysis.conclusions import describe
from configs.schema import RegistrationConfig
from tracking.registry import ALIAS, RegistrationError, register


def register_chosen(
    wanted: RegistrationConfig, comparison: Comparison, runs: Mapping[str, str], tracking_uri: str
) -> None:
    """Registers the chosen variant, or else the recommended one, and prints its address.

    Args:
        wanted: The name to register it by, and the variant; without a name nothing is registered.
        comparison: All variants.
        runs: Name of each variant to the id of its MLflow run.
        tracking_uri: URI of MLflow's server or database.

    Raises:
        RegistrationError: No variant is recommended, or MLflow refuses.
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
