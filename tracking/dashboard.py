"""The ZenML dashboard over the store that the ZenML client of this machine uses: `make dashboard`.

`zenml login --local` connects the client to the server that it starts, and every command fails once that server has
ended. Here the same server has a configuration folder of its own, and the client's configuration stays as it is. As
there, the server asks for no password and answers this machine only.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import requests
from zenml.config.global_config import GlobalConfiguration
from zenml.enums import StoreType
from zenml.utils.io_utils import get_global_config_directory

_HOST = "127.0.0.1"


class DashboardError(Exception):
    """The dashboard cannot be shown; the message says why and what to do."""


def main(arguments: list[str]) -> int:
    """Shows the dashboard until Ctrl-C; returns the exit status, 2 where it cannot be shown."""
    parser = argparse.ArgumentParser(prog="python -m tracking.dashboard", description="Show the ZenML dashboard.")
    parser.add_argument("--port", type=int, default=8237, help="where it answers on 127.0.0.1 (default: %(default)s)")
    port = parser.parse_args(arguments).port
    try:
        if url := find_server():
            print(f"the ZenML client is connected to a server, which has the dashboard: {url}")
        else:
            check_port(port)
            _serve(port)
    except DashboardError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nthe dashboard has ended")
    return 0


def find_server() -> str | None:
    """Returns the URL of the server that the client is connected to; None where it uses a database of its own.

    Raises:
        DashboardError: There is no SQLite database yet.
    """
    config = Path(get_global_config_directory()) / "config.yaml"
    if not config.exists():  # checked first: asking ZenML would create it
        raise DashboardError(f"no ZenML store: there is no {config}; run the pipeline once first: make demo")
    store = GlobalConfiguration().store_configuration
    if store.type == StoreType.REST:
        return store.url
    if not Path(store.url.removeprefix("sqlite:///")).exists():
        raise DashboardError(f"no ZenML store: there is no {store.url}; run the pipeline once first: make demo")
    return None


def check_port(port: int) -> None:
    """Raises DashboardError if the port is out of range or in use."""
    if not 1024 <= port <= 65535:
        raise DashboardError(f"--port is {port}; allowed are 1024 to 65535")
    with socket.socket() as probe:
        if probe.connect_ex((_HOST, port)) == 0:
            other = f"{os.path.relpath(sys.executable)} -m tracking.dashboard --port {port + 1}"
            raise DashboardError(f"port {port} is in use; end what runs there, or take another: {other}")


def server_environment(folder: Path) -> dict[str, str]:
    """Returns the environment in which a server, configured in `folder`, serves the client's store.

    It is the environment of `zenml login --local` without telemetry and without a log of every request.
    """
    client = GlobalConfiguration()
    return {
        **os.environ,
        "ZENML_SERVER": "true",  # from the first import on, it writes no configuration
        "ZENML_CONFIG_PATH": str(folder),
        "ZENML_USER_ID": str(client.user_id),
        "ZENML_STORE_TYPE": "sql",
        "ZENML_STORE_URL": client.store_configuration.url,
        "ZENML_LOCAL_STORES_PATH": client.local_stores_path,
        "ZENML_SERVER_ALLOW_LOCAL_FILE_ACCESS": "true",  # else no visualisations, logs and downloads
        "ZENML_SERVER_AUTH_SCHEME": "NO_AUTH",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "local",
        "ZENML_SERVER_AUTO_ACTIVATE": "true",
        "DISABLE_DATABASE_MIGRATION": "true",
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_VERBOSITY": "WARN",
    }


def _serve(port: int) -> None:
    if find_spec("jwt") is None:
        raise DashboardError(f"{sys.executable} lacks the ZenML server; `make dashboard` installs and starts it")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does
    command = [sys.executable, "-m", "uvicorn", "zenml.zen_server.zen_server_api:app", "--host", _HOST]
    command += ["--port", str(port), "--log-level", "warning", "--timeout-graceful-shutdown", "3"]
    with tempfile.TemporaryDirectory(prefix="zenml-dashboard-") as folder:
        # started in that folder, as our packages `models` and `steps` must shadow nothing there
        server = subprocess.Popen(command, env=server_environment(Path(folder)), cwd=folder)  # noqa: S603 - built here
        try:
            _show(server, f"http://{_HOST}:{port}")
        finally:
            server.terminate()
            server.wait()
    raise DashboardError(f"the server ended with status {server.returncode}; its message is above")


def _show(server: subprocess.Popen[bytes], url: str) -> None:
    """Prints the server's URL as soon as it answers, and waits until the server ends."""
    with requests.Session() as session:
        session.trust_env = False  # a proxy does not know this machine's own address
        while server.poll() is None:
            try:
                session.get(f"{url}/health", timeout=5).raise_for_status()
            except requests.RequestException:
                time.sleep(0.5)
            else:
                try:
                    _decline_survey(session, f"{url}/api/v1/current-user")
                except (requests.RequestException, KeyError) as error:
                    print(f"ZenML will ask for an account first, any name will do ({error})", file=sys.stderr)
                print(f"ZenML dashboard: {url}/projects/default/runs\nCtrl-C ends it", flush=True)
                server.wait()


def _decline_survey(session: requests.Session, address: str) -> None:
    """Declines ZenML's survey (name, e-mail, news?) unless it was answered: before that, the dashboard shows nothing.

    Nothing but these two fields of the store's user is written.
    """
    user = session.get(address, timeout=30).json()
    if user["body"]["email_opted_in"] is None:
        known = user["metadata"]["user_metadata"]
        answer: dict[str, Any] = {
            "email_opted_in": False,
            "user_metadata": {**known, "finished_onboarding_survey": True},
        }
        session.put(address, json=answer, timeout=30).raise_for_status()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
