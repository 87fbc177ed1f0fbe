"""Data in one bucket, artifacts in another."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from tests.pipelines.workshop import TINY_VARIANTS, Workshop
from tests.s3_server import ENVIRONMENT, Bucket, s3_server

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]
ALWAYS = {"fingerprint_dataset", "compare"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture(scope="module")
def data(server: str) -> Bucket:
    """The bucket of the data."""
    return Bucket(server, "data")


@pytest.fixture(scope="module")
def bucket(server: str, data: Bucket, workshop: Workshop) -> Workshop:
    """A project with a stack that keeps artifacts in a bucket, in which the tiny configuration has run once there."""
    made = workshop
    shutil.rmtree(made.out)
    made.environment |= ENVIRONMENT | {"S3_SERVER": server}
    made.artifacts = Bucket(server, "artifacts")
    data.upload(made.data, "mri")
    shutil.copy(Path(__file__).with_name("bucket_stack.py"), made.root)
    done = made.call("python", "bucket_stack.py", "s3://artifacts/zenml", "s3://data")
    assert done.status == 0, done.stderr
    made.first = made.run("--data_root", "s3://data/mri")
    return made


def test_a_run_is_complete_and_its_artifacts_lie_in_the_bucket(bucket: Workshop) -> None:
    bucket.assert_complete(TINY_VARIANTS)
    stored = bucket.artifacts.client.list_objects_v2(Bucket="artifacts", MaxKeys=1000)
    assert {key["Key"].split("/")[1] for key in stored["Contents"]} >= {"ingest_coco", "train_unet", "decompose"}


def test_the_same_data_in_a_folder_run_nothing_again(bucket: Workshop) -> None:
    assert bucket.run().ran == ALWAYS


def test_a_changed_object_is_noticed(bucket: Workshop, data: Bucket) -> None:
    image = cv2.imread(str(bucket.data / "train" / "slice_00000.png"), cv2.IMREAD_UNCHANGED)
    data.put("mri/train/slice_00000.png", cv2.imencode(".png", image ^ 64)[1].tobytes())
    ran = bucket.run("--data_root", "s3://data/mri").ran
    assert ran >= ALWAYS | {"ingest_coco", "train_unet", "evaluate_baseline"}


def test_a_place_that_no_store_holds_is_told_with_what_to_do(bucket: Workshop) -> None:
    done = bucket.run("--data_root", "s3://elsewhere/mri", check=False)
    assert done.status == 2
    told = done.stderr.splitlines()[-1]
    assert told.startswith("error: s3://elsewhere/mri lies in none of ZenML's artifact stores (known: s3://")
    assert "zenml artifact-store register data --flavor=s3 --path=s3://elsewhere" in told
