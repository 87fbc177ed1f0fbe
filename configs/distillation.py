"""Narrower networks that are taught by the network of the main width: a section of the configuration, and its check."""

from __future__ import annotations

from configs.sections import ModelConfig, Section, Share


class DistillNarrowConfig(Section):
    """Every narrower width is trained a second time, and learns the predictions of the main width's network, too.

    Attributes:
        enabled: Whether that is done.
        share: Weight of those predictions in the loss, up to 1 (them alone); the masks have the rest.
    """

    enabled: bool = False
    share: Share = 0.5


def check_narrower(distillation: DistillNarrowConfig, model: ModelConfig) -> None:
    """Checks that there is a narrower width, if it is to be taught.

    Raises:
        ValueError: There is none.
    """
    if not distillation.enabled or any(filters < model.base_filters for filters in model.further_filters):
        return
    if model.network is not None:
        there = f"the network is {model.network}, which has no widths: leave --network or --distill_narrow out"
    elif model.base_filters <= 2:
        there = f"base_filters is {model.base_filters}, below which there is little: train a wider one first"
    else:
        every = ", ".join(map(str, (model.base_filters, *model.further_filters)))
        example = f"{model.base_filters},{max(2, model.base_filters // 4 * 2)}"
        there = f'base_filters is {every}: add a width below the first one, as --base_filters "{example}"'
    raise ValueError(f"--distill_narrow trains narrower U-Nets than the main one, and {there}")
