"""What a file of Python imports, read from its text: nothing is executed."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from importlib.util import resolve_name
from itertools import accumulate


@functools.cache  # the files of this project are looked at for cache keys, and again for what travels with models
def imported_names(source: bytes, package: str) -> tuple[str, ...]:
    """Returns the names that a file imports, also inside functions, and of all packages on the way to them.

    Of `from a.b import c`, which may be a module or not, these are `a`, `a.b` and `a.b.c`. Imports for type checkers
    alone are left out: they are never executed. A file that is no Python of this version imports nothing.

    Args:
        source: The file's content.
        package: The package that it lies in, for relative imports.
    """
    names: list[str] = []
    for node in _executed(_parsed(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            try:
                origin = resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:  # relative, of a file that lies in no package: it fails there, too
                continue
            names += [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
    # `models` runs before `models.unet`
    return tuple({each: None for name in names for each in accumulate(name.split("."), "{}.{}".format)})


def _parsed(source: bytes) -> ast.AST:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):  # a ValueError is of null bytes
        return ast.Module([], [])


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yields all nodes below one but those under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield other
                yield from _executed(other)
        else:
            yield child
            yield from _executed(child)
