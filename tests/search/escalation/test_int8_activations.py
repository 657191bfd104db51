"""What an escalation to activations in 8 bits asks for."""

from dataclasses import replace

import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.escalation.int8_activations import with_int8_activations
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding


def record_of(encodings):
    configuration = Configuration({name: Encoding.parse(spelling) for name, spelling in encodings.items()})
    return Record.of(
        Evaluation(configuration.hash, Workflow.DATA_FREE, 0.5, (0.5,)), trial=3, origin="tpe",
        configuration=configuration, workflow=Workflow.DATA_FREE, values=(0.5, 99.0), costs={"size_mb": 99.0},
        feasible=True, answered_from=None, span=(0.0, 1.0),
    )  # fmt: skip


def test_the_evaluation_is_the_same_but_for_rounded_inputs_and_what_they_would_cost(small):
    preparation, _ = small
    record = record_of({"0": "int8", "2": "lut4"})
    asked = with_int8_activations(preparation)(record)
    assert asked.configuration == Configuration(record.configuration.encodings, {"0": Precision.INT8})
    assert asked.costs == preparation.costs(asked.configuration) != record.costs
    assert replace(asked, configuration=record.configuration, costs=record.costs) == record


@pytest.mark.parametrize("encodings", [{"0": "lut8", "2": "fp16"}, {"0": "lut4", "2": "lut4"}])
def test_nothing_is_asked_for_where_no_layer_takes_rounded_inputs(small, encodings):
    assert with_int8_activations(small[0])(record_of(encodings)) is None


def test_rounded_inputs_are_not_rounded_again(small):
    ask = with_int8_activations(small[0])
    assert ask(ask(record_of({"0": "int8", "2": "int8"}))) is None
