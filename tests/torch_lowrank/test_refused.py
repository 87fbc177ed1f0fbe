"""What cannot be worked on is refused in a sentence that says what to do."""

import threading

import pytest
import torch
from torch import nn

import torch_lowrank as lr

IMAGES = torch.randn(4, 2, 8, 8)


def make():
    return nn.Sequential(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 2, 3)).eval()


CALLS = {
    "compress": lambda network, folder: lr.compress(network, lr.FixedRank(1)),
    "decompose": lambda network, folder: lr.decompose(network),
    "collect_statistics": lambda network, folder: lr.collect_statistics(network, [IMAGES]),
    "recalibrate": lambda network, folder: lr.recalibrate(network, [IMAGES]),
    "for_inference": lambda network, folder: lr.for_inference(network),
    "save_network": lr.save_network,
}


@pytest.mark.parametrize("call", [*CALLS.values(), lambda network, _: lr.count_macs(network, (2, 8, 8))])
def test_what_is_no_network_is_refused(call, tmp_path):
    with pytest.raises(TypeError, match="of type OrderedDict, a state dict perhaps; make the network, let it load"):
        call(make().state_dict(), tmp_path / "network")
    with pytest.raises(TypeError, match=r"the network is of type str; give an nn\.Module"):
        call("network.pt", tmp_path / "network")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("compiled", [torch.jit.script, lambda network: torch.jit.trace(network, IMAGES)])
def test_script_modules_are_refused(call, compiled, tmp_path):
    with pytest.raises(TypeError, match="is a ScriptModule, whose layers cannot be replaced; give the module that was"):
        call(compiled(make()), tmp_path / "network")


@pytest.mark.filterwarnings("ignore")
def test_a_script_module_inside_stays_as_it_is():
    network = nn.Sequential(torch.jit.script(make()), nn.Conv2d(2, 8, 3)).eval()
    result = lr.compress(network, lr.FixedRank(1))
    assert [layer.rank for layer in result.layers if layer.name == "1"] == [1]
    assert all("cannot be factorised" in layer.skipped for layer in result.layers if layer.name != "1")
    with torch.no_grad():
        assert torch.equal(result.network[0](IMAGES), network[0](IMAGES))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_lazy_layers_are_refused_until_they_have_a_shape(call, tmp_path):
    network = nn.Sequential(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.Conv2d(8, 2, 3)).eval()
    with pytest.raises(ValueError, match=r"'0\.weight' is lazy, without a shape; call the network once on an input"):
        call(network, tmp_path / "network")
    network(IMAGES)
    call(network, tmp_path / "network")


@pytest.mark.parametrize(
    "call",
    [
        CALLS["compress"],
        CALLS["for_inference"],
        lambda network, _: lr.count_macs(network, (2, 8, 8)),
    ],
)
def test_what_cannot_be_copied_is_named(call, tmp_path):
    network = make()
    network[1].guard = threading.Lock()
    with pytest.raises(TypeError, match=r"attribute '1\.guard', a lock .*; delete it before, and set it again on both"):
        call(network, tmp_path)


@pytest.mark.parametrize("batch", [IMAGES[:, :1], IMAGES.double(), IMAGES.long(), IMAGES[0]])
@pytest.mark.parametrize("call", [lr.collect_statistics, lr.recalibrate])
def test_a_batch_that_the_network_cannot_take_is_described(call, batch):
    shape, dtype = str(tuple(batch.shape)).replace("(", r"\(").replace(")", r"\)"), str(batch.dtype).split(".")[1]
    with pytest.raises(
        ValueError, match=f"failed on a batch of a Tensor of shape {shape} and type {dtype}: .*; where .*, give batches"
    ):
        call(make(), [batch])


def test_a_network_that_fails_by_itself_is_not_said_to_have_got_a_wrong_batch():
    class Fails(nn.Conv2d):
        def forward(self, x):
            raise RuntimeError("CUDA error: misaligned address\nCompile with TORCH_USE_CUDA_DSA.\n")

    with pytest.raises(ValueError, match="failed on a batch") as caught:
        lr.recalibrate(nn.Sequential(Fails(2, 3, 3), nn.BatchNorm2d(3)), [IMAGES])
    assert str(caught.value).startswith(
        "the network failed on a batch of a Tensor of shape (4, 2, 8, 8) and type float32: CUDA error: misaligned "
        "address; where shape or type is the reason, "
    )
    assert str(caught.value.__cause__).startswith("CUDA error")


def test_keyword_arguments_are_described_too():
    with pytest.raises(ValueError, match=r"a batch of image=a Tensor of shape \(4, 2, 8, 8\) and type float32: "):
        lr.recalibrate(make(), [{"image": IMAGES}])


@pytest.mark.parametrize("call", [lr.collect_statistics, lr.recalibrate])
def test_a_single_batch_in_the_place_of_batches_is_refused(call):
    with pytest.raises(TypeError, match=r"the batches are a tensor of shape \(4, 2, 8, 8\); give a list of batches"):
        call(make(), IMAGES)
    with pytest.raises(TypeError, match=r"the batches are a dict; give a list of batches, as \[batch\]"):
        call(make(), {"input": IMAGES})


def test_a_pinned_rank_above_the_full_rank_is_refused():
    network = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 30))
    with pytest.raises(ValueError, match="pin: layer '1' has a full rank of 8; rank 9 is more than it can have"):
        lr.compress(network, lr.FixedRank(1), pin={"0": 2, "1": 9})
    with pytest.raises(ValueError, match="layer '0' has a full rank of 8; rank 30"):
        lr.compress(network, lr.FixedRank(1), pin={"*": 30})
    layers = lr.compress(network, lr.FixedRank(1), pin={"0": 2, "*": 8}).layers
    assert [layer.rank for layer in layers] == [2, None]


def test_attention_names_both_of_its_projections():
    network = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    reports = {layer.name: layer for layer in lr.compress(network, lr.FixedRank(1)).layers}
    assert reports["self_attn"].skipped == (
        "a MultiheadAttention layer hands its projections to one function, and calls no layer for them"
    )
    assert reports["self_attn"].params_before == 8 * 24 + 24 + 8 * 8 + 8
    assert reports["self_attn.out_proj"].skipped == "its attention reads the weight and never calls the layer"
    assert [reports[name].rank for name in ("linear1", "linear2")] == [1, 1]
