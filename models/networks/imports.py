"""Imports a constructor's module: what is installed, else a file, with what lies beside it and it imports by name.

The folder is not put on `sys.path`: there, any file in it could be taken for a package that some library looks for and
that is not installed. From the folder come those modules alone that the file's text names, directly or through others
that it names; what is installed is found before them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from models.networks.errors import NetworkError, code_of_others, how_to_install, is_there
from models.networks.reached_files import reached_files


class _Beside(MetaPathFinder):
    """Finds modules in a folder, those of certain names alone."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.names: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns where a module lies; those within packages are found by their package."""
        return PathFinder.find_spec(fullname, [self.folder], target) if fullname in self.names else None


def module_of_name(name: str, place: str) -> ModuleType:
    """Imports a module by its dotted name: what is installed, and else from the current folder.

    Args:
        name: The module.
        place: The constructor that is wanted of it, for messages.

    Raises:
        NetworkError: There is none, or it cannot be imported.
    """
    doing, top, folder = f"{place} cannot be imported", name.partition(".")[0], Path.cwd()
    with code_of_others(doing):
        names = _names(name, folder)
        _check_own(names, folder, doing)
        if importlib.util.find_spec(top) is None or top in searched().get(str(folder), ()):
            search({str(folder): names})
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # the module is there, and imports another that is not
            if is_there(top):
                raise NetworkError(f"{doing}: {top} has no module {error.name!r}; check the name") from error
            raise NetworkError(
                f"{doing}: there is no module {error.name!r}, neither installed nor in the current folder {folder}: "
                f"{how_to_install(top)}; of a file elsewhere, write folder/file.py:{place.rpartition('.')[2]}"
            ) from error


def module_of_file(file: Path) -> ModuleType:
    """Imports a file by its own name; modules beside it can be imported by theirs, while it is and later.

    Raises:
        NetworkError: There is no such file, its name, or that of a module beside it, belongs to another module, or it
            cannot be imported.
    """
    check_file(file)
    with code_of_others(f"{file} cannot be imported"):
        names = _names(file.stem, file.parent)
        _check_own(names, file.parent, f"{file} cannot be imported")
        search({str(file.parent): names})
        module = importlib.import_module(file.stem)
    found = getattr(module, "__file__", None)
    if found is None or Path(found).resolve() != file.resolve():
        raise NetworkError(
            f"{file} cannot be imported: the name {file.stem!r} belongs to {found or 'Python itself'}; rename the file"
        )
    return module


def check_place(place: str) -> None:
    """Checks the file of a constructor that lies in one; whether a module is installed is seen when it is imported.

    Raises:
        NetworkError: The file is not there, or cannot be imported.
    """
    file, colon, _ = place.rpartition(":")
    if colon:
        check_file(Path(file).absolute())


def check_file(file: Path) -> None:
    """Checks that a file is there and can be imported by its name.

    Raises:
        NetworkError: It is not, or cannot.
    """
    if file.suffix != ".py" or not file.is_file():
        raise NetworkError(f"{file} is no Python file that is there; give --network with the file's present place")
    if not file.stem.isidentifier():
        raise NetworkError(
            f"{file} cannot be imported, as {file.stem!r} is no name in Python; rename it, with letters, digits and _"
        )


def search(names: Mapping[str, set[str]]) -> None:
    """Lets modules be imported from folders, after everything that is installed.

    Args:
        names: Of modules, by their folder.
    """
    for folder, wanted in names.items():
        finder = next((each for each in _finders() if each.folder == folder), None)
        if finder is None:
            finder = _Beside(folder)
            sys.meta_path.append(finder)
        finder.names |= wanted


def searched() -> dict[str, set[str]]:
    """Returns what `search` was given, so that another process can be given it, too."""
    return {finder.folder: finder.names for finder in _finders()}


def _check_own(names: Iterable[str], folder: Path, doing: str) -> None:
    """Checks that no module of these names was imported from another network's folder, as it would be taken here too.

    Args:
        names: Modules of the folder, the first parts of their names.
        folder: Where they lie.
        doing: The start of the message.

    Raises:
        NetworkError: One was.
    """
    others = {Path(each).resolve(): wanted for each, wanted in searched().items()}
    for name in sorted(names):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None or PathFinder.find_spec(name) is not None:
            continue  # not imported yet, or found before any folder of a network is
        home = Path(file).resolve().parents[Path(file).name == "__init__.py"]
        if home != folder.resolve() and name in others.get(home, ()):
            raise NetworkError(
                f"{doing}: it would be given {file}, as a Python process has one module of the name {name!r}, and has "
                "imported that one for another network; use this network in another process"
            )


def _finders() -> list[_Beside]:
    return [finder for finder in sys.meta_path if isinstance(finder, _Beside)]


def _names(module: str, folder: Path) -> set[str]:
    """Returns the first parts of the names of a module and of what it imports from a folder."""
    files, _ = reached_files([(module, folder)])
    return {name.partition(".")[0] for name in files}
