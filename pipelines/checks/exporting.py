"""Checks before any training that what is to be exported is a variant of the run, and that its files have a place."""

from __future__ import annotations

from configs.schema import RunConfig
from models.deployment.errors import ExportError
from models.deployment.layout import EXPORTS, RECORD
from models.variant_spec import BASELINE
from pipelines.variants import variant_specs


def check_export(config: RunConfig) -> None:
    """Checks the variant to export, and the folders that its files would replace.

    Raises:
        ExportError: There is no such variant, or a folder of its name was written by no run.
    """
    wanted = config.export.variant
    names = [spec.name for spec in (BASELINE, *variant_specs(config.compression))]
    if wanted is not None and wanted not in names:
        raise ExportError(f"--export_variant {wanted}: there is no such variant; there are {', '.join(names)}")
    if not config.export.formats:
        return
    for name in names if wanted is None else [wanted]:
        folder = config.out_dir / EXPORTS / name
        if folder.exists() and not (folder / RECORD).exists():
            raise ExportError(
                f"{folder} is there, and no run has written it, as it has no {RECORD}; files of {name} would take its "
                "place: move it away, or choose another --out_dir"
            )
