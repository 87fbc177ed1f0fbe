"""Sections of the configuration and the plain classes that the library takes: the same fields, the same limits.

Users get pydantic, which names the flag and tells all faults at once; the library works without pydantic.
"""

import dataclasses
import inspect

import pytest
from pydantic import ValidationError

from configs.loading import OF_NAMED, OF_UNET
from configs.sections import DataConfig, InputConfig, ModelConfig
from dataset.ingest import IngestOptions
from models.preprocessing import Preprocessing
from models.unet import UNet

DATA = IngestOptions(image_size=(32, 32), channels=1, multi_class=False, skip_bad_samples=False, num_workers=0)
INPUT = Preprocessing(mean=0.2, std=0.2)


def fields(options: type) -> set[str]:
    return {field.name for field in dataclasses.fields(options)}


def test_sections_have_the_fields_of_what_they_configure() -> None:
    assert {*DataConfig.model_fields} == fields(IngestOptions) - {"num_workers"}
    assert {*InputConfig.model_fields} == fields(Preprocessing) - {"channels", "image_size", "interpolation"}
    # What follows from the data, and a decoder that only checkpoints from elsewhere have, is not configured.
    of_unet = {*inspect.signature(UNet).parameters} - {"in_channels", "classes", "wide_decoder"}
    assert {*OF_UNET} == of_unet
    assert {*OF_NAMED} == {"network", "arguments", "output"}
    further = {"further_filters"}  # they are trainings of their own
    assert {*ModelConfig.model_fields} == of_unet | {*OF_NAMED} | further


@pytest.mark.parametrize(
    ("options", "section", "name", "value"),
    [
        (DATA, DataConfig, "channels", 2),
        (DATA, DataConfig, "image_size", (0, 32)),
        (DATA, DataConfig, "interpolation", "box"),
        (DATA, DataConfig, "exif", "auto"),
        (INPUT, InputConfig, "mean", float("nan")),
        (INPUT, InputConfig, "std", 0.0),
        (INPUT, InputConfig, "std", float("inf")),
    ],
)
def test_what_the_library_refuses_the_configuration_refuses(options, section, name, value) -> None:
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(options, **{name: value})
    with pytest.raises(ValidationError, match=name):
        section(**{name: value})


def test_what_the_library_allows_beyond_the_configuration_is_known() -> None:
    """Stored images of less than 16 pixels a side are of use in tests alone."""
    assert dataclasses.replace(DATA, image_size=(8, 8))
    with pytest.raises(ValidationError, match="image_size"):
        DataConfig(image_size=(8, 8))
