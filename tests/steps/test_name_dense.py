"""The step that gives the dense network of a further training its name."""

import torch

from models.preprocessing import Preprocessing
from models.unet import UNet
from models.variant import Variant
from models.variant_spec import BASELINE, VariantSpec
from steps.name_dense import name_dense


def test_the_network_stays_what_it_is_under_another_name() -> None:
    torch.manual_seed(0)
    trained = Variant(BASELINE, UNet(1, 1, 2), Preprocessing(0.18, 0.2), 1)
    named = name_dense.entrypoint(trained, VariantSpec("baseline", filters=2, seed=3))
    assert named.name == "filters_2_seed_3"
    assert named.spec.is_dense
    assert (named.network, named.preprocessing, named.classes) == (trained.network, trained.preprocessing, 1)
    assert named.digest() != trained.digest(), "what follows is another comparison's"
    assert trained.name == "baseline"
