"""Step: a data set, in COCO or another layout, to memory-mapped arrays."""

from typing import Annotated

from zenml import step

from configs.sections import DataConfig
from dataset.errors import DatasetError
from dataset.fingerprint import fingerprint as digest
from dataset.ingest import IngestOptions, ingest
from dataset.store import Dataset
from materializers.dataset import ARRAYS, DatasetMaterializer
from materializers.folders import folder_to_fill
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
        dataset = ingest(source, folder_to_fill(ARRAYS), options)
    with open_data_root(now.data_root) as source:
        changed = digest(source, now.num_workers, data.format) != fingerprint
    if changed:
        raise DatasetError(f"{now.data_root} was changed while it was read; run again")
    return dataset
