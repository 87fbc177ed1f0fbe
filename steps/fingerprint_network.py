"""Step: the content of the folder of the network that predicts, as one digest."""

from typing import Annotated

from zenml import step

from models.network_files import network_files_digest
from steps import runtime


@step(enable_cache=False)
def fingerprint_network() -> Annotated[str, "network_fingerprint"]:
    """Reads both files, always: masks are predicted again only if their content changed."""
    return network_files_digest(runtime.current().network_folder)
