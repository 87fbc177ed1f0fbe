"""Progress bars are for terminals, and need rich."""

import sys

from torch_lowrank.progress import tracked


def test_a_terminal_gets_a_bar(monkeypatch, capfd):
    assert list(tracked(range(3), "work")) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(tracked(iter("ab"), "work", 2)) == ["a", "b"]
    assert "work" in capfd.readouterr().err


def test_without_rich_there_is_no_bar_and_no_error(monkeypatch, capfd):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for name in ("rich", "rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    assert list(tracked(range(3), "work")) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")
