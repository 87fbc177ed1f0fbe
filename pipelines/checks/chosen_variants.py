"""Whether variants that the command line names are variants of the run, and whether files of theirs have a place."""

from __future__ import annotations

from configs.schema import RunConfig
from models.deployment.layout import EXPORTS, RECORD
from models.variant_spec import BASELINE
from pipelines.variant_list import specs_of


class ChosenVariantError(ValueError):
    """A variant is named that the run does not make, or a folder is in the way of its files."""


def check_chosen_variants(config: RunConfig) -> None:
    """Checks the variants to register and to export, and the folders that exported files would replace.

    Raises:
        ChosenVariantError: There is no such variant, or a folder of its name was written by no run.
    """
    names = [spec.name for spec in (BASELINE, *specs_of(config))]
    chosen = {"register_variant": config.registration.variant, "export_variant": config.export.variant}
    for flag, wanted in chosen.items():
        if wanted is not None and wanted not in names:
            raise ChosenVariantError(f"--{flag} {wanted}: there is no such variant; there are {', '.join(names)}")
    if not config.export.formats:
        return
    for name in names if config.export.variant is None else [config.export.variant]:
        folder = config.out_dir / EXPORTS / name
        if folder.exists() and not (folder / RECORD).exists():
            raise ChosenVariantError(
                f"{folder} is there, and no run has written it, as it has no {RECORD}; files of {name} would take its "
                "place: move it away, or choose another --out_dir"
            )
