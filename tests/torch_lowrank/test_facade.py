"""What `import torch_lowrank as lr` has, and what it loads."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import torch_lowrank as lr

ROOT = Path(__file__).resolve().parents[2]
SUBMODULES = [module.name for module in pkgutil.walk_packages(lr.__path__, "torch_lowrank.")]
# Names of the contract that exist today.
CONTRACT = """BudgetError EVBMF EffectiveRank Energy Entropy FixedRank HardThreshold JointBudget MacBudget
ParameterBudget RankRatio StableRank StorageError collect_statistics compress decompose for_inference load_network
recalibrate save_network"""


def test_every_public_name_is_there():
    assert {*CONTRACT.split()} <= {*lr.__all__} <= {*dir(lr)}
    for name in lr.__all__:
        assert getattr(lr, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'torch_lowrank' has no attribute 'compres'"):
        lr.compres  # noqa: B018


def test_type_checkers_see_what_is_imported():
    tree = ast.parse((ROOT / "torch_lowrank" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: str(each.module).removeprefix("torch_lowrank.") for each in block.body for alias in each.names}
    assert seen == lr._HOME
    assert sorted(lr.__all__) == sorted(seen)


def test_no_public_name_is_that_of_a_submodule():
    """Importing a submodule puts it into its package, in the place of a function of the same name."""
    assert len(SUBMODULES) > 20
    assert not {*lr.__all__} & {name.split(".")[1] for name in SUBMODULES}


ORDERS = """
import sys
import torch_lowrank as lr
assert "torch" not in sys.modules and not [name for name in sys.modules if name.startswith("torch_lowrank.")]
submodules = {submodules!r}
def names():
    return {{name: id(getattr(lr, name)) for name in lr.__all__}}
def load():
    for module in submodules:
        __import__(module)
first, second = (names, load) if {names_first} else (load, names)
first(), second()
assert all(getattr(lr, name).__name__ == name for name in lr.__all__)
"""


@pytest.mark.parametrize("names_first", [True, False])
def test_names_hold_in_any_order_of_imports_and_nothing_is_loaded_before(names_first):
    code = ORDERS.format(submodules=SUBMODULES, names_first=names_first)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
