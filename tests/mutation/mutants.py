"""What can be changed in a source file: one operator, constant, or name of `min` and `max` each time."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

OTHER = {
    **{"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="},
    **{"is": "is not", "is not": "is", "in": "not in", "not in": "in"},
    **{"+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "*", "**": "*", "@": "*", "&": "|", "|": "&"},
    **{"and": "or", "or": "and", "min": "max", "max": "min"},
}
OPERATOR = re.compile(rb"is\s+not|not\s+in|is|in|and|or|\*\*|//|[<>=!]=|[-+*/%@&|<>]")


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes:
        file: Path below the repository.
        line: Line number, from 1.
        start: First byte that is replaced.
        end: First byte after it.
        old: What stands there.
        new: What stands there instead.
    """

    file: str
    line: int
    start: int
    end: int
    old: str
    new: str

    def applied(self, source: bytes) -> bytes:
        """Returns the changed file."""
        return source[: self.start] + self.new.encode() + source[self.end :]


def mutants_of(root: Path, file: str) -> list[Mutant]:
    """Returns all changes of a file, in the order of its lines."""
    source = (root / file).read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node in _nodes(ast.parse(source)):
        for start, end, new in _changes(node, source, starts):
            line = source.count(b"\n", 0, start) + 1
            found.append(Mutant(file, line, start, end, source[start:end].decode(), new))
    return sorted(found, key=lambda mutant: (mutant.start, mutant.new))


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yields what is executed for its result: no annotations, and nothing in an f-string's format."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "format_spec", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _nodes(child)


def _changes(node: ast.AST, source: bytes, starts: list[int]) -> Iterator[tuple[int, int, str]]:
    def begin(child: ast.expr) -> int:
        return starts[child.lineno - 1] + child.col_offset

    def end(child: ast.expr) -> int:
        return starts[(child.end_lineno or 0) - 1] + (child.end_col_offset or 0)

    def between(left: ast.expr, right: ast.expr) -> Iterator[tuple[int, int, str]]:
        """The operator: what else stands there is brackets, spaces and comments."""
        gap = re.sub(rb"#[^\n]*", lambda comment: b" " * len(comment[0]), source[end(left) : begin(right)])
        if operator := OPERATOR.search(gap):
            new = OTHER[" ".join(operator[0].decode().split())]
            yield end(left) + operator.start(), end(left) + operator.end(), new

    match node:
        case ast.BinOp():
            yield from between(node.left, node.right)
        case ast.Compare():
            for left, right in zip([node.left, *node.comparators], node.comparators, strict=False):
                yield from between(left, right)
        case ast.BoolOp():
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from between(left, right)
        case ast.UnaryOp(op=ast.Not()):
            yield begin(node), begin(node.operand), ""
        case ast.UnaryOp(op=ast.USub()):
            yield begin(node), begin(node) + 1, ""
        case ast.Constant():
            for new in _others(node.value):
                yield begin(node), end(node), new
        case ast.Name(id="min" | "max"):
            yield begin(node), end(node), OTHER[node.id]
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield begin(value), end(value), "None"


def _others(value: object) -> list[str]:
    """The constants that stand for one."""
    match value:
        case bool():
            return [str(not value)]
        case int():
            return [str(value + 1), str(value - 1)] if value > 0 else [str(value + 1)]
        case float():
            return [repr(value * 2 or 1.0)]
    return []
