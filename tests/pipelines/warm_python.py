"""A Python that has imported the libraries, and nothing of the project: it forks, and a fork becomes a command.

To import the libraries takes longer than most of what the tests run. The commands are `python SCRIPT ...` and
`python -c CODE ...`, in a folder and an environment of their own, and each process behaves as one that was started
cold: standard streams, signals, exit status, module search path, and what the interpreter does at its end.

Run as `python warm_python.py SOCKET`, with the number of an inherited Unix socket. An order is its length (4 bytes) and
JSON, with four descriptors: the standard streams, and where the process id and later the exit status are written.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import types
from importlib.machinery import BuiltinImporter, SourceFileLoader
from pathlib import Path

# What run_pipeline.py sets before it imports libraries, which read it then; each fork gets an environment of its own.
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "ZENML_ANALYTICS_OPT_IN": "false",
    "ZENML_EXECUTION_CONTEXT_STEP_RUN_CACHE_SIZE": "1000000",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(8192 * 8192),
    "GIT_PYTHON_REFRESH": "quiet",
    "ZENML_LOGGING_COLORS_DISABLED": "true",
    "ZENML_LOGGING_VERBOSITY": "ERROR",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
LIBRARIES = (
    "scipy.stats",
    "cv2",
    "pycocotools.mask",
    "skimage.draw",
    "skimage.measure",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
    "jinja2",
    "yaml",
    "filelock",
    "rich.console",
    "torch",
    "torch.utils.flop_counter",
    "safetensors.torch",
    "lightning.pytorch",
    "monai.losses",
    "mlflow",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "alembic.command",
    "zenml.client",
    "zenml.integrations.registry",
    "zenml.integrations.mlflow.experiment_trackers",
    "zenml.orchestrators.local.local_orchestrator",
    "zenml.zen_stores.sql_zen_store",
    # imported by them when a pipeline runs, or a picture is drawn
    "contourpy",
    "jsonref",
    "matplotlib.patheffects",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "opentelemetry.instrumentation.logging",
    "opentelemetry.sdk.metrics",
    "PIL.PpmImagePlugin",
    "torch.utils.benchmark",
    "asgiref.sync",
    "mlflow.tracing.processor.otel",
    "zenml.config.compiler",
    "zenml.deployers.docker.docker_deployer",
    "zenml.integrations.numpy.materializers",
    "zenml.integrations.pandas.materializers",
    "zenml.integrations.pillow.materializers",
    "zenml.integrations.pytorch.materializers",
    "zenml.integrations.pytorch_lightning.materializers",
    "zenml.integrations.scipy.materializers",
    "zenml.log_stores.datadog.datadog_flavor",
    "zenml.log_stores.otel.otel_flavor",
    "zenml.orchestrators.step_launcher",
    "zenml.orchestrators.step_runner",
    "zenml.pipelines.build_utils",
    "zenml.sandboxes.local_sandbox",
    "zenml.steps.decorated_step",
    "zenml.zen_stores.migrations.utils",
    "zenml.zen_stores.rest_zen_store",
)


def main(control: socket.socket) -> dict | None:
    """Answers orders until the socket is closed; returns in every fork, with its order."""
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, and for what they started
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    running: dict[int, int] = {}  # process id to where its exit status is written
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell_ended(running)
        if control in ready:
            length, descriptors, _, _ = socket.recv_fds(control, 4, 4)
            if not length:
                return None
            order = json.loads(_read(control, int.from_bytes(length)))
            *streams, status = descriptors
            child = os.fork()
            if child == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, interrupt)
                for number in (control.detach(), woken, wake, status, *running.values()):
                    os.close(number)
                for number, stream in enumerate(streams):
                    os.dup2(stream, number)
                    os.close(stream)
                return order
            os.write(status, f"{child}\n".encode())
            running[child] = status
            for stream in streams:
                os.close(stream)


def _read(control: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        parts.append(control.recv(length))
        length -= len(parts[-1])
    return b"".join(parts)


def _tell_ended(running: dict[int, int]) -> None:
    for child, status in list(running.items()):
        ended, how = os.waitpid(child, os.WNOHANG)
        if ended:
            os.write(status, f"{os.waitstatus_to_exitcode(how)}\n".encode())
            os.close(status)
            del running[child]


def become(order: dict) -> None:
    """Does what `python` does with this command line, and as there, what goes on after the end is the interpreter's."""
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    searched = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    importlib.invalidate_caches()
    sys.excepthook = sys.__excepthook__  # ZenML has set its own, which run_pipeline.py replaces unless it is verbose
    first, *arguments = order["arguments"]
    program = sys.modules["__main__"] = types.ModuleType("__main__")
    setattr(program, "__annotations__", {})  # noqa: B010 - the interpreter makes it
    if first == "-c":
        content, *arguments = arguments
        name, folder = "<string>", ""
        program.__loader__ = BuiltinImporter
    else:
        name = str(Path(first).absolute())
        content, folder = Path(name).read_bytes(), str(Path(name).resolve().parent)
        program.__file__, program.__loader__ = name, SourceFileLoader("__main__", name)
        program.__dict__["__cached__"] = None
    sys.argv = [first, *arguments]
    sys.path[:0] = [folder, *searched]
    exec(compile(content, name, "exec"), program.__dict__)


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).resolve().parent))
    os.environ.update(ENVIRONMENT)
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()  # else every fork would look through all that was imported, again and again, and copy it meanwhile
    order = main(socket.socket(fileno=int(sys.argv[1])))
    if order is not None:
        become(order)
