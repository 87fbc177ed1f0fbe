"""Takes back what was imported from a test's folder, and nothing else.

Libraries that are imported meanwhile stay with the finders that they have installed: without these, Python would not
know any more which distributions there are.
"""

import sys
from pathlib import Path


def forget(folder: Path) -> None:
    """Lets nothing be imported from a folder any more, and forgets the modules that were."""
    sys.meta_path[:] = [each for each in sys.meta_path if not _below(folder, getattr(each, "folder", None))]
    files = {name: getattr(module, "__dict__", {}).get("__file__") for name, module in [*sys.modules.items()]}
    for name in [name for name, file in files.items() if _below(folder, file)]:
        del sys.modules[name]


def _below(folder: Path, place: object) -> bool:
    return isinstance(place, str) and Path(place).is_relative_to(folder)
