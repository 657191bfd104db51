"""What must be known to read a study without the user's model."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palettune.device_bench.cost.shapes import ShapeBuilder
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.search.experiment.experiment import Experiment
from palettune.search.study.study_context import StudyContext
from palettune.space.layer import Layer, LayerKind, WeightView
from palettune.space.search_space import SearchSpace
from tests.search import latency_space

TIED = Layer("tied", LayerKind.LINEAR, (32, 16), 1, (("other", LayerKind.EMBEDDING),), 32)
PART = Layer("gates.1", LayerKind.LINEAR, (2, 16), parameter="gates", view=WeightView(32, ((0, 32), 1)))
SPACE = SearchSpace.build(
    (TIED, Layer("conv", LayerKind.CONV2D, (8, 4, 3, 3), 2), PART), latency_space.MENU[:3], latency_space.TARGET
)
CONTEXT = StudyContext("id", DivergenceKind.KL, 5.0, {"top1": 0.9}, {"size_mb": 1.0}, 100, "scores", SPACE)


def ops():
    builder = ShapeBuilder()
    for name, (outputs, inputs, positions) in latency_space.WIDTHS.items():
        builder.linear(name, (inputs, outputs), positions)
    return builder.build()


def read_back(context):
    return StudyContext.from_json(json.loads(json.dumps(context.to_json())))


@given(st.sampled_from(DivergenceKind), st.floats(1e-6, 100), st.integers(0, 10**9))
def test_facts_layers_and_menus_come_back_from_a_journal_as_they_were(kind, chance, rest):
    context = replace(CONTEXT, kind=kind, chance=chance, rest_bytes=rest)
    found = read_back(context)
    assert replace(found, space=SPACE) == context
    assert (found.space.layers, found.space.groups, found.space.choices) == (SPACE.layers, SPACE.groups, SPACE.choices)


def test_layers_of_before_packages_could_be_searched_had_16_bits():
    values = CONTEXT.to_json()
    for layer in values["layers"]:
        del layer["float_bits"], layer["parameter"], layer["view"]
    del values["ops"]
    found = StudyContext.from_json(values).space.layers
    assert {(layer.float_bits, layer.parameter, layer.view) for layer in found} == {(16, "", None)}
    assert StudyContext.from_json(values).ops is None


def test_a_latency_is_predicted_as_it_was_and_only_for_a_device():
    context = replace(CONTEXT, space=latency_space.space(), ops=ops())
    anywhere = Experiment(name="x", workload="w.py")
    somewhere = Experiment(name="x", workload="w.py", device={"name": "iPhone 15 Pro", "compute_unit": "CPU_AND_NE"})
    assert context.latency(anywhere) is None
    assert CONTEXT.latency(somewhere) is None  # the study holds no ops: it was made without a device
    configuration = context.space.uniform(latency_space.MENU[2])
    first, again = (c.latency(somewhere).predict(configuration).ms for c in (context, read_back(context)))
    assert first == again > 0
    assert context.latency(somewhere).predict(configuration).ms < context.latency(somewhere).predict(
        context.space.uniform(latency_space.MENU[0])
    ).ms  # fmt: skip


def test_objectives_are_on_the_model_s_own_scale():
    quality, size = CONTEXT.objectives(Experiment(name="x", workload="w.py")).objectives
    assert (quality.name, quality.reference, size.reference) == ("divergence", 5.0, 1.0)
    metric = {"metric": "top1", "direction": "maximize"}
    quality, _ = CONTEXT.objectives(Experiment(name="x", workload="w.py", objectives={"quality": metric})).objectives
    assert (quality.origin, quality.loss(0.9), quality.loss(0.45)) == (0.9, 0.0, pytest.approx(0.5))


def test_ids_differ():
    assert len({StudyContext.new_id() for _ in range(50)}) == 50
