import numpy as np
import pytest

from palettune.device_bench.cost.fit import Fit, fit
from palettune.device_bench.cost.observation import Observation
from palettune.device_bench.cost.op_table import OpTable
from palettune.device_bench.cost.shapes import ShapeBuilder
from palettune.device_bench.devices import specifications
from palettune.device_bench.devices.unit import Unit
from palettune.device_bench.package.stored_weight import StoredWeight
from palettune.space.encoding import Encoding


def observations(truth, chips, networks):
    found = []
    for chip in chips:
        for name, positions in networks:
            for spelling in ("fp16", "lut4", "int8"):
                b = ShapeBuilder()
                for i in range(8):
                    b.linear(f"l{i}", (2048, 2048), positions)
                entries = [(op, StoredWeight.of(Encoding.parse(spelling), op.weight_shape), False) for op in b.build()]
                table = OpTable.of(entries).merged()
                blank = Observation("s", name, chip, Unit.NEURAL_ENGINE, table, 0, 1.0)
                ms = float(truth.predict([blank])[0])
                found.append(Observation("s", name, chip, Unit.NEURAL_ENGINE, table, 0, ms))
    return found


def truth_for(chip):
    prior = fit(Unit.NEURAL_ENGINE, [])
    return Fit(
        prior.unit, prior.common, prior.families, {chip.name: {"stream": 1.4, "compute": 0.8, "activation": 1.0}}
    )


NETWORKS = [("decode", 1), ("short", 32), ("long", 1024)]


def test_a_fit_recovers_a_chip_that_departs_from_its_family():
    chip = specifications()["M3"]
    truth = truth_for(chip)
    found = fit(Unit.NEURAL_ENGINE, observations(truth, [chip], NETWORKS))
    unseen = observations(truth, [chip], [("unseen", 8), ("unseen too", 256)])
    predicted = found.predict(unseen)
    assert np.max(np.abs(np.log(predicted / [o.ms for o in unseen]))) < 0.12


def test_chips_never_measured_inherit_what_their_family_learned():
    measured, unseen = specifications()["M3"], specifications()["M4"]
    slow = {name: dict(values) for name, values in fit(Unit.NEURAL_ENGINE, []).families.items()}
    for values in slow.values():
        values["link_gbps"] = 30.0
    prior = fit(Unit.NEURAL_ENGINE, [])
    truth = Fit(prior.unit, prior.common, slow)
    found = fit(Unit.NEURAL_ENGINE, observations(truth, [measured], NETWORKS))
    assert found.values(unseen)["stream_gbps"] < 0.75 * prior.values(unseen)["stream_gbps"]


def test_rows_that_count_as_ratios_only_do_not_move_the_level():
    chip = specifications()["M3"]
    truth = truth_for(chip)
    rows = observations(truth, [chip], NETWORKS)
    scaled = [
        Observation(o.source, o.network, o.chip, o.unit, o.table, o.hosts, 7 * o.ms, o.dispatch, False) for o in rows
    ]
    free, held = fit(Unit.NEURAL_ENGINE, []), fit(Unit.NEURAL_ENGINE, scaled)
    level = np.median(held.predict(rows) / free.predict(rows))
    assert 0.6 < level < 1.6


def test_without_rows_the_fit_is_the_prior():
    found = fit(Unit.GPU, [])
    assert found.chips == {}
    assert found.common["conv_fraction"] == pytest.approx(0.6)
