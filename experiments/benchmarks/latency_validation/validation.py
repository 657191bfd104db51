"""Leave-one-source-out predictions of the published rows, and how far they are off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.latency_validation.baselines import Model
from experiments.benchmarks.latency_validation.published import Row
from palettune.device_bench.cost.fit import Fit, fit
from palettune.device_bench.cost.fitted import Spread
from palettune.device_bench.cost.observation import Observation
from palettune.device_bench.cost.priors import Beliefs, Prior, priors
from palettune.device_bench.devices.unit import Unit

Vector = NDArray[np.float64]
NOTICEABLE = 1.10
FEW_SOURCES = 5
WIDE = float(np.log(1.35))
"""Fewer sources than that cannot tell an 80 % quantile; no interval of a latency is then narrower than this."""


@dataclass(frozen=True)
class Case:
    """A row and its observation."""

    row: Row
    observed: Observation


@dataclass(frozen=True)
class Ratio:
    """A compressed row beside the fp16 row of its source, network, device and setting."""

    case: Case
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """Relative error."""
        return abs(self.predicted / self.measured - 1)


@dataclass(frozen=True)
class Scores:
    """Errors of one model on one set of rows; None where no row tells.

    Attributes:
        ratio_median: median relative error of compressed over fp16 latency.
        ratio_p90: its 90th percentile.
        calibrated: median relative error of a latency after one calibration point for each network and device.
        absolute: median relative error of a latency with none.
        tau: Kendall's tau over pairs of one network and device whose latencies differ by more than 10 %.
        counts: rows behind each figure: ratios, calibrated, absolute, pairs.
    """

    ratio_median: float | None
    ratio_p90: float | None
    calibrated: float | None
    absolute: float | None
    tau: float | None
    counts: tuple[int, int, int, int]


def shifted_model(seed: int) -> Model:
    """The cost model with every prior's centre moved by one of its own standard deviations, up or down at random."""
    random = np.random.default_rng(seed)

    def moved(prior: Prior) -> Prior:
        return Prior(prior.at(float(random.choice((-1.0, 1.0)))), prior.spread)

    beliefs: dict[Unit, Beliefs] = {}
    for unit in Unit:
        common, family = priors(unit)
        by_family = {name: {f: moved(p) for f, p in values.items()} for name, values in family.items()}
        beliefs[unit] = ({name: moved(prior) for name, prior in common.items()}, by_family)

    def model(training: Sequence[Observation], held_out: Sequence[Observation]) -> Vector:
        found = np.zeros(len(held_out))
        for unit in dict.fromkeys(o.unit for o in held_out):
            index = [i for i, o in enumerate(held_out) if o.unit is unit]
            found[index] = fit(unit, training, beliefs[unit]).predict([held_out[i] for i in index])
        return found

    return model


def cost_model(training: Sequence[Observation], held_out: Sequence[Observation]) -> Vector:
    """Fits every unit to the training rows and predicts the others."""
    found = np.zeros(len(held_out))
    for unit in Unit:
        index = [i for i, o in enumerate(held_out) if o.unit is unit]
        if index:
            found[index] = _fitted(unit, training).predict([held_out[i] for i in index])
    return found


def _fitted(unit: Unit, training: Sequence[Observation]) -> Fit:
    """A fit, found once for the same rows on the same unit."""
    own = tuple(o for o in training if o.unit is unit)
    key = (unit, tuple(map(id, own)))
    if key not in _FITS:
        _FITS[key] = fit(unit, own)
    return _FITS[key]


_FITS: dict[tuple[Unit, tuple[int, ...]], Fit] = {}


def leave_out(cases: Sequence[Case], model: Model, key: Callable[[str], str]) -> Vector:
    """Predictions of every row by a model that saw no row of the same source (or origin).

    Models are told nothing of the row's latency, network or chip beyond the published specification.
    """
    found = np.zeros(len(cases))
    for source in dict.fromkeys(key(case.row.source) for case in cases):
        held = [i for i, case in enumerate(cases) if key(case.row.source) == source]
        training = [case.observed for case in cases if key(case.row.source) != source]
        found[held] = model(training, [cases[i].observed for i in held])
    return found


def groups(cases: Sequence[Case]) -> dict[tuple[str, ...], list[int]]:
    """Rows by source, network, device and setting."""
    found: dict[tuple[str, ...], list[int]] = {}
    for i, case in enumerate(cases):
        row = case.row
        found.setdefault((row.source, row.network, row.chip, row.unit), []).append(i)
    return found


def reference(cases: Sequence[Case], members: Sequence[int]) -> int | None:
    """The fp16 row of a group."""
    plain = [i for i in members if cases[i].row.encoding == "fp16" and cases[i].row.activations == "fp16"]
    return plain[0] if plain else None


def ratios(cases: Sequence[Case], predicted: Vector) -> list[Ratio]:
    """Every compressed row over the fp16 row of its group."""
    found = []
    for members in groups(cases).values():
        base = reference(cases, members)
        if base is not None:
            found += [
                Ratio(cases[i], _ms(cases[i]) / _ms(cases[base]), float(predicted[i] / predicted[base]))
                for i in members
                if i != base
            ]
    return found


def score(cases: Sequence[Case], predicted: Vector) -> Scores:
    """All figures of one model."""
    of_ratios = np.array([ratio.error for ratio in ratios(cases, predicted)])
    absolute = np.array([abs(p / _ms(c) - 1) for c, p in zip(cases, predicted, strict=True) if c.observed.absolute])
    calibrated = _calibrated(cases, predicted)
    agreement = _agreement(cases, predicted)
    return Scores(
        _quantile(of_ratios, 0.5),
        _quantile(of_ratios, 0.9),
        _quantile(calibrated, 0.5),
        _quantile(absolute, 0.5),
        float(np.mean(agreement)) if agreement else None,
        (len(of_ratios), len(calibrated), len(absolute), len(agreement)),
    )


def spread(cases: Sequence[Case], predicted: Vector) -> Spread:
    """Half widths of 80 % intervals; each group of rows counts once, so that no long table rules.

    The ratio's is measured within groups, from the fp16 row or the first.
    """
    levels, within = [], []
    for members in groups(cases).values():
        errors = np.array([np.log(predicted[i] / _ms(cases[i])) for i in members])
        base = reference(cases, members)
        anchor = members.index(base) if base is not None else 0
        if cases[members[0]].observed.absolute:
            levels += [(abs(e), 1 / len(members)) for e in errors]
        within += [(abs(e - errors[anchor]), 1 / (len(members) - 1)) for i, e in enumerate(errors) if i != anchor]
    few = len({case.row.source for case in cases}) < FEW_SOURCES
    level = _weighted_quantile(levels, 0.8)
    return Spread(max(level, WIDE) if few else level, _weighted_quantile(within, 0.8))


def left_out_twice(cases: Sequence[Case], key: Callable[[str], str]) -> dict[str, Vector]:
    """For each source, predictions of all other rows by models that saw neither that source nor the row's own."""
    sources = list(dict.fromkeys(key(case.row.source) for case in cases))
    found = {source: np.full(len(cases), np.nan) for source in sources}
    for n, first in enumerate(sources):
        for second in sources[n + 1 :]:
            training = [case.observed for case in cases if key(case.row.source) not in (first, second)]
            held = [i for i, case in enumerate(cases) if key(case.row.source) in (first, second)]
            predicted = cost_model(training, [cases[i].observed for i in held])
            for i, value in zip(held, predicted, strict=True):
                found[second if key(cases[i].row.source) == first else first][i] = value
    return found


def coverage(
    cases: Sequence[Case],
    predicted: Vector,
    twice: dict[str, Vector],
    chosen: Callable[[Case], bool],
    key: Callable[[str], str],
) -> tuple[float, float]:
    """Share of chosen rows inside their 80 % interval: of latencies, and of ratios to fp16.

    The widths for a source come from other sources' rows on the same processor, as ``left_out_twice`` predicts them.
    """
    inside: list[bool] = []
    within: list[bool] = []
    for source, others in twice.items():
        for unit in Unit:
            basis = [i for i, c in enumerate(cases) if key(c.row.source) != source and c.observed.unit is unit]
            held = [i for i, c in enumerate(cases) if key(c.row.source) == source and c.observed.unit is unit]
            mine = [i for i in held if chosen(cases[i])]
            if not mine or not basis:
                continue
            widths = spread([cases[i] for i in basis], others[basis])
            inside += [
                abs(np.log(predicted[i] / _ms(cases[i]))) <= widths.level for i in mine if cases[i].observed.absolute
            ]
            of_ratios = ratios([cases[i] for i in mine], predicted[mine])
            within += [abs(np.log(r.predicted / r.measured)) <= widths.ratio for r in of_ratios]
    return (float(np.mean(inside)) if inside else np.nan, float(np.mean(within)) if within else np.nan)


def _calibrated(cases: Sequence[Case], predicted: Vector) -> Vector:
    errors = []
    for members in groups(cases).values():
        base = reference(cases, members)
        anchor = members[0] if base is None else base
        factor = _ms(cases[anchor]) / predicted[anchor]
        errors += [abs(factor * predicted[i] / _ms(cases[i]) - 1) for i in members if i != anchor]
    return np.array(errors)


def _agreement(cases: Sequence[Case], predicted: Vector) -> list[float]:
    """1 for each pair in the right order, -1 in the wrong one, 0 for a predicted tie."""
    found: list[float] = []
    for members in groups(cases).values():
        for n, i in enumerate(members):
            for j in members[n + 1 :]:
                measured = np.log(_ms(cases[i]) / _ms(cases[j]))
                if abs(measured) > np.log(NOTICEABLE):
                    difference = np.log(predicted[i] / predicted[j])
                    found.append(0.0 if abs(difference) < 1e-9 else float(np.sign(measured * difference)))
    return found


def _ms(case: Case) -> float:
    return case.row.latency_ms


def _quantile(values: Vector, share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None


def _weighted_quantile(values: list[tuple[float, float]], share: float) -> float:
    if not values:
        return float(np.log(2.0))  # nothing measured: a factor of two either way
    ordered = sorted(values)
    weights = np.cumsum([weight for _, weight in ordered])
    return float(ordered[int(np.searchsorted(weights, share * weights[-1]))][0])
