"""Step: the content of a checkpoint file as one digest."""

from typing import Annotated

from zenml import step

from models.checkpoint import checkpoint_digest
from steps import runtime


@step(enable_cache=False)
def fingerprint_checkpoint() -> Annotated[str, "checkpoint_fingerprint"]:
    """Reads the file, always: the network is imported again only if the file's content changed."""
    return checkpoint_digest(runtime.current().checkpoint_file)
