"""A folder of data beside a training that is reused: the same by content, or by name where that cannot be known."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from configs.loading import load_config
from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint
from pipelines.training_origin import Origin, OtherDataError, origin_of
from steps.runtime import Runtime

NETWORK = "baseline_network:3 of 2026-11-28 09:12 UTC"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of data; what its files hold is not looked at."""
    folder = tmp_path / "brains"
    for split in ("train", "valid", "test"):
        (folder / split).mkdir(parents=True)
        (folder / split / "a.png").write_text(split)
    return folder


def origin(data: str | None = None, digest: str | None = None) -> Origin:
    return Origin("comparison-1", data, digest, "auto", None)


def check(origin: Origin, *arguments: str, remote: bool = False) -> None:
    origin.check_same_data(NETWORK, load_config(["--reuse_training", *arguments]), remote)


def test_the_same_content_is_the_same_data_by_whatever_name(data: Path) -> None:
    check(origin("another", fingerprint(data)), "--data_root", str(data))


def test_without_a_folder_nothing_is_compared(capsys: pytest.CaptureFixture) -> None:
    check(origin("brains", "digest"))
    check(origin())
    assert capsys.readouterr().err == ""


def test_other_content_is_refused_with_what_to_do(data: Path) -> None:
    made = origin("brains", fingerprint(data))
    (data / "test" / "a.png").write_text("changed")
    with pytest.raises(OtherDataError) as caught:
        check(made, "--data_root", str(data))
    told = str(caught.value)
    assert f"--data_root {data} is not the data that {NETWORK} was trained on, brains (run comparison-1): its" in told
    assert all(repair in told for repair in ("leave --data_root away", "leave --reuse_training away", "--checkpoint"))


def test_a_folder_that_is_not_there_is_told_as_ever(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a folder"):
        check(origin("brains", "digest"), "--data_root", str(tmp_path / "none"))


def test_names_decide_where_the_content_of_the_training_is_not_stored_any_more(
    data: Path, capsys: pytest.CaptureFixture
) -> None:
    check(origin("brains"), "--data_root", f"{data}/")
    assert "cannot be known" in capsys.readouterr().err
    with pytest.raises(OtherDataError, match="its name is another, and the files cannot be compared"):
        check(origin("others"), "--data_root", str(data))


def test_names_decide_where_another_machine_reads_the_folder() -> None:
    check(origin("brains", "digest"), "--data_root", "/of/another/machine/brains", remote=True)
    with pytest.raises(OtherDataError, match=r"trained on, brains \(run"):
        check(origin("brains", "digest"), "--data_root", "/of/another/machine/others", remote=True)


def test_of_a_training_without_name_and_digest_nothing_is_claimed(data: Path, capsys: pytest.CaptureFixture) -> None:
    check(origin(), "--data_root", str(data))
    assert "cannot be known" in capsys.readouterr().err


RUNTIME = Runtime(data_root="", out_dir="/out", num_workers=0, resume=True, command="", process="")


def steps(extra: dict, metadata: dict, inputs: dict) -> tuple[SimpleNamespace, SimpleNamespace]:
    """What ZenML tells of the steps that trained and ingested."""
    training = SimpleNamespace(
        outputs={"train_history": [SimpleNamespace(run_metadata=metadata)]},
        config=SimpleNamespace(extra=extra),
        pipeline_run_id="id",
    )
    return training, SimpleNamespace(inputs=inputs)


@pytest.fixture(autouse=True)
def _one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    client = SimpleNamespace(get_pipeline_run=lambda _: SimpleNamespace(name="comparison-1"))
    monkeypatch.setattr("pipelines.training_origin.Client", lambda: client)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"data_root": "/home/somebody/brains"}, "brains"),
        ({"data_root": "s3://bucket/of/brains/"}, "brains"),
        ({"data_root": "/out/phantoms/seed_7_v2", "phantom_seed": 7}, "built-in phantoms of seed 7"),
        ({"data_root": ""}, None),
    ],
)
def test_the_data_is_named_without_the_place_where_it_lay(told: dict, name: str | None) -> None:
    extra = RUNTIME.to_extra()
    extra["runtime"] |= told
    assert origin_of(*steps(extra, {}, {}), "auto").data == name


@pytest.mark.parametrize(
    ("metadata", "dice"),
    [
        (
            {"best_valid_dice_lesion": 0.8125, "best_valid_dice": 0.9},
            "Dice 0.812 on the images of valid with a lesion",
        ),
        ({"best_valid_dice": 0.9}, "Dice 0.900 on valid"),
        ({}, None),
    ],
)
def test_the_dice_is_that_of_the_epoch_that_was_kept(metadata: dict, dice: str | None) -> None:
    assert origin_of(*steps({}, metadata, {}), "auto") == Origin("comparison-1", None, None, "auto", dice)


def test_a_digest_whose_file_was_deleted_is_not_known() -> None:
    def missing() -> str:
        raise FileNotFoundError

    assert origin_of(*steps({}, {}, {"fingerprint": [SimpleNamespace(load=lambda: "abc")]}), "auto").digest == "abc"
    assert origin_of(*steps({}, {}, {"fingerprint": [SimpleNamespace(load=missing)]}), "auto").digest is None
