"""Machines of the steps: what `run_settings` may say, which steps get a GPU, and that variants wait for no other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from zenml.config.docker_settings import DockerSettings
from zenml.config.resource_settings import ResourceSettings
from zenml.integrations.kubernetes.flavors import KubernetesOrchestratorSettings

from configs.loading import load_config
from configs.schema import RunConfig
from models.evaluation.latency import this_machine
from pipelines.checks.run_settings import SettingsError
from pipelines.devices import Devices
from pipelines.execution.placement import gpu_steps, read_settings, resolve_devices
from pipelines.variants import step_names

ROOT = Path(__file__).resolve().parent.parent.parent
KUBERNETES = ROOT / "configs" / "kubernetes"
RUN = KUBERNETES / "run.yaml"
SWEEP = ["--svd_ranks", "16,32", "--arsvd_taus", "0.9", "--budgets", "0.25", "--recalibrate", "--finetune_compressed"]
ON_GPU = {"train_unet", "decompose", "decompose_weighted"}


def configured(*arguments: str, settings: Path = RUN) -> RunConfig:
    return load_config([*SWEEP, "--run_settings", str(settings), *arguments])


def written(folder: Path, content: object) -> Path:
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def test_training_and_decomposition_alone_compute_on_a_gpu() -> None:
    config = configured()
    placed = resolve_devices(config, remote=True)
    assert set(placed.gpu_steps) == ON_GPU
    devices = {name: placed.of(name) for name in step_names(config)}
    assert {name for name, device in devices.items() if device == "cuda"} == ON_GPU
    assert set(devices.values()) == {"cpu", "cuda"}
    assert placed.machine is None, "a step may run on any"


def test_further_trainings_compute_on_a_gpu_too() -> None:
    placed = resolve_devices(configured("--base_filters", "16,8", "--seeds", "1,2"), remote=True)
    trainings = ("", "_seed_2", "_filters_8", "_filters_8_seed_2")
    assert set(placed.gpu_steps) == {f"{step}{training}" for step in ON_GPU for training in trainings}


def test_no_step_computes_on_a_gpu_where_the_cpu_is_asked_for() -> None:
    assert resolve_devices(configured("--device", "cpu"), remote=True).gpu_steps == ()


def test_settings_say_nothing_to_steps_of_this_process(capsys: pytest.CaptureFixture) -> None:
    name = "pipelines.execution.placement.Client"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(name, lambda: type("", (), {"active_stack_model": type("", (), {"name": "mine"})}))
        devices = resolve_devices(configured("--device", "cpu"), remote=False)
    assert devices == Devices("cpu", machine=this_machine("cpu", 1))
    assert "run_settings says nothing" in capsys.readouterr().err


def test_cuda_without_a_step_that_asks_for_it_is_refused(tmp_path: Path) -> None:
    config = configured("--device", "cuda", settings=written(tmp_path, {"settings": {}}))
    with pytest.raises(SettingsError, match="no step of this remote stack asks for a GPU"):
        resolve_devices(config, remote=True)


def test_a_checkpoint_of_this_machine_is_refused() -> None:
    with pytest.raises(SettingsError, match="do not see"):
        resolve_devices(load_config(["--checkpoint", "unet.pth"]), remote=True)


def test_a_pattern_gives_settings_to_all_steps_that_it_matches(tmp_path: Path) -> None:
    gpu = {"settings": {"resources": {"gpu_count": 2}}}
    config = configured(settings=written(tmp_path, {"steps": {"finetune_*": gpu}}))
    names = ("svd_rank_16", "svd_rank_32", "arsvd_tau_0.9", "svd_budget_0.25", "arsvd_budget_0.25", "budget_0.25")
    assert set(read_settings(config)["steps"]) == {f"finetune_{name}" for name in names}
    assert set(resolve_devices(config, remote=True).gpu_steps) == {f"finetune_{name}" for name in names}


def test_a_gpu_for_the_run_is_one_for_every_step_that_does_not_refuse_it() -> None:
    options = {
        "settings": {"resources": {"gpu_count": 1}},
        "steps": {"b": {"settings": {"resources": {"gpu_count": 0}}}},
    }
    assert gpu_steps(options, ["a", "b"]) == ("a",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"parameters": {}}, "holds settings and steps alone: parameters: there is no such field"),
        (["a"], "holds settings and steps alone: give keys and values"),
        ({1: 2, "a": 3}, "holds settings and steps alone"),
        ({"steps": ["train_unet"]}, "steps: give keys and values"),
        ({"steps": {1: {"settings": {}}}}, "steps.1"),
        ({"steps": {"train": {"settings": {}}}}, "there is no step 'train'"),
        ({"steps": {"train_unet": {"enable_cache": False}}}, "steps.train_unet.enable_cache"),
        ({"settings": {"resources": {"gpu_count": "many"}}}, r": settings.resources.gpu_count: give a whole number"),
        (
            {"steps": {"train_unet": {"settings": {"resources": {"cpu_count": -1}}}}},
            r": steps.train_unet.settings.resources.cpu_count: give a number above 0",
        ),
    ],
)
def test_wrong_settings_are_named(content: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=said):
        read_settings(configured(settings=written(tmp_path, content)))


def test_settings_that_are_not_there_are_named() -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(configured(settings=Path("nowhere.yaml")))


def test_the_settings_for_kubernetes_hold_for_zenml() -> None:
    content = yaml.safe_load(RUN.read_text())
    everything = [content["settings"], *(step["settings"] for step in content["steps"].values())]
    strict = {"resources": ResourceSettings, "docker": DockerSettings}
    for settings in everything:
        for key, model in strict.items():
            if key in settings:
                assert not (model.model_validate(settings[key]).model_extra or {})
        pytest.importorskip(
            "kubernetes", reason="pods are checked where `zenml integration install kubernetes` was run"
        )
        pods = KubernetesOrchestratorSettings.model_validate(settings["orchestrator.kubernetes"])
        assert not pods.model_extra
        assert not pods.pod_settings.model_extra


PROGRAM = """
import json, sys
from pathlib import Path
from zenml.client import Client
from zenml.cli.stack import import_stack
from zenml.utils import source_utils
source_utils.set_custom_source_root(sys.argv.pop(1))
from configs.loading import load_config
from pipelines.comparison import comparison
from pipelines.execution.placement import resolve_devices, read_settings
Client().create_secret("mlflow", {"username": "a", "password": "b"})
import_stack.callback("configs/kubernetes/stack.yaml", None)
parts = Client().get_stack("kubernetes").components
config = load_config(sys.argv[1:])
pipeline = comparison.with_options(**read_settings(config))
pipeline.prepare(config, resolve_devices(config, remote=True))
steps = pipeline._compile(steps=pipeline._run_args["step_configurations"])[0].step_configurations
Path("compiled.json").write_text(json.dumps({
    "stack": {kind.value: [part.flavor_name for part in found] for kind, found in parts.items()},
    "gpus": {name: step.config.resource_settings.gpu_count for name, step in steps.items()},
    "memory": {name: step.config.resource_settings.memory for name, step in steps.items()},
    "devices": {name: step.config.parameters.get("device") for name, step in steps.items()},
    "waits_for": {name: step.spec.upstream_steps for name, step in steps.items()},
}))
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What ZenML makes of the stack's file, and of the pipeline with all that can be switched on."""
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "configs").symlink_to(ROOT / "configs")
    environment = os.environ | {"ZENML_CONFIG_PATH": str(folder / "zenml"), "PYTHONPATH": str(ROOT)}
    environment |= {"ZENML_ANALYTICS_OPT_IN": "false", "ZENML_LOGGING_VERBOSITY": "ERROR"}
    command = [sys.executable, "-c", PROGRAM, str(ROOT), *SWEEP, "--run_settings", str(RUN)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "compiled.json").read_text())


@pytest.mark.pipeline
@pytest.mark.slow
def test_zenml_imports_the_stack_file(compiled: dict) -> None:
    assert compiled["stack"] == {
        "orchestrator": ["kubernetes"],
        "artifact_store": ["s3"],
        "container_registry": ["default"],
        "image_builder": ["local"],
        "experiment_tracker": ["mlflow"],
    }


@pytest.mark.pipeline
@pytest.mark.slow
def test_the_compiled_steps_ask_for_gpus_where_they_compute_on_them(compiled: dict) -> None:
    assert {name for name, gpus in compiled["gpus"].items() if gpus} == ON_GPU
    assert {name for name, device in compiled["devices"].items() if device == "cuda"} == ON_GPU
    assert compiled["memory"]["train_unet"] == "32GiB"
    assert compiled["memory"]["evaluate_baseline"] == "8GiB"


@pytest.mark.pipeline
@pytest.mark.slow
def test_no_variant_waits_for_another(compiled: dict) -> None:
    variants = {name.partition("_")[2] for name in compiled["waits_for"] if name.startswith("evaluate_")}
    assert len(variants) == 7
    for variant in variants - {"baseline"}:
        chain = {f"{stage}_{variant}" for stage in ("compress", "recalibrate", "finetune", "evaluate")}
        shared = {"ingest_coco", "train_unet", "decompose", "collect_statistics", "decompose_weighted"}
        judged = {"evaluate_baseline"} if variant.startswith("budget_") else set()  # which the search compares with
        for step in chain:
            assert set(compiled["waits_for"][step]) <= chain | shared | judged
