"""Other rank rules in a run: made, solved for budgets, compared, recorded, and known again."""

import pytest

from tests.pipelines.workshop import Workshop

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

SWEEP = ("--svd_ranks", "", "--arsvd_taus", "", "--energies", "0.7")
# What runs where there is one variant more, beside its own steps.
OF_ALL = {"fingerprint_dataset", "time_networks", "draw_pictures", "compare"}


def test_other_rules_are_variants_like_all_others(workshop: Workshop) -> None:
    workshop.run(*SWEEP, "--budgets", "0.4")
    done = workshop.run(*SWEEP, "--budgets", "0.4", "--rank_rules", "evbmf")
    names = {"evbmf", "evbmf_budget_0.4"}
    assert done.ran == {f"{stage}_{name}" for stage in ("compress", "evaluate") for name in names} | OF_ALL
    solved = {f"{method}_budget_0.4" for method in ("svd", "arsvd", "energy", "evbmf")}
    workshop.assert_complete({"baseline", "energy_0.7", "evbmf", "budget_0.4", *solved})
    variants = workshop.variants()
    full = variants["baseline"]["info"]["params"]
    assert {name for name in solved if 0.38 * full < variants[name]["info"]["params"] <= 0.4 * full} == solved
    assert variants["evbmf_budget_0.4"]["scale"] > 0
    assert (variants["energy_0.7"]["energy"], variants["evbmf"]["method"]) == (0.7, "evbmf")
    assert "budget - evbmf" in done.stdout
    assert "EVBMF" in (workshop.out / "report.html").read_text()
