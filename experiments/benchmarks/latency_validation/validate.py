"""Validates the cost model on published latencies and rewrites the tables and plots of ``docs/latency.md``.

    python -m experiments.benchmarks.latency_validation.validate

Takes about two minutes on one core. The page's prose stays; what stands between its markers is replaced.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.latency_validation import figures
from experiments.benchmarks.latency_validation.baselines import bytes_only, roofline
from experiments.benchmarks.latency_validation.published import Row, observation, origin, rows
from experiments.benchmarks.latency_validation.validation import (
    Case,
    Scores,
    cost_model,
    coverage,
    leave_out,
    left_out_twice,
    ratios,
    score,
    shifted_model,
)
from palettune.device_bench.devices.unit import Unit

Vector = NDArray[np.float64]
PAGE = Path(__file__).parents[3] / "docs" / "latency.md"
IMAGES = PAGE.parent / "images"
MODELS = {"cost model": cost_model, "roofline": roofline, "bytes only": bytes_only}
SETTINGS: dict[str, Callable[[Case], bool]] = {
    "`ALL`, `CPU_AND_NE`": lambda c: c.row.unit in ("ALL", "CPU_AND_NE"),
    "of these, on the Neural Engine": lambda c: c.observed.unit is Unit.NEURAL_ENGINE,
    "`CPU_AND_GPU`": lambda c: c.row.unit == "CPU_AND_GPU",
    "`CPU_ONLY`": lambda c: c.row.unit == "CPU_ONLY",
}


def main() -> None:
    """Fit, score, plot and write."""
    cases = [Case(row, observation(row)) for row in rows()]
    predictions = {
        (held, name): leave_out(cases, model, key)
        for held, key in (("source", str), ("origin", origin))
        for name, model in MODELS.items()
    }
    parts = {
        "rows": _row_table(),
        "scores": _score_table(cases, predictions),
        "coverage": _coverage_table(cases, predictions),
        "priors": _prior_table(cases),
        "noise": _noise(cases),
        "sure": _certainty(cases, predictions),
        "opt": _without_opt(cases, predictions),
        "misses": _miss_tables(cases, predictions["origin", "cost model"]),
    }
    text = PAGE.read_text("utf-8")
    for name, content in parts.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text = re.sub(pattern, lambda m, c=content: m[1] + c + m[2], text, flags=re.S)  # type: ignore[misc]
    PAGE.write_text(text, "utf-8")
    _plots(cases, predictions)


def _plots(cases: Sequence[Case], predictions: dict[tuple[str, str], Vector]) -> None:
    IMAGES.mkdir(exist_ok=True)
    figures.levels(cases, predictions["origin", "cost model"], IMAGES / "latency_levels.png")
    figures.ratio_plot(cases, predictions["origin", "cost model"], IMAGES / "latency_ratios.png")
    chosen = [i for i, case in enumerate(cases) if case.row.unit in ("ALL", "CPU_AND_NE")]
    models = {name: predictions["origin", name][chosen] for name in MODELS}
    figures.error_shares([cases[i] for i in chosen], models, IMAGES / "latency_errors.png")


def _row_table() -> str:
    everything = rows(("fit", "ratio", "excluded"))
    lines = ["| use | rows | why |", "|---|---|---|"]
    counted = Counter((row.use, row.reason or "latency and ratios") for row in everything)
    order = {"fit": 0, "ratio": 1, "excluded": 2}
    for (use, why), count in sorted(counted.items(), key=lambda item: (order[item[0][0]], -item[1])):
        lines.append(f"| {use} | {count} | {why} |")
    return "\n".join(lines) + "\n"


def _score_table(cases: Sequence[Case], predictions: dict[tuple[str, str], Vector]) -> str:
    head = "| setting | left out | model | ratio, median | ratio, p90 | calibrated | no calibration | tau | rows |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    for setting, chosen in SETTINGS.items():
        index = [i for i, case in enumerate(cases) if chosen(case)]
        for (held, name), predicted in predictions.items():
            found = score([cases[i] for i in index], predicted[index])
            lines.append(f"| {setting} | {held} | {name} | {_cells(found)} |")
    return "\n".join(lines) + "\n"


def _cells(found: Scores) -> str:
    shares = (found.ratio_median, found.ratio_p90, found.calibrated, found.absolute)
    cells = [_percent(value) for value in shares]
    tau = "-" if found.tau is None else f"{found.tau:.2f}"
    return " | ".join([*cells, tau, "/".join(map(str, found.counts))])


def _prior_table(cases: Sequence[Case]) -> str:
    """The same figures when the priors are wrong."""
    chosen = [i for i, case in enumerate(cases) if case.row.unit in ("ALL", "CPU_AND_NE")]
    lines = ["| priors moved, seed | ratio, median | ratio, p90 | calibrated | no calibration | tau | rows |"]
    lines.append("|---|---|---|---|---|---|---|")
    for seed in range(3):
        predicted = leave_out(cases, shifted_model(seed), origin)
        lines.append(f"| {seed} | {_cells(score([cases[i] for i in chosen], predicted[chosen]))} |")
    return "\n".join(lines) + "\n"


def _certainty(cases: Sequence[Case], predictions: dict[tuple[str, str], Vector]) -> str:
    """How far the ratio's 90th percentile depends on which sources happened to be published: sources drawn again."""
    chosen = [i for i, case in enumerate(cases) if case.row.unit in ("ALL", "CPU_AND_NE")]
    random = np.random.default_rng(0)
    words = []
    for held in ("source", "origin"):
        found = ratios([cases[i] for i in chosen], predictions[held, "cost model"][chosen])
        names = sorted({origin(ratio.case.row.source) for ratio in found})
        errors = {name: [r.error for r in found if origin(r.case.row.source) == name] for name in names}
        drawn = [
            float(np.quantile(np.concatenate([errors[name] for name in random.choice(names, len(names))]), 0.9))
            for _ in range(2000)
        ]
        low, high = np.quantile(drawn, [0.05, 0.95])
        below = float(np.mean(np.array(drawn) <= 0.4))
        words.append(
            f"{_percent(low)} to {_percent(high)} ({held} left out; at most 40 % in {_percent(below)} of the draws)"
        )
    drawings = f"Drawing the {len(names)} origins again 2,000 times, nine of ten 90th percentiles lie within"
    return "\n".join([drawings, *(f"{part}{end}" for part, end in zip(words, (",", "."), strict=True))]) + "\n"


def _coverage_table(cases: Sequence[Case], predictions: dict[tuple[str, str], Vector]) -> str:
    lines = ["| setting | left out | latency | compressed / fp16 |", "|---|---|---|---|"]
    for held, key in (("source", str), ("origin", origin)):
        twice = left_out_twice(cases, key)
        for setting, chosen in SETTINGS.items():
            inside = coverage(cases, predictions[held, "cost model"], twice, chosen, key)
            lines.append(f"| {setting} | {held} | {_percent(inside[0])} | {_percent(inside[1])} |")
    return "\n".join(lines) + "\n"


def _noise(cases: Sequence[Case]) -> str:
    """What an edition of the vendor's table says of the next one."""
    editions = ("ct_perf_ios17b1", "ct_perf_ios17")
    first = {_identity(c.row): c.row.latency_ms for c in cases if c.row.source == editions[0]}
    same = [c for c in cases if c.row.source == editions[1] and _identity(c.row) in first]
    predicted = np.array([first[_identity(case.row)] for case in same])
    found = score(same, predicted)
    worst = max(ratios(same, predicted), key=lambda ratio: ratio.error)
    return (
        "| the beta's edition as a prediction of the release's | |\n|---|---|\n"
        f"| compressed / fp16, median error | {_percent(found.ratio_median)} |\n"
        f"| compressed / fp16, p90 | {_percent(found.ratio_p90)} |\n"
        f"| largest | {_percent(worst.error)} ({worst.case.row.network}, {_encoding(worst.case.row)}) |\n"
        f"| latency, median error | {_percent(found.absolute)} |\n"
    )


def _without_opt(cases: Sequence[Case], predictions: dict[tuple[str, str], Vector]) -> str:
    """The Neural Engine's 90th percentile without the five ratios that hang on one anomalous fp16 row."""
    index = [
        i for i, case in enumerate(cases) if case.observed.unit is Unit.NEURAL_ENGINE and case.row.network != "opt-1.3b"
    ]
    found = {
        held: score([cases[i] for i in index], predictions[held, "cost model"][index]) for held in ("source", "origin")
    }
    return (
        f"Without OPT-1.3B the 90th percentile of the ratio's error on the Neural Engine is "
        f"{_percent(found['source'].ratio_p90)} (source left out) and {_percent(found['origin'].ratio_p90)} (origin).\n"
    )


def _identity(row: Row) -> tuple[str, ...]:
    return (row.network, row.chip, row.encoding, row.activations)


def _miss_tables(cases: Sequence[Case], predicted: Vector) -> str:
    found = sorted(ratios(cases, predicted), key=lambda ratio: -ratio.error)[:15]
    lines = [
        "| source | network | chip | setting | encoding | published ratio | predicted |",
        "|---|---|---|---|---|---|---|",
    ]
    for miss in found:
        row = miss.case.row
        lines.append(
            f"| {row.source} | {row.network} | {row.chip} | {row.unit} | {_encoding(row)} | {miss.measured:.2f} "
            f"| {miss.predicted:.2f} |"
        )
    lines += [
        "",
        "| source | network | chip | setting | encoding | published ms | predicted ms |",
        "|---|---|---|---|---|---|---|",
    ]
    errors = [
        (abs(np.log(p / c.row.latency_ms)), c.row, p)
        for c, p in zip(cases, predicted, strict=True)
        if c.observed.absolute
    ]
    for _, row, ms in sorted(errors, key=lambda item: -item[0])[:15]:
        lines.append(
            f"| {row.source} | {row.network} | {row.chip} | {row.unit} | {_encoding(row)} | {row.latency_ms:.4g} "
            f"| {ms:.4g} |"
        )
    return "\n".join(lines) + "\n"


def _encoding(row: Row) -> str:
    return f"{row.encoding}, int8 activations" if row.activations == "int8" else row.encoding


def _percent(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{100 * value:.0f} %"


if __name__ == "__main__":
    main()
