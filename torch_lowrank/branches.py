"""Whether a trace of a network (torch.fx) shows all that the network does: no code that ran decides by its inputs."""

from __future__ import annotations

import ast
import gc
import inspect
import sys
import textwrap
from collections.abc import Iterator
from types import CodeType, FrameType

from torch import nn

# Packages whose code is not the network's; of ours, the trace itself.
_LIBRARIES = {*sys.stdlib_module_names, "torch", "torch_lowrank"}
_ASKING = {"isinstance", "issubclass", "type", "hasattr", "getattr", "callable"}  # functions that know placeholders
_FIXED = {"self", "torch", *_ASKING}  # names that do not stand for what is computed


class Ran:
    """Records the functions of networks that run, while no garbage is collected: that calls what is none of theirs.

    Attributes:
        codes: What ran outside of torch and the standard library; comprehensions are part of the function around them.
    """

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()

    def __enter__(self) -> None:
        self._before, self._collects = sys.getprofile(), gc.isenabled()
        gc.disable()
        sys.setprofile(self._see)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)
        if self._collects:
            gc.enable()

    def _see(self, frame: FrameType, event: str, _: object) -> None:
        module, code = str(frame.f_globals.get("__name__")), frame.f_code
        part = code.co_name.startswith("<") and code.co_name != "<lambda>"
        tuples = module.startswith("namedtuple_")  # what the standard library generates for them
        if event == "call" and not part and not tuples and module.partition(".")[0] not in _LIBRARIES:
            self.codes.add(code)


def always_takes_the_same(network: nn.Module) -> bool:
    """Returns whether a network always takes the same arguments: a trace gives it all of them."""
    parameters = inspect.signature(network.forward).parameters.values()
    several = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return all(each.default is each.empty and each.kind not in several for each in parameters)


def decides(code: CodeType) -> bool:
    """Returns whether a function may do something else for other values or types, or has no source to tell.

    What it asks of the attributes of `self` is the same in every call, unless it sets them.
    """
    try:
        nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(code)))))
    except (OSError, SyntaxError):
        return True
    if any(
        isinstance(node, ast.Try) or (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
        for node in nodes
    ):
        return True
    asked = (part for node in nodes for test in _tests(node) for part in ast.walk(test))
    return any(isinstance(part, ast.Name) and part.id not in _FIXED for part in asked)


def _tests(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the expressions by which a node decides: placeholders answer them otherwise than tensors do."""
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield node.test
    elif isinstance(node, ast.BoolOp) or (
        isinstance(node, ast.Compare)
        and any(isinstance(each, (ast.Is, ast.IsNot, ast.In, ast.NotIn)) for each in node.ops)
    ):
        yield node
    elif isinstance(node, ast.comprehension):
        yield from node.ifs
    elif isinstance(node, ast.Match):
        yield node.subject
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _ASKING:
        yield from node.args
