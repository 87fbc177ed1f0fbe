"""Synthetic comparisons: what an evaluation would return, without one."""

import dataclasses
from collections.abc import Callable

import pytest

from models.evaluation.results import Cost, EvaluationResult, Latency, Machine
from models.variant_spec import BASELINE, VariantSpec
from torch_lowrank.report import LayerReport

# layer -> (full rank, parameters)
LAYERS = {
    "inc.double_conv.0": (9, 144),
    "inc.double_conv.3": (16, 2304),
    "down1.maxpool_conv.1.double_conv.0": (32, 4608),
    "down1.maxpool_conv.1.double_conv.3": (32, 9216),
    "down2.maxpool_conv.1.double_conv.0": (64, 18432),
    "up1.conv.double_conv.0": (64, 73728),
    "up2.conv.double_conv.3": (32, 18432),
    "outc.conv": (1, 17),
}


def _layers(share: float) -> list[LayerReport]:
    reports = []
    for name, (full, params) in LAYERS.items():
        rank = max(1, round(share * full))
        if full < 16:
            reports.append(LayerReport(name, "Conv2d", None, None, full, params, params, 0.0, "saves nothing"))
        else:
            after = round(params * share)
            reports.append(LayerReport(name, "Conv2d", "channel", rank, full, params, after, 1 - share))
    return reports


# per image around the mean; the sum is 0
SPREAD = (-0.2, 0.1, 0.05, -0.1, 0.15, 0.0, -0.05, 0.12, -0.02, -0.08, 0.03, 0.0)


MACHINE = Machine("a processor", 4, 2)
BASELINE_MS = 12.5


def make_latency(ms: float) -> Latency | None:
    """So many milliseconds, where the baseline takes `BASELINE_MS`, with an interval of 4 %; None for 0."""
    ratio = ms / BASELINE_MS
    return Latency(ms, ratio, 0.98 * ratio, 1.02 * ratio, MACHINE) if ms else None


def make_result(method: str, value: float | None, dice: float, params: int, latency_ms: float = BASELINE_MS):
    """One variant, named as the pipeline names it."""
    size = {"svd": "rank", "arsvd": "tau", "energy": "energy", "rank_ratio": "rank_ratio"}
    size |= {"budget": "budget", "pruned": "budget"}
    given = {size[method]: value} if method in size else {}
    compressed = method != "baseline"
    return EvaluationResult(
        spec=VariantSpec(method, scheme="channel", **given) if compressed else BASELINE,
        cost=Cost(params, 4 * params, 60 * params),
        latency=make_latency(latency_ms) if compressed else Latency(latency_ms, 1, 1, 1, MACHINE),
        metrics=means(dice) | {"pixel_accuracy": 0.9 + dice / 10},
        per_image=images(spread(dice), spread(dice / (2 - dice))),
        layers=[] if method == "baseline" else _layers(params / 838_497),
        valid=means(dice),
        valid_per_image=images(spread(dice), spread(dice / (2 - dice))),
    )


def in_bits(result: EvaluationResult, bits: int, loss: float = 0.0) -> EvaluationResult:
    """The twin of a variant in so many bits, whose Dice is lower by `loss` on every image."""
    dice = [value - loss for value in result.per_image["dice"]]
    return dataclasses.replace(
        result,
        spec=dataclasses.replace(result.spec, weight_bits=bits),
        cost=dataclasses.replace(result.cost, size_bytes=result.cost.params * bits // 8),
        metrics=result.metrics | means(sum(dice) / len(dice)),
        valid=means(sum(dice) / len(dice)),
        per_image=images(dice),
        valid_per_image=images(dice),
    )


def of_training(result: EvaluationResult, filters: int | None = None, seed: int | None = None) -> EvaluationResult:
    """The same variant of a further training."""
    return dataclasses.replace(result, spec=dataclasses.replace(result.spec, filters=filters, seed=seed))


def of_size(share: float, dice: float) -> EvaluationResult:
    """A network of this share of the bytes of a baseline of 838,497 parameters."""
    made = make_result("budget", 0.5, dice, round(838_497 * share * 3))
    cost = dataclasses.replace(made.cost, size_bytes=round(4 * 838_497 * share))
    return dataclasses.replace(made, spec=VariantSpec("size", size=share, scheme="auto"), cost=cost)


def images(dice: list[float], iou: list[float] | None = None) -> dict[str, list[float]]:
    """Values of single images that all have a lesion."""
    return {"dice": dice, "iou": iou or dice, "lesion_px": [20.0] * len(dice)}


def means(dice: float) -> dict[str, float]:
    """What is measured of a network with this Dice, on images that all have a lesion."""
    iou = dice / (2 - dice)
    return {"dice": dice, "iou": iou, "dice_lesion": dice, "iou_lesion": iou, "recall_images": min(1.0, 1.2 * dice)}


def of_patients(results: list[EvaluationResult], patients: int, noun: str = "patient") -> list[EvaluationResult]:
    """The results with every image given to one of so many patients, in turn; all its pixels have the mean Dice."""
    made = []
    for result in results:
        dice = result.per_image["dice"]
        groups = [f"p{row % patients}" for row in range(len(dice))]
        mean = {name: sum(dice[row::patients]) / len(dice[row::patients]) for row, name in enumerate(groups[:patients])}
        made.append(
            dataclasses.replace(
                result,
                groups=groups,
                group_noun=noun,
                valid_groups=groups,
                per_group=mean,
                metrics={**result.metrics, "dice_patient": sum(mean.values()) / len(mean)},
            )
        )
    return made


def spread(mean: float) -> list[float]:
    """Values of 12 images with this mean; where means differ, they differ unevenly over the images."""
    return [
        mean * (1 + shift) + (0.02 * (mean - 0.7) if number % 2 else -0.02 * (mean - 0.7))
        for number, shift in enumerate(SPREAD)
    ]


def recovered(result: EvaluationResult, dice: float, curve: list[float]) -> EvaluationResult:
    """The variant with a Dice before recovery, and fine-tuned with these values of validation Dice."""
    epochs = [
        {
            "epoch": epoch,
            "train_loss": 1.2 / epoch,
            "valid_loss": 1.3 / epoch,
            "valid_dice": value,
            "valid_iou": value / (2 - value),
            "lr": 1e-5,
            "seconds": 2.0,
        }
        for epoch, value in enumerate(curve, 1)
    ]
    best = max(range(len(curve)), key=lambda index: curve[index])
    before = {"dice": dice, "dice_lesion": dice, "iou": dice / (2 - dice)}
    return dataclasses.replace(
        result,
        spec=dataclasses.replace(result.spec, finetune_epochs=len(curve)),
        metrics={**result.metrics, **{f"{name}_before_recovery": value for name, value in before.items()}},
        finetune_history={"epochs": epochs, "best_epoch": best + 1, "best_valid_dice": curve[best]},
    )


@dataclasses.dataclass(frozen=True)
class NamedSpec(VariantSpec):
    """A description with a name of any kind, which no user can give."""

    other_name: str = ""

    @property
    def name(self) -> str:
        return self.other_name


def renamed(result: EvaluationResult, name: str) -> EvaluationResult:
    """The variant by another name."""
    return dataclasses.replace(result, spec=NamedSpec(**result.spec.to_dict(), other_name=name))


@pytest.fixture
def recovered_results(results: list[EvaluationResult]) -> list[EvaluationResult]:
    """The same sweep after recovery; the baseline has none."""
    gaps = (0.01, 0.03, 0.02, 0.01, 0.05, 0.1, 0.4, 0.02)
    return [
        recovered(
            result,
            result.metrics["dice"] - 0.1 * number,
            [result.metrics["dice"] - gap / (epoch + 1) for epoch in range(5)],
        )
        for number, (result, gap) in enumerate(zip(results[:-1], gaps, strict=True))
    ] + results[-1:]


@pytest.fixture
def result() -> Callable[..., EvaluationResult]:
    return make_result


@pytest.fixture
def baseline() -> EvaluationResult:
    return make_result("baseline", None, 0.7768, 838_497)


@pytest.fixture
def results(baseline: EvaluationResult) -> list[EvaluationResult]:
    """A whole sweep, out of order."""
    return [
        make_result("budget", 0.5, 0.776, 419_000),
        make_result("budget", 0.25, 0.773, 209_000),
        make_result("arsvd", 0.9, 0.771, 626_321),
        make_result("arsvd", 0.95, 0.775, 720_000),
        make_result("arsvd", 0.85, 0.7695, 521_761),
        make_result("svd", 32, 0.771, 356_193),
        make_result("svd", 16, 0.713, 191_585, latency_ms=0.0),
        make_result("svd", 64, 0.776, 610_000),
        baseline,
    ]


@pytest.fixture
def few_bits(results: list[EvaluationResult]) -> list[EvaluationResult]:
    """The sweep with a twin in 8 bits of every variant, and two networks of a size."""
    twins = [in_bits(result, 8, 0.0002 * number) for number, result in enumerate(results)]
    return [*results, *twins, of_size(0.1, 0.775), of_size(0.05, 0.77)]


@pytest.fixture
def history() -> dict:
    epochs = [
        {
            "epoch": epoch,
            "train_loss": 1.2 / epoch,
            "valid_loss": 1.3 / epoch + 0.01 * epoch,
            "valid_dice": 0.8 - 0.7 / epoch,
            "valid_iou": 0.7 - 0.6 / epoch,
            "lr": 1e-3,
            "seconds": 2.0,
        }
        for epoch in range(1, 13)
    ]
    return {"epochs": epochs, "best_epoch": 11, "best_valid_dice": 0.7364}
