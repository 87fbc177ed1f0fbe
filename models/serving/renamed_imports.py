"""Imports of a source file, changed so that its modules are found within a package."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator, Mapping
from importlib.util import decode_source


def renamed_imports(source: bytes, names: Mapping[str, str]) -> bytes:
    """Returns a file whose absolute imports of some modules, also those within functions, have other names.

    What the statements bind is the same as before. All other lines stay as they are; of an import over several lines
    the comments within go. A file that is no Python of this version imports nothing, and stays as it is.

    Args:
        source: The file's content.
        names: Of modules, their first parts, each with what it becomes: `blocks` with `package.blocks`.
    """
    try:
        text = decode_source(source)
        imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
        imports = [node for node in imports if not {*_tops(node)}.isdisjoint(names)]
    except (SyntaxError, ValueError, RecursionError):  # a ValueError is of null bytes
        return source
    lines = [line.encode() for line in text.split("\n")]  # the parser counts columns in bytes
    for node in sorted(imports, key=lambda each: (each.lineno, each.col_offset), reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        renamed = "; ".join(map(ast.unparse, _renamed(node, names)))
        lines[first : last + 1] = [before + renamed.encode() + after]
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    return b"\n".join(lines).decode().encode(encoding) if imports else source


def _tops(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Returns the first parts of the names of modules that a statement imports, but for relative ones."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [] if node.level else [str(node.module).partition(".")[0]]


def _renamed(node: ast.Import | ast.ImportFrom, names: Mapping[str, str]) -> Iterator[ast.stmt]:
    """Yields the statements that do what one did."""
    if isinstance(node, ast.ImportFrom):
        yield ast.ImportFrom(_new(str(node.module), names), node.names, 0)
        return
    for alias in node.names:
        top = alias.name.partition(".")[0]
        if top not in names or alias.asname is not None:
            yield ast.Import([ast.alias(_new(alias.name, names), alias.asname)])
            continue
        if alias.name != top:  # `import a.b` imports `a.b`, and binds `a`
            yield ast.Import([ast.alias(_new(alias.name, names))])
        yield ast.Import([ast.alias(names[top], top)])


def _new(module: str, names: Mapping[str, str]) -> str:
    top, dot, rest = module.partition(".")
    return f"{names.get(top, top)}{dot}{rest}"
