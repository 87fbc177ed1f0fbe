"""What `network.json` says of the weights beside it, both of this project. It names code, and none is imported."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.checkpoint import checkpoint_digest
from models.checkpoint_file import CheckpointError
from models.networks.outputs import Output
from models.preprocessing import Preprocessing
from models.unet import UNet
from torch_lowrank.io import DESCRIPTION, WEIGHTS, StorageError, read_description

_OURS = f"{UNet.__module__}.{UNet.__qualname__}"
_APART = "to use the weights otherwise, copy the file to a folder without network.json"


@dataclasses.dataclass(frozen=True)
class Description:
    """A dense network as its file describes it.

    Attributes:
        file: The description.
        constructor: Name of the network's constructor; None is our U-Net, or a network whose constructor is not told.
        named: Whether a constructor is needed: the network is not our U-Net.
        arguments: What the constructor is called with, as far as known.
        output: Which entry of the network's outputs is taken as logits.
        preprocessing: From stored images to the network's input; None where it is not told.
        classes: 1 for binary masks, else the number of classes; None where it is not told.
    """

    file: Path
    constructor: str | None
    named: bool
    arguments: Mapping[str, Any]
    output: Output | None
    preprocessing: Preprocessing | None
    classes: int | None

    def contradicts(self, given: str, said: object) -> CheckpointError:
        """Returns the error for a setting that is another than the description's.

        Args:
            given: The setting, as the user gave it.
            said: What the description says in its place.
        """
        return CheckpointError(f"{given} contradicts {self.file}, which says {said}: leave it out, or, {_APART}")


def description_beside(checkpoint: Path) -> Description | None:
    """Returns what is known of a checkpoint that this project wrote; None where none of ours lies beside it.

    Args:
        checkpoint: The file of weights.

    Raises:
        CheckpointError: The description is damaged or of other weights, or the network is compressed already.
    """
    file = checkpoint.with_name(DESCRIPTION)
    if checkpoint.name != WEIGHTS or not file.is_file():
        return None
    try:
        description = read_description(checkpoint.parent)
    except StorageError as error:
        raise CheckpointError(f"{error}; or, {_APART}") from error
    if checkpoint_digest(checkpoint) != description["weights_sha256"]:
        raise CheckpointError(
            f"{file} is of other weights than {checkpoint.name} beside it (their digests differ): if the weights were "
            "replaced, copy them to a folder without network.json; else save or copy both again"
        )
    _check_dense(description, checkpoint)
    return _read(description, file)


def _check_dense(description: Mapping[str, Any], checkpoint: Path) -> None:
    """Refuses compressed networks: as a baseline, nothing of what is compared with them would be of the dense one."""
    layers, coded = len(description["factorized"]), bool(description.get("quantized"))
    pruned = bool(description.get("narrowed"))
    if not layers and not coded and not pruned:
        return
    found = [f"{layers} layers are factorised" * bool(layers), "channels are pruned" * pruned]
    done = " and ".join(filter(None, [*found, "few bits a weight" * coded]))
    baseline = checkpoint.parent.with_name("baseline") / WEIGHTS
    there = f"give {baseline}" if baseline.is_file() else "give the weights of the network that it was made of"
    raise CheckpointError(
        f"{checkpoint} is of a network that is compressed already ({done}), and --checkpoint takes the dense "
        f"one, which everything is compared with: {there}"
    )


def _read(description: Mapping[str, Any], file: Path) -> Description:
    about = description["about"]
    recipe = about.get("network")
    try:
        if recipe is not None:
            constructor, arguments, output = str(recipe["name"]), dict(recipe["arguments"]), recipe["output"]
        else:
            constructor, arguments, output = None, dict(description["arguments"] or {}), None
        said = about.get("preprocessing")
        return Description(
            file,
            constructor,
            recipe is not None or description["architecture"] != _OURS,
            arguments,
            output,
            Preprocessing.of_saved(said) if said is not None else None,
            int(about["classes"]) if "classes" in about else None,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{file} is damaged: about.network, about.preprocessing or about.classes cannot be read "
            f"({type(error).__name__}: {error}); save the network again, or, {_APART}"
        ) from error
