"""Which test files can notice a change of a module: those that reach it through imports, the nearest first."""

import ast
import functools
from importlib.util import resolve_name
from itertools import accumulate
from pathlib import Path


def nearest(root: Path, file: str) -> list[str]:
    """Returns the test files of the room that a source file lies in."""
    room = Path("tests", *Path(file).parent.parts)
    return sorted(_names(root, (root / room).glob("test_*.py")))


def reaching(root: Path, file: str) -> list[str]:
    """Returns all test files that import the module, or import what imports it."""
    module = ".".join(Path(file).with_suffix("").parts).removesuffix(".__init__")
    files = [path for path in (root / "tests").rglob("test_*.py") if "torture" not in path.parts]
    return sorted(_names(root, (path for path in files if module in _reached(root, _module(root, path)))))


def _names(root: Path, files) -> list[str]:
    return [file.relative_to(root).as_posix() for file in files]


def _module(root: Path, file: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts)


def _reached(root: Path, module: str) -> set[str]:
    found, waiting = {module}, [module]
    while waiting:
        for name in _imports(root, waiting.pop()) - found:
            found.add(name)
            waiting.append(name)
    return found


@functools.cache
def _imports(root: Path, module: str) -> frozenset[str]:
    """The project's modules that one imports, wherever in it; who imports a package gets what that hands on lazily."""
    file = _file(root, module)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    names = {*accumulate(module.split("."), "{}.{}".format)}
    for part in file.parent.glob("conftest.py") if module.startswith("tests.") else ():
        names.add(_module(root, part))
    tree = ast.parse(file.read_bytes())
    for_checkers = [
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    tree.body = [node for node in tree.body if node not in for_checkers]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {name for alias in node.names for name in (alias.name, *_handed_on(root, alias.name))}
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            names |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
    every = {each for name in names for each in accumulate(name.split("."), "{}.{}".format) if name.isprintable()}
    return frozenset(each for each in every if _is_module(root, each))


@functools.cache
def _handed_on(root: Path, package: str) -> frozenset[str]:
    """The modules that a package names as texts, to import them when they are asked for; of other modules none."""
    if not _is_module(root, package) or _file(root, package).name != "__init__.py":
        return frozenset()
    texts = (
        node.value for node in ast.walk(ast.parse(_file(root, package).read_bytes())) if isinstance(node, ast.Constant)
    )
    return frozenset(f"{package}.{text}" for text in texts if isinstance(text, str) and text.isprintable())


def _is_module(root: Path, name: str) -> bool:
    return all(part.isidentifier() for part in name.split(".")) and _file(root, name).is_file()


def _file(root: Path, module: str) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
