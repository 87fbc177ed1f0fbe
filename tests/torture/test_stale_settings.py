"""Every field of the configuration is changed, and every kind of change of the data made: exactly what must runs again.

Each test changes one thing against a base that has run once, in which every kind of step exists. A step's key has its
parameters and the content of its inputs, so where a step gives the same again, what follows stays as it is.
"""

import contextlib
import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from tests.pipelines.workshop import Finished, Workshop

pytestmark = [pytest.mark.pipeline, pytest.mark.torture]

BASE = {
    "data": {"image_size": [32, 32], "channels": 1},
    "model": {"base_filters": 4, "dropout": 0},
    "training": {"epochs": 1, "batch_size": 8, "lr": 0.004},
    "compression": {"svd_ranks": [1], "arsvd_taus": [0.5], "budgets": [0.5]},
    "statistics": {"images": 12},
    "recalibration": {"enabled": True, "images": 12},
    "finetune": {"enabled": True, "epochs": 1, "lr": 0.001, "distillation": 0.5},
    "timing": {"seconds": 0.01},
}
PLAIN = ("svd_rank_1", "arsvd_tau_0.5", "svd_budget_0.5", "arsvd_budget_0.5")  # from the spectra of weights alone
VARIANTS = (*PLAIN, "budget_0.5")


def steps(*stages: str, of: tuple[str, ...] = VARIANTS) -> frozenset[str]:
    return frozenset(f"{stage}_{variant}" for stage in stages for variant in of)


def chain(*variants: str) -> frozenset[str]:
    return steps("compress", "recalibrate", "finetune", "evaluate", of=variants)


NOTHING: frozenset[str] = frozenset()
ALWAYS = frozenset({"fingerprint_dataset", "compare"})
DRAW = frozenset({"draw_pictures"})
SHOW = DRAW | {"time_networks"}  # where there is another network
SWEEP = chain(*VARIANTS) | {"evaluate_baseline", "decompose", "collect_statistics", "decompose_weighted"} | SHOW
TRAIN = SWEEP | {"train_unet"}
DATA = TRAIN | {"ingest_coco"}
# The step trains again; the same network comes out, and what follows is known.
TRAINS_THE_SAME = steps("finetune") | {"train_unet"} | DRAW
READ_AGAIN = frozenset({"ingest_coco"})  # the same data set comes out
# Names belong to the data set, and reports show them: all that looks at it runs and makes the same networks again, and
# what looks at those alone is known.
SEARCHES = frozenset({"compress_budget_0.5"})  # judged on validation images, recalibrated as variants are
LOOKS_AGAIN = (READ_AGAIN | TRAINS_THE_SAME | SEARCHES | {"collect_statistics", "evaluate_baseline"}) | steps(
    "recalibrate", "evaluate"
)
TWINS = tuple(f"{variant}_w8" for variant in ("baseline", *VARIANTS))  # they are timed by what they were rounded from
# A further training: its own steps run, and none of another's but those that look at all networks together.
OF_TRAINING = ("train_unet", "name_dense", "decompose", "collect_statistics", "decompose_weighted", "evaluate")


def further(training: str) -> frozenset[str]:
    return SHOW | steps(*OF_TRAINING, of=(training,)) | chain(*(f"{training}_{variant}" for variant in VARIANTS))


BUDGETS = ("svd_budget_0.6", "arsvd_budget_0.6", "budget_0.6")

# Field: (what the command line says, the steps that run beside those that run always).
FIELDS: dict[str, tuple[str, frozenset[str]]] = {
    "data_root": ("data_root={moved}", NOTHING),
    "out_dir": ("out_dir={elsewhere}", NOTHING),
    "device": ("device=cpu", NOTHING),  # what `auto` is without CUDA, which is hidden here; another device runs TRAIN
    "seed": ("seed=43", TRAIN),  # the data are no phantoms that the run makes
    "seeds": ("seeds=42,43", further("seed_43")),
    "num_workers": ("num_workers=2", NOTHING),
    "reuse_training": ("reuse_training=baseline_network:1", NOTHING),
    # The file holds the base's network, which is therefore known as soon as it has been read.
    "checkpoint": ("checkpoint={checkpoint}", DRAW | {"fingerprint_checkpoint", "import_checkpoint"}),
    # Where steps run in this process, these say nothing to them.
    "run_settings": ("run_settings=configs/kubernetes/run.yaml", NOTHING),
    "remote_dir": ("remote_dir=/nowhere", NOTHING),
    "no_cache": ("no_cache=true", DATA),
    "verbose": ("verbose=true", NOTHING),
    # The data are COCO in split folders, whatever is recognised, and no volumes.
    "data.format": ("data.format=coco", frozenset({"ingest_coco"})),
    "data.axis": ("data.axis=0", frozenset({"ingest_coco"})),
    "data.modality": ("data.modality=flair", frozenset({"ingest_coco"})),
    "data.image_size": ("data.image_size=[32,48]", DATA),
    "data.channels": ("data.channels=3", DATA),
    "data.multi_class": ("data.multi_class=true", DATA),
    "data.categories": ("data.categories=lesion", frozenset({"ingest_coco"})),  # there is no other
    "data.interpolation": ("data.interpolation=nearest", DATA),
    "data.exif": ("data.exif=ignore", frozenset({"ingest_coco"})),  # no image carries a tag
    "data.skip_bad_samples": ("data.skip_bad_samples=true", frozenset({"ingest_coco"})),  # none is bad
    "data.split": ("data.split=0.6,0.2,0.2", frozenset({"ingest_coco"})),  # the data have splits
    "data.split_seed": ("data.split_seed=1", frozenset({"ingest_coco"})),
    "data.group_by": ("data.group_by=slice_[0-9]+", LOOKS_AGAIN),
    "input.mean": ("input.mean=0.3", TRAIN),
    "input.std": ("input.std=0.3", TRAIN),
    "model.base_filters": ("model.base_filters=6", TRAIN),
    "model.further_filters": ("model.further_filters=6", further("filters_6")),
    "model.bilinear": ("model.bilinear=false", TRAIN),
    "model.dropout": ("model.dropout=0.25", TRAIN),
    "model.network": ("model={{}} model.network=monai.networks.nets.BasicUNet", TRAIN),
    "model.arguments": (
        "model={{}} model.network=monai.networks.nets.BasicUNet model.arguments={{features:[4,4,4,4,4,4]}}",
        TRAIN,
    ),
    "model.output": (
        "model={{}} model.network=monai.networks.nets.BasicUNetPlusPlus model.arguments={{features:[4,4,4,4,4,4]}} "
        "model.output=0",
        TRAIN,
    ),
    "training.epochs": ("training.epochs=2", TRAIN),
    "training.batch_size": ("training.batch_size=4", TRAIN),
    "training.lr": ("training.lr=0.002", TRAIN),
    "training.weight_decay": ("training.weight_decay=0.1", TRAIN),
    "training.optimizer": ("training.optimizer=adam", TRAIN),
    "training.schedule": ("training.schedule=constant", TRAIN),
    "training.loss": ("training.loss=bce", TRAIN),
    "training.augment": ("training.augment=none", TRAIN),
    "training.patience": ("training.patience=1", TRAINS_THE_SAME),  # one epoch is never too many
    "training.precision": ("training.precision=bf16", TRAIN),
    "training.cpu_weight_gradients": ("training.cpu_weight_gradients=torch", TRAIN),
    "training.devices": ("training.devices=2", TRAIN),
    "compression.svd_ranks": ("compression.svd_ranks=1,2", SHOW | chain("svd_rank_2")),
    "compression.arsvd_taus": ("compression.arsvd_taus=0.5,0.8", SHOW | chain("arsvd_tau_0.8")),
    "compression.rank_rules": ("compression.rank_rules=evbmf", SHOW | chain("evbmf", "evbmf_budget_0.5")),
    "compression.energies": ("compression.energies=0.7", SHOW | chain("energy_0.7", "energy_budget_0.5")),
    "compression.rank_ratios": (
        "compression.rank_ratios=0.3",
        SHOW | chain("rank_ratio_0.3", "rank_ratio_budget_0.5"),
    ),
    "compression.budgets": ("compression.budgets=0.5,0.6", SHOW | chain(*BUDGETS)),
    "compression.pruned": ("compression.pruned=0.5", SHOW | chain("pruned_0.5")),
    "compression.mac_budgets": ("compression.mac_budgets=0.6", SHOW | chain("budget_0.5_macs_0.6")),
    "compression.size_budgets": ("compression.size_budgets=0.3", SHOW | chain("size_0.3")),
    "compression.weight_bits": (
        "compression.weight_bits=8",
        DRAW | steps("compress", "evaluate", of=TWINS) | steps("recalibrate", of=TWINS[1:]),
    ),
    "compression.max_dice_loss": ("compression.max_dice_loss=0.5", SHOW | chain("smallest")),
    "compression.distribution": ("compression.distribution=sigma", SHOW | chain("arsvd_tau_0.5", "arsvd_budget_0.5")),
    "compression.scheme": ("compression.scheme=spatial", SHOW | chain(*PLAIN) | {"decompose"}),
    "statistics.images": (
        "statistics.images=8",
        SHOW | chain("budget_0.5") | {"collect_statistics", "decompose_weighted"},
    ),
    "statistics.memory_limit_mb": ("statistics.memory_limit_mb=4", frozenset({"collect_statistics"})),  # more passes
    "recalibration.enabled": ("recalibration.enabled=false", SHOW | SEARCHES | steps("finetune", "evaluate")),
    "recalibration.images": (
        "recalibration.images=8",
        SHOW | SEARCHES | steps("recalibrate", "finetune", "evaluate"),
    ),
    # A variant's network is named by the last step that makes it, which now is another.
    "finetune.enabled": ("finetune.enabled=false", SHOW | steps("recalibrate", "evaluate")),
    "finetune.epochs": ("finetune.epochs=2", SHOW | steps("finetune", "evaluate")),
    "finetune.lr": ("finetune.lr=0.002", SHOW | steps("finetune", "evaluate")),
    "finetune.distillation": ("finetune.distillation=0.25", SHOW | steps("finetune", "evaluate")),
    # Another seed, so that neither training of that width is known.
    "distill_narrow.share": (
        "distill_narrow.share=0.25 distill_narrow.enabled=true model.further_filters=2 seed=44",
        TRAIN | further("filters_2") | further("filters_2_distilled"),
    ),
    "distill_narrow.enabled": (
        "distill_narrow.enabled=true model.further_filters=2",
        further("filters_2") | further("filters_2_distilled"),
    ),
    "timing.seconds": ("timing.seconds=0.02", SHOW),
    "timing.threads": ("timing.threads=2", SHOW),
    # Another pipeline, with which settings of a training are refused; tests/pipelines/test_predict.py.
    "prediction.images": ("prediction.images=scans", NOTHING),
    "prediction.network": ("prediction.network=networks/baseline", NOTHING),
    "registration.name": ("registration.name=tumor registration.variant=svd_rank_1", NOTHING),  # none is recommended
    "export.formats": ("export.formats=pt2 export.variant=svd_rank_1", frozenset({"choose_variant", "export"})),
    "export.variant": ("export.formats=onnx export.variant=baseline", frozenset({"choose_variant", "export"})),
    "registration.variant": ("registration.name=tumor registration.variant=arsvd_tau_0.5", NOTHING),
}

REFUSED = {
    "data.split": "leave out --split",  # the data have splits
    "prediction.images": "--predict needs a network",
    "prediction.network": "give the images, too, by --predict",
}


def ran(done: Finished) -> frozenset[str]:
    """The steps that were not cached; with `verbose`, ZenML's own lines say so."""
    names = re.findall(r"Step `?(\S+?)`? has finished in", done.stdout + done.stderr)
    return frozenset(names or done.ran)


def change(workshop: Workshop, *overrides: str) -> frozenset[str]:
    places = ("--config", "base.yaml", "--data_root", str(workshop.data), "--out_dir", str(workshop.out))
    return ran(workshop.run(*places, *overrides, tiny=False))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A project in which the base has run once, without CUDA."""
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    made.environment["CUDA_VISIBLE_DEVICES"] = ""
    (made.root / "base.yaml").write_text(yaml.safe_dump(BASE))
    assert change(made) == ALWAYS | DATA
    made.checkpoint = made.root / "baseline.safetensors"
    shutil.copy(made.out / "networks" / "baseline" / "weights.safetensors", made.checkpoint)
    return made


def test_the_same_again_runs_nothing(workshop: Workshop) -> None:
    assert change(workshop) == ALWAYS


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_field_runs_what_depends_on_it_and_no_more(field: str, workshop: Workshop, tmp_path: Path) -> None:
    line, expected = FIELDS[field]
    places = {"moved": tmp_path / "data", "elsewhere": tmp_path / "out", "checkpoint": workshop.checkpoint}
    if field == "data_root":
        shutil.copytree(workshop.data, places["moved"])
    if field in REFUSED:
        done = workshop.run("--data_root", str(workshop.data), line, check=False)
        assert (done.status, REFUSED[field] in done.stderr) == (2, True)
        return
    always = {"compare"} if field == "reuse_training" else ALWAYS  # which reads no data folder
    assert change(workshop, *line.format(**places).split()) == always | expected


def test_a_changed_default_runs_what_the_changed_field_runs(workshop: Workshop) -> None:
    file = workshop.root / "configs" / "sections.py"
    before = file.read_text()
    after = before.replace(
        "patience: Annotated[int, Field(ge=1)] | None = None", "patience: int | None = 2"
    )  # 1 is known
    assert after != before
    with kept(workshop.root / "configs"):
        file.write_text(after)
        assert change(workshop) == ALWAYS | FIELDS["training.patience"][1]


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[None]:
    """Gives a folder back as it was."""
    before = folder.with_name(f"{folder.name}_before")
    shutil.copytree(folder, before)
    try:
        yield
    finally:
        shutil.rmtree(folder)
        before.rename(folder)


@dataclasses.dataclass
class Folder:
    """One split's folder, to be edited."""

    path: Path

    @property
    def first(self) -> Path:
        return self.path / "slice_00000.png"

    def annotate(self, edit: Callable[[dict], object]) -> None:
        file = self.path / "_annotations.coco.json"
        content = json.loads(file.read_text())
        edit(content)
        file.write_text(json.dumps(content))

    def brighter_pixel(self) -> None:
        image = cv2.imread(str(self.first), cv2.IMREAD_UNCHANGED)
        image[20:22, 20:22] ^= 64
        self.first.write_bytes(cv2.imencode(".png", image)[1].tobytes())

    def other_bytes(self) -> None:
        """The same pixels, compressed in another way."""
        image, before = cv2.imread(str(self.first), cv2.IMREAD_UNCHANGED), self.first.read_bytes()
        self.first.write_bytes(cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
        assert self.first.read_bytes() != before
        assert np.array_equal(cv2.imread(str(self.first), cv2.IMREAD_UNCHANGED), image)

    def moved_outline(self) -> None:
        def edit(content: dict) -> None:
            polygons = content["annotations"][0]["segmentation"]
            content["annotations"][0]["segmentation"] = [[value * 0.7 for value in polygon] for polygon in polygons]

        self.annotate(edit)

    def other_license(self) -> None:
        self.annotate(lambda content: content.update(licenses=["another"]))

    def renamed_image(self) -> None:
        self.first.rename(self.path / "another.png")
        self.annotate(lambda content: content["images"][0].update(file_name="another.png"))

    def added_image(self) -> None:
        shutil.copy(self.first, self.path / "another.png")
        self.annotate(lambda content: content["images"].append({**content["images"][0], "id": 999} | NAMED))

    def unlisted_file(self) -> None:
        shutil.copy(self.first, self.path / "another.png")

    def hidden_file(self) -> None:
        (self.path / ".another.png").write_bytes(b"not looked at")


NAMED = {"file_name": "another.png"}
DATA_CHANGES: dict[Callable[[Folder], None], frozenset[str]] = {
    Folder.brighter_pixel: DATA,
    Folder.other_bytes: READ_AGAIN,
    Folder.moved_outline: DATA,
    Folder.other_license: READ_AGAIN,
    Folder.renamed_image: LOOKS_AGAIN,
    Folder.added_image: DATA,
    Folder.unlisted_file: READ_AGAIN,
    Folder.hidden_file: NOTHING,
}


@pytest.mark.parametrize("edit", DATA_CHANGES, ids=lambda edit: edit.__name__)
def test_changed_data_run_what_depends_on_them_and_no_more(edit: Callable[[Folder], None], workshop: Workshop) -> None:
    with kept(workshop.data):
        edit(Folder(workshop.data / "train"))
        assert change(workshop) == ALWAYS | DATA_CHANGES[edit]


def test_data_as_they_were_run_nothing(workshop: Workshop) -> None:
    assert change(workshop) == ALWAYS
