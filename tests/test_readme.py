"""README.md and docs/: short where it has to be, links that lead somewhere, flags and commands that exist."""

import re
import shlex
from pathlib import Path

import pytest

from configs.loading import FLAGS, load_config

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MAX_LINES = 120
OTHER_FLAGS = {"config", "help"}


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub names them in links."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_are_there(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing = []
    for link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    assert missing == []


def test_the_readme_is_short_and_begins_with_a_picture_and_a_result() -> None:
    assert len(README.splitlines()) <= MAX_LINES
    assert README.index("![") < README.index("\n## ")
    interval = re.search(r"interval (0\.\d+ to 0\.\d+)", README)
    assert interval is not None
    assert interval[1] in (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", [README, REFERENCE], ids=["README.md", "reference.md"])
def test_flags_that_are_named_are_there(text: str) -> None:
    named = {flag.replace("-", "_") for flag in re.findall(r"(?<![\w-])--([a-z][\w-]*)", text)}
    assert named - {*FLAGS, *OTHER_FLAGS} == set()


def test_the_reference_has_every_flag() -> None:
    assert [flag for flag in FLAGS if not re.search(rf"--{flag}\b", REFERENCE)] == []


@pytest.mark.parametrize("text", [README, REFERENCE], ids=["README.md", "reference.md"])
def test_commands_are_understood(text: str) -> None:
    commands = re.findall(
        r"^(?: {4}|!)?python run_pipeline\.py ((?:[^\n#]|\\\n)*)", text.replace("\\\n", ""), re.MULTILINE
    )
    commands = [command for command in commands if "[" not in command]
    assert commands
    for command in commands:
        known = re.sub(r"configs/", f"{ROOT}/configs/", command)
        load_config(shlex.split(known.replace(" --help", "")))
