"""What is wrong with the files, folders and variants that a command line names, told before imports that take seconds.

Each is looked at by the function that looks at it again where it is used: it may have changed since, and reading all of
it finds more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from configs.schema import RunConfig
from dataset.errors import DatasetError
from dataset.sources.local_folder import as_source
from dataset.sources.source import is_uri
from models.checkpoint_file import CheckpointError, check_checkpoint_file
from models.network_files import NetworkFilesError
from models.networks.errors import NetworkError
from models.networks.imports import check_place
from pipelines.checks.chosen_variants import ChosenVariantError, check_chosen_variants
from pipelines.checks.prediction_places import prediction_looks
from pipelines.checks.run_settings import SettingsError, read_settings_file
from pipelines.execution.output_folder import OutputFolderError, check_output_folder
from reporting.prediction_folder import PredictionFolderError
from tracking.connectivity import zenml_server

_FAULTS = (
    DatasetError,
    CheckpointError,
    NetworkError,
    NetworkFilesError,
    SettingsError,
    OutputFolderError,
    PredictionFolderError,
    ChosenVariantError,
)


def faults_of_places(config: RunConfig) -> list[str]:
    """Returns what is certainly wrong with the places that a configuration names; nothing is written, and little read.

    Args:
        config: The run.

    Returns:
        One message a fault. A folder of data is not looked at where ZenML has a server, as steps may then run on other
        machines, which see other folders; and what lies at a URI only ZenML can tell.
    """
    looks: list[Callable[[], object]] = []
    if config.data_root is not None and not is_uri(config.data_root) and not zenml_server():
        looks.append(partial(_check_data, Path(config.data_root), config))
    if config.checkpoint is not None:
        looks.append(partial(check_checkpoint_file, config.checkpoint))
    if config.model.network is not None:
        looks.append(partial(check_place, config.model.network))
    if config.run_settings is not None:
        looks.append(partial(read_settings_file, config.run_settings))
    looks.append(partial(check_output_folder, config.out_dir))
    looks.append(partial(check_chosen_variants, config))
    looks += prediction_looks(config)
    return [fault for look in looks if (fault := _fault(look)) is not None]


def _check_data(folder: Path, config: RunConfig) -> None:
    source = as_source(folder)
    source.check()
    if config.reuse_training is not None:  # which says how the data are read and divided, later
        return
    from dataset.layouts.divide import check_splits  # noqa: PLC0415 - half a second, where there is a folder
    from dataset.layouts.layout import Wanted  # noqa: PLC0415
    from dataset.layouts.name_check import check_names  # noqa: PLC0415
    from dataset.layouts.recognise import recognise  # noqa: PLC0415

    wanted = config.data
    layout = recognise(source, Wanted(wanted.format, wanted.axis, wanted.modality))
    check_splits(layout, wanted.split)
    check_names(layout, wanted.group_by, wanted.split, wanted.skip_bad_samples)


def _fault(look: Callable[[], object]) -> str | None:
    try:
        look()
    except _FAULTS as error:
        return str(error)
    return None
