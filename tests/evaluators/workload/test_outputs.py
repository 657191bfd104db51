"""Outputs over batches: the model's own object, and the tensors that count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from palettune.device_bench.model.outputs import OutputError
from palettune.evaluators.quality.divergence import Reference
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.workload.outputs import concatenate, first_non_finite_module, floating_outputs, joined_outputs
from tests.device_bench.model.test_outputs import ModelOutput, Strange


class Scores(NamedTuple):
    logits: Tensor
    loss: Tensor | None


@dataclass
class Boxes:
    boxes: list[Tensor]
    names: tuple[str, ...]


def batch(first: float, count: int) -> Tensor:
    return torch.full((count, 3), float(first))


def test_the_models_own_object_is_made_again_over_all_batches() -> None:
    joined = joined_outputs([ModelOutput(logits=batch(0, 2), loss=None), ModelOutput(logits=batch(1, 3), loss=None)])
    assert type(joined) is ModelOutput
    assert joined.logits is joined["logits"] is joined[0]
    assert joined.logits.tolist() == [[0.0] * 3] * 2 + [[1.0] * 3] * 3
    assert joined.loss is None

    joined = joined_outputs([Scores(batch(0, 2), None), Scores(batch(1, 2), None)])
    assert (type(joined), joined.logits.shape, joined.loss) == (Scores, (4, 3), None)

    joined = joined_outputs([Boxes([batch(0, 2), batch(5, 2)], ("a", "b"))] * 2)
    assert (type(joined), joined.names) == (Boxes, ("a", "b"))
    assert [tuple(box.shape) for box in joined.boxes] == [(4, 3), (4, 3)]


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ([(None, 4, "text"), (None, 4, "text")], (None, 4, "text")),
        ([(4, True), (3, True)], ([4, 3], True)),  # the last batch is smaller
        ([{"a": 1}, {"b": 1}], [{"a": 1}, {"b": 1}]),
        ([[1], [1, 1]], [[1], [1, 1]]),
        ([None, 1], [None, 1]),
        ([1, 1.0], [1, 1.0]),
        ([float("nan")] * 2, [float("nan")] * 2),
    ],
)  # fmt: skip
def test_what_is_no_tensor_is_itself_where_it_is_the_same_and_else_a_list_by_batch(parts: Any, wanted: Any) -> None:
    joined = joined_outputs(parts)
    assert str(joined) == str(wanted)
    assert type(joined) is type(wanted)


def test_tensors_that_do_not_join() -> None:
    stacked = joined_outputs([{"loss": torch.tensor(1.0)}, {"loss": torch.tensor(3.0)}])
    assert stacked["loss"].tolist() == [1.0, 3.0]
    other = joined_outputs([torch.zeros(2, 3), torch.zeros(2, 4)])
    assert [tuple(value.shape) for value in other] == [(2, 3), (2, 4)]


def test_a_structure_that_cannot_be_made_again_is_named() -> None:
    class Sealed(tuple):
        __slots__ = ()

        def __new__(cls, first: Tensor, second: Tensor) -> Sealed:
            return super().__new__(cls, (first, second))

    with pytest.raises(OutputError, match=r"Sealed cannot be rebuilt .*return a dict or a tuple"):
        joined_outputs([Sealed(batch(0, 1), batch(0, 1))] * 2)


def test_targets_of_any_sort_stay_by_batch() -> None:
    assert concatenate([["cat", "dog"], ["cow", "hen"]]) == [["cat", "dog"], ["cow", "hen"]]
    assert concatenate([3, 3]) == [3, 3]
    assert concatenate([None, None]) is None
    assert concatenate([{"y": batch(0, 1)}, {"y": batch(1, 1)}])["y"].shape == (2, 3)


def test_whole_numbers_and_plain_values_are_no_part_of_a_divergence() -> None:
    def outputs(value: float) -> Any:
        logits = batch(value, 2)
        return logits, None, {"best": logits.argmax(-1), "aux": [logits * 2, None]}, 2, logits.mean()

    assert [name for name, _ in floating_outputs(outputs(1))] == ["output.0", "output.2.aux.0", "output.4"]
    reference = Reference.of(DivergenceKind.SQUARED_ERROR, [outputs(1)])
    assert reference.by_sample(0, outputs(1)).tolist() == [0.0, 0.0]
    assert reference.by_sample(0, outputs(1.5)).tolist() == pytest.approx([0.25, 0.25])


def test_the_first_module_that_is_not_finite_is_found_beside_outputs_of_unknown_types() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return Strange(), x

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.odd, self.log = Odd(), nn.Threshold(1e9, float("nan"))

        def forward(self, x: Tensor) -> Tensor:
            return self.log(self.odd(x)[1])

    assert first_non_finite_module(Network(), (batch(1, 1),)) == "log"
