"""Which output is taken as logits, from whatever networks give."""

import pytest
import torch
from torch import Tensor, nn

from models.networks.errors import NetworkError
from models.networks.outputs import OneOutput, described, entries_of, one_of

A, B = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 2, 2)
STACK = torch.stack([A, A + 2], dim=1)


class Gives(nn.Module):
    def __init__(self, outputs: object) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: Tensor) -> object:
        return self.outputs


@pytest.mark.parametrize(
    ("outputs", "output", "expected"),
    [
        ([A, B], 1, B),
        ((A, B), 0, A),
        ({"out": A, "aux": B}, "aux", B),
        (STACK, 1, A + 2),  # deep supervision as a stack, in training
        (A, 1, A),  # and a single tensor in evaluation
    ],
)
def test_an_entry_is_chosen_by_number_or_key(outputs: object, output: int | str, expected: Tensor) -> None:
    assert torch.equal(OneOutput(Gives(outputs), output)(A), expected)


@pytest.mark.parametrize(
    ("outputs", "output", "said"),
    [
        ([A, B], 2, r"model\.output is 2.* list of 2 \(0: \(2, 1, 4, 4\), 1: \(2, 1, 2, 2\)\)"),
        ({"out": A}, "logits", r"model\.output is 'logits'.*\(out: \(2, 1, 4, 4\)"),
        ([A, [B, B]], 1, r"model\.output=1 is no tensor but a list of 2 .*module of your own"),
        (3, 0, r"gives a int"),
    ],
)
def test_what_is_no_entry_is_told_with_what_there_is(outputs: object, output: int | str, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        one_of(outputs, output)


def test_a_single_tensor_has_no_entries() -> None:
    assert entries_of(A) == {}
    assert list(entries_of(STACK)) == [0, 1]
    assert described(A) == "a tensor (2, 1, 4, 4)"
