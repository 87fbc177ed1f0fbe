"""What a training that is reused was made of, by names that people know, and whether a folder holds the same data."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

from zenml.client import Client
from zenml.models import StepRunResponse

from configs.schema import RunConfig
from dataset.fingerprint import fingerprint
from dataset.options import Format
from dataset.sources.source import is_uri
from steps.data_roots.open_data_root import open_data_root
from steps.runtime import data_name, data_name_of, short_data_name

_LESION_DICE, _DICE = "best_valid_dice_lesion", "best_valid_dice"


class OtherDataError(ValueError):
    """The folder of data is not the one that the network was trained on."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a training was made of, and how good it became.

    Attributes:
        run: Name of the pipeline run.
        data: Name of the data's folder, without the place where it lay; None where the run does not tell.
        digest: Digest of the data's content; None where it is not stored any more.
        layout: The layout that they were read by.
        dice: Dice on the validation images in the epoch that was kept, in words; None where the history does not tell.
        short_data: `data` as names of runs have it.
    """

    run: str
    data: str | None
    digest: str | None
    layout: Format
    dice: str | None
    short_data: str | None = None

    @property
    def shown_data(self) -> str:
        """What the data are called."""
        return self.data or "data without a name"

    def check_same_data(self, network: str, config: RunConfig, remote: bool) -> None:
        """Checks that a folder of data that was given is what the network was trained on, by its content.

        Where the content of one of the two cannot be known, names decide.

        Args:
            network: The network, to show.
            config: The run.
            remote: Whether steps run on other machines, whose folders this one does not see.

        Raises:
            OtherDataError: It is not.
            DatasetError: The folder cannot be read.
        """
        if config.data_root is None:
            return
        if self.digest is not None and (is_uri(config.data_root) or not remote):
            with open_data_root(config.data_root) as source:
                if fingerprint(source, config.num_workers, self.layout) == self.digest:
                    return
            raise self._other_data(network, config.data_root, "its files are others")
        if self.data is not None and data_name(config.data_root) != self.data:
            raise self._other_data(network, config.data_root, "its name is another, and the files cannot be compared")
        print(
            f"note: whether {config.data_root} still holds the data that the network was trained on cannot be known; "
            "it is not read",
            file=sys.stderr,
        )

    def _other_data(self, network: str, data_root: str, why: str) -> OtherDataError:
        return OtherDataError(
            f"--data_root {data_root} is not the data that {network} was trained on, {self.shown_data} (run "
            f"{self.run}): {why}; leave --data_root away to go on with the data of the training, leave "
            "--reuse_training away to train anew, or give the network's weights.safetensors to --checkpoint to judge "
            "it on other data"
        )


def origin_of(training: StepRunResponse, ingest: StepRunResponse, layout: Format) -> Origin:
    """Returns the origin of a training.

    Args:
        training: The step that trained.
        ingest: The step that made its data set.
        layout: The layout that it was told.
    """
    return Origin(
        run=Client().get_pipeline_run(training.pipeline_run_id).name,
        data=data_name_of(training.config.extra),
        digest=_digest(ingest),
        layout=layout,
        dice=_dice(training.outputs["train_history"][0].run_metadata),
        short_data=short_data_name(training.config.extra),
    )


def _dice(best: Mapping[str, Any]) -> str | None:
    if best.get(_LESION_DICE) is not None:
        return f"Dice {best[_LESION_DICE]:.3f} on the images of valid with a lesion"
    return f"Dice {best[_DICE]:.3f} on valid" if _DICE in best else None


def _digest(ingest: StepRunResponse) -> str | None:
    stored = ingest.inputs.get("fingerprint")
    if not stored:
        return None
    try:
        return str(stored[0].load())
    except (OSError, ValueError):  # its file was deleted or damaged
        return None
