"""Mutants are single changes of what is executed, and every one parses."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.mutation.mutants import mutants_of
from tests.mutation.reach import nearest, reaching

SOURCE = '''"""At most 3 - 1."""
def f(a: int | None, *rest, b=2) -> bool | None:
    """Not 1 + 1."""
    x = min(a, (b) + 1.5)  # 1 - 1
    if not x and a is not None:
        return x <= 7
    return f"{x:.3f}"
'''
CHANGES = [
    ("2", "3"),
    ("2", "1"),
    ("min", "max"),
    ("+", "-"),
    ("1.5", "3.0"),
    ("not ", ""),
    ("and", "or"),
    ("is not", "is"),
    ("x <= 7", "None"),
    ("<=", "<"),
    ("7", "8"),
    ("7", "6"),
    ('f"{x:.3f}"', "None"),
]


def test_what_is_executed_is_changed_and_annotations_and_texts_are_not(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(SOURCE)
    found = mutants_of(tmp_path, "code.py")
    assert sorted((mutant.old, mutant.new) for mutant in found) == sorted(CHANGES)
    for mutant in found:
        changed = mutant.applied(SOURCE.encode())
        ast.parse(changed)
        pairs = zip(SOURCE.splitlines(), changed.decode().splitlines(), strict=True)
        different = [number for number, (before, after) in enumerate(pairs, 1) if before != after]
        assert different == [mutant.line]


@pytest.mark.parametrize("file", ["torch_lowrank/ranks/budgets.py", "analysis/intervals.py"])
def test_the_tests_of_the_same_room_come_first_and_all_that_import_the_file_follow(file: str) -> None:
    near, reach = nearest(ROOT, file), reaching(ROOT, file)
    assert near
    assert {Path(test).parent for test in near} == {Path("tests", file).parent}
    assert "tests/steps/test_compression_steps.py" in reach or "tests/reporting/test_console.py" in reach
    assert "tests/dataset/annotations/test_outlines.py" not in reach
