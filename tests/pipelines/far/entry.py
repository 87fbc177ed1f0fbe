"""Starts steps as ZenML does, each in a process of its own, and writes down what they open of other machines.

Reads lines of JSON, one a step; answers each with the exit status. The processes are forks of this one, which has
loaded the libraries and nothing else: to load them anew for every step takes longer than the steps.
"""

import json
import os
import runpy
import sys
from pathlib import Path

SERVERS = ("mlflow.db", "mlruns", ".mlflow.lock")  # MLflow's, which is a server where machines are several


def load_libraries() -> None:
    import lightning.pytorch  # noqa: F401, PLC0415
    import matplotlib.pyplot  # noqa: F401, PLC0415
    import mlflow  # noqa: F401, PLC0415
    import monai.losses  # noqa: F401, PLC0415
    import scipy.stats  # noqa: F401, PLC0415
    import torch  # noqa: F401, PLC0415
    import zenml.integrations.mlflow.experiment_trackers  # noqa: PLC0415
    import zenml.orchestrators  # noqa: F401, PLC0415


def run(order: dict) -> None:
    """Becomes the step."""
    machine = order["machine"]
    os.chdir(machine)
    os.environ.update(order["environment"])
    sys.path.insert(0, machine)
    sys.argv = ["entrypoint", *order["arguments"]]
    watch()
    runpy.run_module("zenml.entrypoints.entrypoint", run_name="__main__")


def watch() -> None:
    """Writes down opened files of the store, if not by the store, and of the machine that the run was started on."""
    from far.store import INSIDE  # noqa: PLC0415 - the copy of this machine

    log = os.open(os.environ["FAR_OPENED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    store, out, project = (os.environ[name] for name in ("FAR_STORE", "FAR_OUT", "FAR_PROJECT"))

    def see(event: str, arguments: tuple) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        path = str(Path(os.fsdecode(arguments[0])).absolute())
        far = path.startswith(store) and not getattr(INSIDE, "by_store", False)
        served = path.removeprefix(f"{project}/").startswith(SERVERS)
        if far or path.startswith(out) or (path.startswith(f"{project}/") and not served):
            os.write(log, f"{path}\n".encode())

    sys.addaudithook(see)


def main() -> None:
    sys.path.remove(str(Path(__file__).parent))
    load_libraries()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(json.loads(line))
            sys.stdout.flush()
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
