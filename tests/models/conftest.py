"""What the tests of training share."""

import pytest
import torch

from tests.models.training.small_training import train


@pytest.fixture(scope="module")
def one_thread():
    """These networks are too small to share out; threads would spend their time waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def uninterrupted(one_thread, tmp_path_factory):
    """A small training from beginning to end: the network and its history."""
    return train(tmp_path_factory.mktemp("training"))
