"""Step: the content of the images that are to be predicted, as one digest."""

from typing import Annotated

from zenml import step

from dataset.pictures.find import find_pictures
from dataset.pictures.read import digest_pictures
from steps import runtime


@step(enable_cache=False)
def fingerprint_images() -> Annotated[str, "images_fingerprint"]:
    """Reads all of them, always: masks are predicted again only if names or content changed, not the folder's place."""
    now = runtime.current()
    return digest_pictures(find_pictures(now.data_root), now.num_workers)
