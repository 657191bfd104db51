"""What a trial's run in MLflow says."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Metric, Param
from mlflow.utils.validation import _validate_batch_log_data

from palettune.evaluators.quality.evaluation import Evaluation, Failure, Screened, Stage, Workflow
from palettune.evaluators.quality.gain import Gain
from palettune.search.study.record import Record
from palettune.search.tracking.run_contents import (
    ModelScale,
    encoding_parameters,
    measured_metrics,
    mlflow_key,
    run_name,
    trial_tags,
    unseen_metrics,
)
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import Encoding
from tests.search.studies import SPACE

LUT4 = Encoding.parse("lut4")
CONFIGURATION = Configuration({"head": LUT4, "stem": Encoding.parse("fp16")})


def record(result=None, **known):
    result = result or Evaluation(
        CONFIGURATION.hash, Workflow.DATA_FREE, 0.1334, tuple([0.1, 0.1668] * 8), {"top1": 0.5}
    )
    values = (result.divergence, 2.094) if isinstance(result, Evaluation) else None
    filled = {
        "trial": 7, "origin": "guided", "configuration": CONFIGURATION, "workflow": result.workflow if values else
        Workflow.DATA_FREE, "values": values, "costs": {"size_mb": 2.094}, "feasible": values is not None,
        "answered_from": None, "span": (10.0, 12.5),
    }  # fmt: skip
    return Record.of(result, **filled | known)


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (record(), "2.09 MB · 0.133 · data-free"),
        (record(origin="uniform lut8"), "2.09 MB · 0.133 · uniform lut8"),
        (
            record(rung="calibration", escalated_from=3, workflow=Workflow("calibration")),
            "2.09 MB · 0.133 · calibrated",
        ),
        (record(rung="fine_tuning", escalated_from=3), "2.09 MB · 0.133 · fine-tuned"),
        (record(rung="int8_activations", escalated_from=3), "2.09 MB · 0.133 · int8 inputs"),
        (record(rung="adapters", escalated_from=3), "2.09 MB · 0.133 · adapters"),
        (record(costs={"size_mb": 1234.5, "latency_ms": 3.1}), "1234 MB · 3.10 ms · 0.133 · data-free"),
        (record(values=(0.0000123, 1.0)), "2.09 MB · 1.23e-05 · data-free"),
        (record(Failure(Stage.FORWARD, "not finite")), "2.09 MB · failed · trial 7"),
        (record(Screened(3, 24, 1.0, 0.1)), "2.09 MB · screened out · trial 7"),
    ],
)
def test_a_name_tells_what_costs_how_much_and_how_it_was_made(made, name):
    assert run_name(made) == name


def test_encodings_are_parameters_whose_keys_sort_in_model_order():
    layers = tuple(f"block.{i}" for i in range(12))[::-1]
    names = [*layers, "extra"]
    rounded = {"block.3": Precision.INT8}
    found = encoding_parameters(Configuration(dict.fromkeys(names, LUT4), rounded), layers)
    assert [key.split(" ")[1] for key in sorted(found)] == names
    assert sorted(found)[0] == "00 block.11"
    assert found["08 block.3"] == "lut4, int8 input"
    assert found["00 block.11"] == "lut4"


@pytest.mark.slow
@given(st.lists(st.text(min_size=1), min_size=1, max_size=12, unique=True), st.text(min_size=1))
def test_mlflow_takes_every_name_of_a_layer_and_of_a_metric(layers, metric):
    parameters = encoding_parameters(Configuration(dict.fromkeys(layers, LUT4)), layers)
    assert len(parameters) == len(layers)
    given_parameters = [Param(key, value) for key, value in parameters.items()]
    _validate_batch_log_data([Metric(mlflow_key(f"unseen.{metric}"), 1.0, 0, 0)], given_parameters, [])


def test_figures_are_those_of_the_model_beside_those_of_the_evaluation():
    scale = ModelScale(("stem", "head"), weights=4_000_000, rest_bytes=94_000, float_mb=8.376)
    gains = (Gain("moments", None, 2.0, 1.5, 0.1, 16, True), Gain("moments", "head", 2.0, 1.0, 0.1, 16, True))
    found = measured_metrics(record(gains=gains), scale)
    low, high = found.pop("divergence.low"), found.pop("divergence.high")
    assert 0.1 < low < found["divergence"] < high < 0.1668
    assert found == {
        "size_mb": 2.094, "divergence": 0.1334, "top1": 0.5, "seconds": 2.5, "gain.moments": 0.5,
        "bits_per_weight": pytest.approx(4.0), "compression": pytest.approx(4.0),
    }  # fmt: skip


def test_what_is_not_known_is_left_out():
    found = measured_metrics(record(Failure(Stage.FORWARD, "not finite")), ModelScale())
    assert found == {"size_mb": 2.094, "seconds": 2.5}
    odd = Evaluation("x", Workflow.DATA_FREE, math.inf, (0.5,), {"a (%)": 1.0})
    assert measured_metrics(record(odd), ModelScale()) == {"size_mb": 2.094, "seconds": 2.5, "a ___": 1.0}


def test_figures_on_unseen_data_have_names_of_their_own():
    confirmed = Evaluation("x", Workflow.DATA_FREE, 0.2, (0.1, 0.3) * 8, {"top1": 0.4})
    found = unseen_metrics(confirmed)
    assert (found["unseen.divergence"], found["unseen.top1"]) == (0.2, 0.4)
    assert found["unseen.divergence.low"] < 0.2 < found["unseen.divergence.high"]


def test_tags_name_the_trial_and_say_why_it_does_not_count():
    assert trial_tags(record(rung="calibration", escalated_from=3)) == {
        "trial": "7", "workflow": "data_free", "configuration_hash": CONFIGURATION.hash, "origin": "guided",
        "escalated_from": "3",
    }  # fmt: skip
    assert trial_tags(replace(record(), feasible=False))["status_reason"] == "a constraint is not met"
    assert "not finite" in trial_tags(record(Failure(Stage.FORWARD, "not finite")))["status_reason"]
    assert re.match("screened out", trial_tags(record(Screened(3, 24, 1.0, 0.1)))["status_reason"])


def test_the_scale_is_that_of_the_study_s_model():
    from tests.search.studies import study_of

    scale = ModelScale.of(study_of().context)
    assert scale.layers == tuple(layer.name for layer in SPACE.layers)
    assert (scale.weights, scale.float_mb) == (64 * 64 * 15, 100.0)
