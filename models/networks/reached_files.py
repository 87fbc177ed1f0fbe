"""The files that modules import from the folder that their names count from, read from their text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from models.networks.imported_names import imported_names


def reached_files(modules: Iterable[tuple[str, Path]]) -> tuple[dict[str, Path], set[str]]:
    """Returns the files of modules and of those beside them that they import; nothing is executed.

    Args:
        modules: Names, each with the folder that it counts from.

    Returns:
        The files by the modules' names, and the first parts of all other names that are imported.
    """
    waiting = list(modules)
    files: dict[str, Path] = {}
    others: set[str] = set()
    while waiting:
        name, root = waiting.pop()
        file = _file(root, name)
        if file is None:
            others.add(name.partition(".")[0])
        elif name not in files:
            files[name] = file
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            waiting += [(each, root) for each in imported_names(file.read_bytes(), package)]
            waiting += [(name.rpartition(".")[0], root)] if "." in name else []
    return files, others


def _file(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)
