"""What `--help` says: all flags, in groups, with the defaults that hold, in at most 100 columns."""

import re
import shlex

import pytest

from configs.loading import FLAGS, ConfigError, load_config
from configs.parser import GROUPS, WIDEST, group_of, make_parser


def shown(monkeypatch: pytest.MonkeyPatch, columns: int = 200) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    return make_parser(FLAGS).format_help()


def flag_lines(text: str) -> dict[str, str]:
    """Each flag to its help, on one line."""
    found = re.findall(r"^  --(\w+)(.*(?:\n {20,}.*)*)", text, re.MULTILINE)
    return {name: " ".join(said.split()) for name, said in found}


@pytest.mark.parametrize("columns", [100, 300])
def test_help_is_never_wider_than_100_columns(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    assert max(map(len, shown(monkeypatch, columns).splitlines())) <= WIDEST == 100


def test_flags_fit_into_a_narrow_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = shown(monkeypatch, 80).partition("\ndata:")[2].partition("\nexamples:")[0]
    assert max(map(len, flags.splitlines())) <= 80


def test_every_flag_is_shown_once_in_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch)
    for title in GROUPS:
        within = re.search(rf"^{re.escape(title)}:\n((?:  .*\n)+)", text, re.MULTILINE)
        assert within is not None, title
        wanted = [name for name, (place, _) in FLAGS.items() if group_of(place) == title]
        assert list(flag_lines(within[1])) == wanted, title
    assert set(flag_lines(text)) == {*FLAGS, "config"}
    assert "--out-dir" not in text, "one spelling is enough"


def test_defaults_are_those_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    said = flag_lines(shown(monkeypatch))
    for name, default in {
        "image_size": "256 256",
        "epochs": "10",
        "lr": "0.0001",
        "svd_ranks": "32",
        "base_filters": "64",
        "out_dir": "artifacts",
        "seed": "42",
    }.items():
        assert said[name].endswith(f"(default: {default})"), said[name]
    off = [name for name, text in said.items() if "(default: )" in text or "None" in text or "False" in text]
    assert off == []


def test_the_examples_are_command_lines_that_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = re.findall(r"^  python run_pipeline\.py (.*)$", shown(monkeypatch), re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        load_config(shlex.split(line))


def test_a_flag_of_no_group_is_told() -> None:
    with pytest.raises(LookupError, match=r"no group of --help takes new\.field"):
        group_of("new.field")


def test_a_percent_sign_in_a_help_is_text() -> None:
    parser = make_parser({"epochs": ("training.epochs", {"help": "100 % of them"})})
    assert "100 % of them (default: 10)" in parser.format_help()


def test_other_spellings_are_understood_and_beginnings_are_not() -> None:
    assert load_config(["--out-dir", "x"]).out_dir.name == "x"
    with pytest.raises(ConfigError, match=r"did you mean --epochs\?"):
        load_config(["--epoch", "3"])


def test_a_share_is_shown_with_one_sign() -> None:
    assert "%%" not in make_parser(FLAGS).format_help()
