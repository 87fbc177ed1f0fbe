"""Which settings a run with `--predict` uses; all others are refused, as they would say nothing to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from configs.schema import RunConfig

_USED = {
    "out_dir",
    "device",
    "num_workers",
    "no_cache",
    "verbose",
    "data.image_size",
    "data.channels",
    "data.interpolation",
    "data.exif",
    "data.skip_bad_samples",
    "training.batch_size",
    "model.network",
    "prediction.images",
    "prediction.network",
}


def unused_settings(config: RunConfig, flags: Mapping[str, str]) -> str | None:
    """Returns what is wrong with a run that predicts and is given settings of one that trains; None where nothing is.

    Args:
        config: The run.
        flags: Place in the configuration to the flag that sets it.
    """
    if config.prediction.images is None:
        return None
    others = [place for place in _given(config) if place not in _USED]
    if not others:
        return None
    shown = ", ".join(f"--{flags[place]}" if place in flags else place for place in others)
    used = ", ".join(f"--{flags[place]}" if place in flags else place for place in sorted(_USED))
    return f"--predict trains and compares nothing, so leave out {shown}; beside it there are {used}"


def _given(section: BaseModel, within: str = "") -> Iterator[str]:
    """Yields the places of all fields that were given, whatever their values."""
    for name in sorted(section.model_fields_set):
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _given(value, f"{within}{name}.")
        else:
            yield f"{within}{name}"
