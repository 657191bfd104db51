"""What preparation checks and finds before anything expensive starts."""

from dataclasses import replace

import pytest

from palettune.search.experiment.experiment import Budget, ExperimentError
from palettune.search.preparation.inspection import Inspection
from palettune.space.search_space import SearchSpace
from tests.search.odd_weights import GRUS, NO_WEIGHT, PLAIN, prepared


def test_refused_layers_are_no_layers_and_say_why(unused):
    assert [layer.name for layer in unused.layers] == ["a", "b"]
    assert set(unused.space.menus) == {"a", "b"}
    assert unused.space.groups == (("a", "b"),)
    facts = Inspection.of(unused).to_json()
    assert "unused" in facts["kept"]["pooler"]
    assert "operand 'y' of add, which is not a weight operand" in facts["kept"]["cosine"]
    assert unused.identity()["refused"] == ["cosine", "pooler"]
    layers = 64 + 2 * 32 * 128 + 64 + 2 * 128 * 16
    header, biases, cosine = 64, (64 + 256) + (64 + 64), 64 + 2 * 6 * 16
    assert unused.reach.largest_bytes == layers + header + biases + cosine


def test_a_model_without_layers_is_told_why(tmp_path):
    words = (
        r"the model \(Network\) has no layer whose weight can be compressed \(scale: operand 'y' of mul, which is not"
    )
    with pytest.raises(ExperimentError, match=words):
        prepared(tmp_path, NO_WEIGHT)


@pytest.mark.slow
def test_a_model_of_recurrent_layers_alone_has_layers(tmp_path):
    found = prepared(tmp_path, GRUS)
    assert {layer.tensor for layer in found.layers} == {"gru.weight_ih_l0", "gru.weight_hh_l0"}
    assert found.coverage > 0.9


def test_a_case_of_no_device_costs_bytes_alone_and_every_choice_is_a_column(unused):
    small, large = (unused.space.uniform(e) for e in unused.space.menus["a"].encodings[1::-1])
    assert unused.costs(small).keys() == {"size_mb"}
    assert unused.costs(small)["size_mb"] * 1e6 == unused.weight_bytes(small) < unused.weight_bytes(large)
    assert unused.reach.smallest_bytes <= unused.weight_bytes(small)
    assert unused.columns() == [(name, e) for name in ("a", "b") for e in unused.space.menus["a"].encodings]


def test_the_identity_follows_what_is_searched_and_no_budget(unused):
    def identity(**changes):
        return replace(unused, experiment=unused.experiment.model_copy(update=changes)).identity()

    first = unused.identity()
    assert identity(budget=Budget(trials=99)) == first
    assert identity(seed=9)["experiment"] != first["experiment"]
    fewer = SearchSpace.build(unused.layers, unused.experiment.space.parsed[:2], unused.experiment.deployment_target)
    changed = replace(unused, space=fewer).identity()
    assert {key for key in first if first[key] != changed[key]} == {"menus"}


@pytest.mark.parametrize(
    ("asked", "key"),
    [
        ('[objectives]\nquality = {metric = "f1", direction = "maximize"}', "objectives.quality.metric"),
        ("[constraints.metrics.f1]\nmin = 0.5", "constraints.metrics.f1"),
    ],
)
def test_a_metric_that_is_not_given_is_refused_before_anything_is_converted(asked, key, tmp_path):
    with pytest.raises(ExperimentError, match=rf"{key}: a metric is asked for, but .*workload\.py defines no metrics"):
        prepared(tmp_path, PLAIN, asked)
    with pytest.raises(ExperimentError, match=rf"{key}: metrics\(\) gives no 'f1'; it gives top1"):
        prepared(tmp_path, PLAIN + '\ndef metrics(outputs, targets):\n    return {"top1": 0.5}\n', asked)
