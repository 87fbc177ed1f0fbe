"""Step: the content of the data folder as one digest."""

from typing import Annotated

from zenml import step

from dataset.fingerprint import fingerprint
from dataset.options import Format
from steps import runtime
from steps.data_roots.open_data_root import open_data_root
from steps.data_roots.phantoms import make_phantoms


@step(enable_cache=False)
def fingerprint_dataset(data_format: Format = "auto") -> Annotated[str, "fingerprint"]:
    """Digests the data folder on every run: later steps run again only if its content changed, not its path.

    Args:
        data_format: The layout of the data set, which says which files are read.
    """
    now = runtime.current()
    make_phantoms(now)
    with open_data_root(now.data_root) as source:
        return fingerprint(source, now.num_workers, data_format)
