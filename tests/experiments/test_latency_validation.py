"""The validation of predicted latency: its networks, its rows, and that nothing held out is ever seen."""

import numpy as np
import pytest

from experiments.benchmarks.latency_validation.networks import network
from experiments.benchmarks.latency_validation.published import observation, origin, rows
from experiments.benchmarks.latency_validation.validation import Case, leave_out, ratios, score, spread
from palettune.device_bench.devices.unit import Unit

# Multiply-accumulates in 10^9 and weights in 10^6, as the papers and model cards give them.
PUBLISHED_SIZES = {
    "mobilenet_v2": (0.30, 3.5),
    "mobilenet_v3_small": (0.056, 2.5),
    "resnet50": (4.1, 25.6),
    "mobilevit_v2": (1.8, 4.9),
    "mobilenet_v4_conv_large": (5.9, 32.6),
    "fastvit_t8": (0.7, 4.0),
    "fastvit_ma36": (7.9, 44.1),
    "gpt2-xl": (None, 1638),  # 1558 M and the head's copy of the embedding
    "pythia-1b": (None, 1012),
    "llama-2-7b-decode": (None, 6738),
    "sd-2.1-step": (None, 866),
    "sdxl-768-step": (None, 2567),
    "parakeet-encoder": (None, 608),
}


@pytest.mark.parametrize(("key", "sizes"), PUBLISHED_SIZES.items())
def test_networks_from_shapes_have_the_published_size(key, sizes):
    ops = network(key)
    assert ops.weight_elements / 1e6 == pytest.approx(sizes[1], rel=0.03)
    if sizes[0]:
        assert ops.macs / 1e9 == pytest.approx(sizes[0], rel=0.09)


@pytest.fixture(scope="module")
def cases():
    return [Case(row, observation(row)) for row in rows()]


def test_rows_count_once_and_other_runtimes_never(cases):
    assert len({case.row.key for case in cases}) == len(cases) > 200
    assert not any("OTHER_RUNTIME" in case.row.unit for case in cases)
    assert all(row.reason for row in rows(("ratio", "excluded")))


@pytest.mark.parametrize("key", [str, origin])
def test_a_held_out_source_is_never_seen(cases, key):
    held_sources = []

    def spy(training, held_out):
        sources = {key(o.source) for o in held_out}
        assert len(sources) == 1
        assert not sources & {key(o.source) for o in training}
        held_sources.extend(sources)
        return np.ones(len(held_out))

    leave_out(cases, spy, key)
    assert sorted(held_sources) == sorted({key(case.row.source) for case in cases})


def test_a_perfect_prediction_scores_perfectly_and_a_level_error_is_calibrated_away(cases):
    published = np.array([case.row.latency_ms for case in cases])
    perfect = score(cases, published)
    assert (perfect.ratio_median, perfect.ratio_p90, perfect.calibrated, perfect.absolute) == (0, 0, 0, 0)
    assert perfect.tau == 1
    double = score(cases, 2 * published)
    assert double.absolute == pytest.approx(1)
    assert double.calibrated == pytest.approx(0)
    assert score(cases, 1 / published).tau == -1
    assert spread(cases, 2 * published).level == pytest.approx(np.log(2))
    assert spread(cases, 2 * published).ratio == pytest.approx(0)


def test_ratios_stay_within_one_source_network_and_device(cases):
    published = np.array([case.row.latency_ms for case in cases])
    for ratio in ratios(cases, published):
        assert ratio.case.row.encoding != "fp16" or ratio.case.row.activations != "fp16"
        assert ratio.measured == pytest.approx(ratio.predicted)


def test_most_of_the_rows_run_on_the_neural_engine(cases):
    counted = {unit: sum(case.observed.unit is unit for case in cases) for unit in Unit}
    assert counted[Unit.NEURAL_ENGINE] > counted[Unit.GPU] + counted[Unit.CPU]
