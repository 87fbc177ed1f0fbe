"""What is said of modules that are missing."""

import pytest

from models.networks.errors import NetworkError, code_of_others, missing_package


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError(name="segmentation_models_pytorch"), "pip install segmentation-models-pytorch$"),
        (ModuleNotFoundError(name="no_such.part"), r"no_such is not installed: pip install no_such, if its package is"),
        (ImportError("from no_such.part import it (No module named 'no_such')."), "pip install no_such, if"),
        (ImportError("cannot import name 'It' from 'monai'", name="monai.nets"), "monai is installed, in a version"),
    ],
)
def test_how_a_missing_module_is_installed_is_said(error: ImportError, said: str) -> None:
    with pytest.raises(NetworkError, match=said), code_of_others("the file cannot be imported", "; not this"):
        raise error


@pytest.mark.parametrize(
    "error", [ImportError("attempted relative import"), ImportError(name="json.no"), ValueError("named 'no_such'")]
)
def test_of_other_errors_no_package_is_named(error: Exception) -> None:
    assert missing_package(error) == ""


def test_an_error_without_a_name_is_told_by_the_one_it_was_raised_of() -> None:
    error = ImportError("cannot be loaded")
    error.__cause__ = ModuleNotFoundError(name="no_such_library")
    assert "no_such_library is not installed" in missing_package(error)
