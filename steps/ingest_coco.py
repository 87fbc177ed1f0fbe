"""Step: a data set, in COCO or another layout, to memory-mapped arrays."""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

from zenml import get_step_context, step
from zenml.client import Client

from configs.sections import DataConfig
from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint as digest
from dataset.ingest import IngestOptions, ingest
from dataset.store import Dataset
from materializers.dataset import ARRAYS, DatasetMaterializer
from steps import runtime
from steps.caching import cached_by_sources, sources_of
from steps.data_roots.open_data_root import open_data_root
from steps.data_roots.phantoms import make_phantoms

sources = sources_of(__name__, libraries=("nibabel", "pydicom"))


@step(
    cache_policy=cached_by_sources(__name__),
    output_materializers=DatasetMaterializer,
)
def ingest_coco(fingerprint: str, data: DataConfig) -> Annotated[Dataset, "dataset"]:
    """Decodes all images and draws all masks, once.

    Args:
        fingerprint: Digest of the data folder's content; the folder's path is not part of the cache key.
        data: What to read.
    """
    now = runtime.current()
    make_phantoms(now)
    options = IngestOptions(**data.model_dump(), num_workers=now.num_workers)
    with open_data_root(now.data_root) as source:
        dataset = ingest(source, _output_folder(), options)
    with open_data_root(now.data_root) as source:
        changed = digest(source, now.num_workers, data.format) != fingerprint
    if changed:
        raise DatasetError(f"{now.data_root} was changed while it was read; run again")
    return dataset


def _output_folder() -> Path:
    """Returns where to write: directly into the artifact if the store is local, else into a temporary folder."""
    if Client().active_stack.artifact_store.config.is_local:
        return Path(get_step_context().get_output_artifact_uri()) / ARRAYS
    folder = Path(tempfile.mkdtemp(prefix="dataset-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / ARRAYS
