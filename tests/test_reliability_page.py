"""docs/reliability.md names tests that exist, and counts its cases."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROW = re.compile(r"\| (\d+) \| (.+) \| (.+) \| `(.+)::(\w+)` \|")
ROWS = [ROW.fullmatch(line) for line in (ROOT / "docs" / "reliability.md").read_text().splitlines()]
CASES = [row.groups() for row in ROWS if row]


def test_at_least_eighty_cases_are_counted() -> None:
    assert [int(number) for number, *_ in CASES] == list(range(1, len(CASES) + 1))
    assert len(CASES) >= 80
    assert len({case + what for _, case, what, _, _ in CASES}) == len(CASES)


def test_every_case_names_a_test_that_exists() -> None:
    missing = []
    for _, case, _, file, test in CASES:
        path = ROOT / "tests" / file
        names = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
        if test not in names:
            missing.append(f"{case}: {file}::{test}")
    assert missing == []
