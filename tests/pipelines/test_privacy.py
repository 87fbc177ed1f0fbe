"""Results say nothing of the machine they were made on, and a run asks nothing of the network."""

import textwrap
from pathlib import Path

import pytest

from tests.pipelines.workshop import Workshop

pytestmark = pytest.mark.pipeline

# Python runs this before anything else: it notes who is called, and lets nobody but this machine be.
GUARD = """
    import os, socket
    def guarded(name):
        original = getattr(socket.socket, name)
        def call(self, address, *rest):
            host = address[0] if isinstance(address, tuple) else None
            if host is not None and host not in ("127.0.0.1", "::1", "localhost"):
                with open(os.environ["CALLS"], "a") as file:
                    file.write(f"{address}\\n")
                raise OSError("the network is not there")
            return original(self, address, *rest)
        setattr(socket.socket, name, call)
    for name in ("connect", "connect_ex"):
        guarded(name)
    original = socket.getaddrinfo
    def getaddrinfo(host, *rest, **more):
        if host not in (None, "127.0.0.1", "::1", "localhost"):
            with open(os.environ["CALLS"], "a") as file:
                file.write(f"{host}\\n")
            raise socket.gaierror("the network is not there")
        return original(host, *rest, **more)
    socket.getaddrinfo = getaddrinfo
"""
USER = "somebody-with-a-name"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A project that has run where every call of the network is noted, as a user whose name can be searched for."""
    workshop = Workshop(tmp_path_factory.mktemp("private"))
    guard = workshop.root.parent / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(textwrap.dedent(GUARD))
    (guard / "calls").touch()
    names = dict.fromkeys(("USER", "LOGNAME", "USERNAME"), USER)
    workshop.environment |= {"PYTHONPATH": str(guard), "CALLS": str(guard / "calls"), **names}
    sweep = ("--svd_ranks", "1", "--arsvd_taus", "", "--budgets", "0.5")
    workshop.run(*sweep, "--register", "tumor", "--register_variant", "svd_rank_1")
    return workshop


def test_a_run_calls_nobody(watched: Workshop) -> None:
    assert (watched.root.parent / "guard" / "calls").read_text() == ""


def test_the_guard_notes_calls(watched: Workshop) -> None:
    calls = watched.root.parent / "guard" / "calls"
    code = "import urllib.request; urllib.request.urlopen('http://example.com')"
    assert watched.call("python", "-c", code).status != 0
    assert "example.com" in calls.read_text()
    calls.write_text("")


def results(workshop: Workshop) -> list[Path]:
    stores = Path(workshop.environment["ZENML_CONFIG_PATH"], "local_stores")
    artifacts = [file for store in stores.iterdir() if store.name != "default_zen_store" for file in store.rglob("*")]
    return [
        file
        for file in [*workshop.out.rglob("*"), *(workshop.root / "mlruns").rglob("*"), *artifacts]
        if file.is_file() and "logs" not in file.parts and file.suffix != ".npy"
    ]


def test_results_name_no_user_and_no_folder_of_this_machine(watched: Workshop) -> None:
    files = results(watched)
    assert {"report.html", "experiment_summary.json", "network.json", "record.json"} <= {file.name for file in files}
    secrets = [USER.encode(), str(watched.root.parent).encode()]
    found = [file for file in files if any(secret in file.read_bytes() for secret in secrets)]
    assert not found


def test_mlflow_shows_no_user_and_no_folder_of_this_machine(watched: Workshop) -> None:
    """But for where its own files lie, and the data set that was read."""
    for table in ("params", "tags", "metrics", "experiment_tags", "logged_model_params", "logged_model_tags"):
        rows = watched.query(f"SELECT * FROM {table}")
        assert rows
        assert not [row for row in rows if USER in str(row) or str(watched.root.parent) in str(row)]


def test_the_report_still_says_how_it_was_made(watched: Workshop) -> None:
    report = (watched.out / "report.html").read_text()
    assert "python run_pipeline.py --config tiny.yaml --data_root .../data --out_dir .../out" in report
