"""Servers that are not there are named in seconds."""

import http.server
import socket
import sqlite3
import threading
import time

import pytest

from tracking import connectivity as services
from tracking.addresses import without_password
from tracking.connectivity import check_mlflow, check_zenml
from tracking.database_setup import zenml_database
from tracking.errors import ServiceError


@pytest.fixture
def silent_port():
    """A server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def forbidding_port():
    """A server that answers every question with 403."""

    class Forbid(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(403)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Forbid)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path):
    port = free_port()
    with pytest.raises(ServiceError, match=f"MLflow's server at http://127.0.0.1:{port} does not answer") as caught:
        check_mlflow(f"http://me:secret@127.0.0.1:{port}", tmp_path / "lock")
    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer_is_given_up_soon(silent_port, monkeypatch, tmp_path):
    monkeypatch.setattr(services, "_SECONDS", 0.3)
    start = time.monotonic()
    with pytest.raises(ServiceError, match="does not answer"):
        check_mlflow(f"http://127.0.0.1:{silent_port}", tmp_path / "lock")
    assert time.monotonic() - start < 5


def test_zenmls_server_is_asked_before_zenml_is_imported(silent_port, forbidding_port, monkeypatch):
    monkeypatch.setattr(services, "_SECONDS", 0.3)
    monkeypatch.setenv("ZENML_STORE_URL", f"http://127.0.0.1:{forbidding_port}")
    check_zenml()  # it is there; what it allows is another question
    monkeypatch.setenv("ZENML_STORE_URL", f"http://127.0.0.1:{silent_port}")
    with pytest.raises(ServiceError, match="ZenML's server"):
        check_zenml()


@pytest.mark.parametrize("content", [None, "", "store:", "store: {url: 3}", "a: [", "store: {url: 'sqlite:///x'}"])
def test_any_other_configuration_of_zenml_is_left_to_zenml(content, monkeypatch, tmp_path):
    monkeypatch.delenv("ZENML_STORE_URL", raising=False)
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(tmp_path))
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    check_zenml()


def test_the_server_of_zenmls_configuration_is_asked(monkeypatch, tmp_path):
    monkeypatch.delenv("ZENML_STORE_URL", raising=False)
    monkeypatch.setenv("ZENML_CONFIG_PATH", str(tmp_path))
    (tmp_path / "config.yaml").write_text(f"store: {{url: 'http://127.0.0.1:{free_port()}', type: rest}}")
    with pytest.raises(ServiceError, match="ZenML's server"):
        check_zenml()


def test_a_missing_database_is_made_whole(tmp_path):
    check_mlflow(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "lock")
    assert {file.name for file in tmp_path.iterdir()} - {"lock", "mlruns"} == {"mlflow.db"}
    check_mlflow(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "lock")


def test_what_a_killed_process_left_of_a_database_does_not_matter(tmp_path):
    (tmp_path / ".mlflow.db.partial").write_bytes(b"half of a database")
    check_mlflow(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "lock")
    assert not (tmp_path / ".mlflow.db.partial").exists()


@pytest.mark.parametrize("uri", ["sqlite:///{folder}/text.db", "file://{folder}/mlruns"])
def test_what_mlflow_cannot_record_in_is_named(uri, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    (tmp_path / "text.db").write_text("no database, and long enough to be looked at as one" * 100)
    with pytest.raises(ServiceError, match="MLflow cannot record at") as caught:
        check_mlflow(uri.format(folder=tmp_path), tmp_path / "lock")
    assert "\n" not in str(caught.value)


def zenmls_database(folder, statements=()):
    database = folder / "local_stores" / "default_zen_store" / "zenml.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(database) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return database


WHOLE = ("CREATE TABLE alembic_version (version_num TEXT)", "INSERT INTO alembic_version VALUES ('0.98.0')")


def test_zenmls_database_that_a_killed_process_left_half_made_is_made_again(tmp_path):
    with pytest.raises(SystemExit), zenml_database(tmp_path):
        database = zenmls_database(tmp_path, ["CREATE TABLE stack (id TEXT)"])
        raise SystemExit
    with zenml_database(tmp_path):
        assert not database.exists()
        zenmls_database(tmp_path, WHOLE)
    with zenml_database(tmp_path):
        assert database.exists()


def test_zenmls_database_is_kept_if_it_is_whole_or_somebody_elses(tmp_path):
    whole, foreign = tmp_path / "whole", tmp_path / "foreign"
    with pytest.raises(SystemExit), zenml_database(_made(whole)):
        database = zenmls_database(whole, WHOLE)
        raise SystemExit
    with zenml_database(whole):
        assert database.exists()
    database = zenmls_database(foreign, ["CREATE TABLE stack (id TEXT)"])
    with zenml_database(foreign):
        assert database.exists(), "not made by us: an old version's, perhaps"


def _made(folder):
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://me:secret@host:5000/x", "http://host:5000/x"),
        ("sqlite:////data/a@b/mlflow.db", "sqlite:////data/a@b/mlflow.db"),
        ("postgresql://me:p%40ss@host/db", "postgresql://host/db"),
    ],
)
def test_passwords_are_not_shown(uri, shown):
    assert without_password(uri) == shown
