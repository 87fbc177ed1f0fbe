"""The error of networks that are not ours."""

from __future__ import annotations

import contextlib
import pkgutil
import re
import sys
from collections.abc import Iterator

# What a module of networks is likely to need: the first part of its name, to the name that pip knows the package by.
_PACKAGES = {
    "cv2": "opencv-python-headless",
    "dynamic_network_architectures": "dynamic-network-architectures",
    "einops": "einops",
    "kornia": "kornia",
    "monai": "monai",
    "PIL": "pillow",
    "pytorch_lightning": "pytorch-lightning",
    "scipy": "scipy",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "timm": "timm",
    "torchmetrics": "torchmetrics",
    "torchvision": "torchvision",
    "transformers": "transformers",
    "yaml": "pyyaml",
}


class NetworkError(ValueError):
    """A network cannot be named, allowed, built or used so; the message says why, and what to do."""


@contextlib.contextmanager
def code_of_others(doing: str, repair: str = "") -> Iterator[None]:
    """Turns whatever the code of others raises into a `NetworkError`.

    Args:
        doing: What is done, the start of the message.
        repair: The end of the message.
    """
    try:
        yield
    except NetworkError:
        raise
    except Exception as error:
        raise NetworkError(f"{doing}: {first_words(error)}{missing_package(error) or repair}") from error


def first_words(error: Exception) -> str:
    """Returns kind and first line of an error."""
    line = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def missing_package(error: BaseException | None) -> str:
    """Returns how the module that an error says is missing comes to be there; nothing where none is."""
    if not isinstance(error, ImportError):
        return ""
    # MONAI's have no name: "from einops import rearrange (No module named 'einops')"
    words = r"named [`'\"]([\w.]+)[`'\"]|^(?:from|import) ([\w.]+)"
    named = error.name or next(("".join(found) for found in re.findall(words, str(error))), None)
    if named is None:
        return missing_package(error.__cause__ or error.__context__)
    top = named.partition(".")[0]
    if is_there(top):
        return f"; {top} is installed, in a version that has it not: try another" if top in _PACKAGES else ""
    return f"; {top} is not installed: {how_to_install(top)}"


def how_to_install(top: str) -> str:
    """Returns how the package is installed that a module comes from, by the first part of the module's name."""
    if top in _PACKAGES:
        return f"pip install {_PACKAGES[top]}"
    return f"pip install {top}, if its package is called so, or, if it is a file of yours, put it beside the network's"


def is_there(top: str) -> bool:
    """Whether a module can be found by the first part of its name."""
    known = {*sys.stdlib_module_names, *sys.modules}
    return top in known or any(each.name == top for each in pkgutil.iter_modules())
