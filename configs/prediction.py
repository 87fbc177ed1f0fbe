"""Which settings a run with `--predict` uses; all others are refused, as they would say nothing to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel

from configs.schema import RunConfig

_NAMED = 3  # settings of a file in a message
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


def unused_settings(
    config: RunConfig, flags: Mapping[str, str], typed: Sequence[str], file: str | None = None
) -> str | None:
    """Returns what is wrong with a run that predicts and is given settings of one that trains; None where nothing is.

    Args:
        config: The run.
        flags: Place in the configuration to the flag that sets it.
        typed: The places that the command line sets, sections among them; all others come from the file.
        file: The configuration file; None where there is none.
    """
    if config.prediction.images is None:
        return None
    unsaid = {"seed"} if "seeds" in typed else set()  # the first of `seeds` sets it
    others = [place for place in _given(config) if place not in {*_USED, *unsaid}]
    by_hand = [place for place in others if any(f"{place}.".startswith(f"{each}.") for each in typed)]
    of_file = [place for place in others if place not in by_hand]
    left_out = [_shown(place, flags) for place in by_hand]
    if of_file:
        more = f" and {len(of_file) - _NAMED} more" if len(of_file) > _NAMED else ""
        left_out.append(f"--config {file}, which sets {', '.join(of_file[:_NAMED])}{more}")
    if not left_out:
        return None
    used = ", ".join(_shown(place, flags) for place in sorted(_USED))
    return f"--predict trains and compares nothing, so leave out {', '.join(left_out)}; beside it there are {used}"


def _shown(place: str, flags: Mapping[str, str]) -> str:
    return f"--{flags[place]}" if place in flags else place


def _given(section: BaseModel, within: str = "") -> Iterator[str]:
    """Yields the places of all fields that were given, whatever their values."""
    for name in sorted(section.model_fields_set):
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _given(value, f"{within}{name}.")
        else:
            yield f"{within}{name}"
