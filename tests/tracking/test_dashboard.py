"""The dashboard's server: what it is told, and when it is not started."""

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from zenml.config.global_config import GlobalConfiguration

from tests.conftest import ROOT
from tests.pipelines.processes import free_port
from tracking import dashboard

USER = "69e579cc-82db-4226-a084-251feb74e803"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the client's configuration, which is not there yet."""
    for name in [name for name in os.environ if name.startswith("ZENML_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(tmp_path / "zenml"))
    monkeypatch.setattr(dashboard, "_serve", lambda port: pytest.fail(f"started on {port}"))
    GlobalConfiguration._reset_instance()
    yield tmp_path / "zenml"
    GlobalConfiguration._reset_instance()


@pytest.fixture
def configure(folder: Path) -> Callable[..., Path]:
    """Writes the client's configuration file."""

    def write(**store: str) -> Path:
        folder.mkdir()
        settings = {"user_id": USER, "version": _pinned("requirements.txt", "zenml"), "store": store}
        (folder / "config.yaml").write_text(yaml.safe_dump(settings))
        return folder

    return write


@pytest.fixture
def store(configure: Callable[..., Path], folder: Path) -> Path:
    """A client with a database of its own."""
    database = folder / "local_stores" / "default_zen_store" / "zenml.db"
    configure(type="sql", url=f"sqlite:///{database}")
    database.parent.mkdir(parents=True)
    database.touch()
    return database


def _pinned(file: str, package: str) -> str:
    found = re.search(rf"^{package}==(\S+)$", (ROOT / file).read_text(), re.MULTILINE)
    assert found, f"{file} does not pin {package}"
    return found[1]


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_server_serves_the_clients_store_from_a_folder_of_its_own(store: Path, folder: Path) -> None:
    environment = dashboard.server_environment(Path("elsewhere"))
    assert environment["ZENML_CONFIG_PATH"] == "elsewhere"
    assert environment["ZENML_STORE_URL"] == f"sqlite:///{store}"
    assert environment["ZENML_LOCAL_STORES_PATH"] == str(folder / "local_stores")
    assert environment["ZENML_USER_ID"] == USER
    assert environment["ZENML_ANALYTICS_OPT_IN"] == "false"
    assert environment["PATH"] == os.environ["PATH"]


def test_a_store_elsewhere_is_found_too(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.db"
    other.touch()
    monkeypatch.setenv("ZENML_STORE_URL", f"sqlite:///{other}")
    assert dashboard.find_server() is None
    assert dashboard.server_environment(tmp_path)["ZENML_STORE_URL"] == f"sqlite:///{other}"


def test_looking_changes_nothing_of_the_clients(store: Path, folder: Path) -> None:
    before = _contents(folder)
    assert dashboard.find_server() is None
    dashboard.server_environment(folder)
    assert _contents(folder) == before


def test_without_configuration_the_repair_is_told_and_none_is_made(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dashboard.main([]) == 2
    assert "run the pipeline once first" in capsys.readouterr().err
    assert not folder.exists()


def test_without_database_the_repair_is_told(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store.unlink()
    assert dashboard.main([]) == 2
    assert f"there is no sqlite:///{store}; run the pipeline once first" in capsys.readouterr().err
    assert not store.exists()


def test_a_client_of_a_server_is_told_its_address(
    configure: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    configure(type="rest", url="https://zenml.example.org")
    assert dashboard.main([]) == 0
    assert "https://zenml.example.org" in capsys.readouterr().out


def test_a_port_in_use_is_told(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert dashboard.main(["--port", str(port)]) == 2
    assert f"port {port} is in use" in capsys.readouterr().err


@pytest.mark.parametrize("port", [-1, 80, 65536])
def test_a_port_out_of_range_is_told(port: int, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dashboard.main(["--port", str(port)]) == 2
    assert f"--port is {port}; allowed are 1024 to 65535" in capsys.readouterr().err


def test_what_is_missing_here_is_told(
    folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(folder))
    monkeypatch.setattr(dashboard, "find_spec", lambda name: None)
    assert dashboard.main(["--port", str(free_port())]) == 2
    assert "make dashboard" in capsys.readouterr().err


def test_the_server_is_of_the_clients_version() -> None:
    assert _pinned("requirements-dashboard.txt", "zenml") == _pinned("requirements.txt", "zenml")
