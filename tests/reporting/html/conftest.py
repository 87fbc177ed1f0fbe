"""A report as a page that can be asked for its tags and its text."""

from html.parser import HTMLParser

import pytest

from analysis.comparison import Comparison
from reporting.html.about import About
from reporting.html.report import render_report

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Collects tags and text, and checks that every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def page():
    def write(results, history=None, manifest=None, config=None, pictures=None, provenance=None, trainings=()) -> Page:
        about = About(history or {}, manifest or {}, config or {}, provenance or {}, trainings=trainings)
        return Page(render_report(Comparison(results), about, pictures or {}).decode())

    return write
