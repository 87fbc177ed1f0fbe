"""The names of rank rules that estimate by themselves, as a run asks for them."""

from __future__ import annotations

import difflib
from typing import Annotated

from pydantic import BeforeValidator

from models.variant_spec import ESTIMATES, Estimate


def _known(name: object) -> object:
    """Says of a rule that is unknown which one was meant, and of rules that take a share how they are asked for."""
    if name in ESTIMATES:
        return name
    near = difflib.get_close_matches(str(name).lower().replace("-", "_"), ESTIMATES, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise ValueError(
        f"there is no such rule{meant}; known are {', '.join(ESTIMATES)}, and by --energies and --rank_ratios the "
        "rules that keep a share"
    )


RuleName = Annotated[Estimate, BeforeValidator(_known)]
