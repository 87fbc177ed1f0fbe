"""Scripts and styles, all inside of the page. Its policy names each script by its digest, and no other one runs."""

from __future__ import annotations

import base64
import dataclasses
import functools
import gzip
import hashlib
from pathlib import Path

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from reporting.html.payload import as_json

_ASSETS = Path(__file__).parent / "assets"
STYLES = ("theme.css", "page.css", "browser.css", "print.css")
FIRST = "first.js"  # before anything is shown
SCRIPTS = (  # in this order; they share their names
    "format.js",
    "state.js",
    "theme.js",
    "unpack.js",
    "masks.js",
    "charts.js",
    "browser.js",
    "stage.js",
    "table.js",
    "start.js",
)


@dataclasses.dataclass(frozen=True)
class Library:
    """Plotly's JavaScript, as its Python package brings it.

    Attributes:
        packed: The code, compressed by gzip, as base64.
        digest: SHA-256 of the code, as a policy names it.
    """

    packed: str
    digest: str


def style() -> Markup:
    """Returns the page's style."""
    return Markup("\n").join(_own(name) for name in STYLES)


def script(name: str) -> Markup:
    """Returns one of the page's scripts."""
    return _own(name)


def policy(library: Library | None) -> str:
    """Returns the policy of the page: nothing is loaded, and no script runs but its own.

    Args:
        library: The library of charts, None where the page has none.
    """
    digests = [digest_of(_own(name)) for name in (FIRST, *SCRIPTS)]
    digests += [] if library is None else [library.digest]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {allowed}"


@functools.cache
def charts_library() -> Library:
    """Returns Plotly's JavaScript."""
    code = get_plotlyjs()
    return Library(packed(code), digest_of(code))


def packed(text: str) -> str:
    """Returns text compressed by gzip, as base64; the same for the same text."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")


def packed_json(data: object) -> str:
    """Returns JSON compressed by gzip, as base64."""
    return packed(str(as_json(data)))


def digest_of(text: str) -> str:
    """Returns SHA-256 of a script, as a policy names it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _own(name: str) -> Markup:
    """Returns a file of this project to be printed as it is: nothing of it comes from the data."""
    return Markup((_ASSETS / name).read_text(encoding="utf-8"))  # noqa: S704 - see above
