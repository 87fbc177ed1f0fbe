"""The masks that an evaluation keeps are those that it measured."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dataset.ingest import IngestOptions, ingest
from dataset.phantoms.write_phantoms import write_phantoms
from models.evaluation.metrics import count_pixels, summarise
from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE
from steps.evaluate import evaluate


@pytest.mark.parametrize("batch_size", [1, 3])
def test_masks_are_the_ones_that_were_measured(tmp_path: Path, batch_size: int) -> None:
    write_phantoms(tmp_path / "coco", 1, {"train": 2, "valid": 2, "test": 5}, 32)
    data = ingest(tmp_path / "coco", tmp_path / "stored", IngestOptions((32, 32), 1, False, False, 1))
    torch.manual_seed(0)
    unet, preprocessing = UNet(1, 1, 2).eval(), Preprocessing(0.5, 0.25)
    with torch.no_grad():  # half of the pixels are marked
        logits = unet(preprocessing(torch.from_numpy(np.array(data["test"].images))))
        unet.outc.conv.bias -= logits.median()
    network = Variant(BASELINE, unet, preprocessing, 1)
    result, masks = evaluate.entrypoint(network, None, data, batch_size, "cpu")
    decoded = torch.from_numpy(np.stack([masks.decoded(row) for row in range(len(masks))]))
    again = summarise(count_pixels(decoded, torch.from_numpy(np.array(data["test"].masks)), 2))
    assert again.per_image["dice"] == result.per_image["dice"]
    assert again.per_image["predicted_px"] == result.per_image["predicted_px"]
    assert sum(result.per_image["predicted_px"]) > 0
