"""The combinations that stand for a full product."""

import itertools

from tests.torch_lowrank.covering import covering, every, pairs_of

CASES = [dict(zip("abcd", values, strict=True)) for values in itertools.product(range(3), range(4), (1, (2, 3)), "xyz")]


def test_every_two_choices_meet_in_few_cases():
    found = list(covering(CASES, lambda case: True))
    assert set().union(*map(pairs_of, found)) == set().union(*map(pairs_of, CASES))
    assert len(pairs_of(CASES[0])) == 6
    assert len(found) < len(CASES) / 2


def test_what_is_not_accepted_stands_for_nothing():
    def accepted(case):
        return case["a"] != case["b"] and case["d"] != "x"

    found, wanted = list(covering(CASES, accepted)), list(every(CASES, accepted))
    assert len(wanted) == 3 * 3 * 2 * 2
    assert all(map(accepted, found))
    assert set().union(*map(pairs_of, found)) == set().union(*map(pairs_of, wanted))
