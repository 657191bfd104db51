"""The strategies compared: the product's own search, the same with Optuna's samplers, and what is done by hand.

What proposes by a sampler runs in the product's own loop; recipes evaluate directly.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from landscape import Landscape, Row, Run, Spent
from product import search

from palettune.search.experiment.experiment import SamplerName
from palettune.search.proposing.first_trials import first_trials
from palettune.search.proposing.solver import Allocation, sweep
from palettune.search.study.record import FirstTrial

__all__ = ["STRATEGIES", "Strategy", "finish", "sorted_coarse_first"]

STOCK: tuple[SamplerName, ...] = ("random", "tpe", "nsga2", "gp")

Strategy = Callable[[Run, int], None]
"""Evaluates on a run, from a random seed, until the budget is used up or nothing is left to do."""


def ours(run: Run, seed: int) -> None:
    """The product as it is: Fisher scores, uniform and solved configurations, then the guided sampler."""
    landscape = run.landscape
    run.pay(landscape.scoring["fisher"])
    with run.thinking():
        solved = landscape.experiment().search.solved_trials
        problem, objectives = landscape.problem("fisher"), landscape.objectives
        first = first_trials(landscape.space, landscape.encodings, lambda: problem, objectives, solved)
    search(run, "guided", first, seed)


def score_and_solve(method: str) -> Strategy:
    """Scores of one method and solved configurations all along the front, with no search after."""

    def strategy(run: Run, seed: int) -> None:
        run.pay(run.landscape.scoring[method])
        with run.thinking():
            members = sweep(run.landscape.problem(method), "size_mb")
        # coarse first, then ever finer: wherever the budget ends, what was evaluated is spread over the sizes
        for allocation in sorted_coarse_first(spread(members, 200)):
            run.measure(np.array(allocation.choices))

    return strategy


def stock(name: SamplerName, seeded: bool) -> Strategy:
    """The product with a stock sampler of Optuna's, from nothing or from the uniform configurations."""

    def strategy(run: Run, seed: int) -> None:
        space = run.landscape.space
        uniform = [FirstTrial(f"uniform {e}", space.uniform(e)) for e in run.landscape.encodings]
        search(run, name, uniform if seeded else [], seed)

    return strategy


def uniform(run: Run, seed: int) -> None:
    """One encoding for all layers."""
    for row in run.landscape.uniform.values():
        run.measure(row)


def mixed_bit(run: Run, seed: int) -> None:
    """The recipe of apple/ml-stable-diffusion (mixed_bit_compression_pre_analysis.py): thresholds on cumulative PSNR.

    Layers of more than 100,000 elements, tables per tensor of the widths in the menu; layers are ordered by isolated
    PSNR, then compressed one after another; each threshold gives every layer its smallest width that stays above it.
    """
    landscape = run.landscape
    isolated: dict[tuple[int, str], float] = {}
    big = [g for g, n in enumerate(landscape.elements) if n > 1e5] or list(range(len(landscape.menus)))
    widths = [w for w in ("lut8", "lut6", "lut4", "lut2", "lut1") if any(w in landscape.menus[g] for g in big)]
    for width in widths:
        for group in big:
            if width in landscape.menus[group]:
                row = landscape.alone(group, landscape.menus[group].index(width))
                isolated[group, width] = run.measure(row).signal
    cumulative: dict[tuple[int, str], float] = {}
    for width in widths:
        row = landscape.alone(0, 0)
        for group in sorted((g for g in big if (g, width) in isolated), key=lambda g: -isolated[g, width]):
            row = row.copy()
            row[group] = landscape.menus[group].index(width)
            cumulative[group, width] = run.measure(row).signal
    start = max(cumulative.values()) - 1.0
    linear = landscape.uniform.get("int8", landscape.uniform.get("lut8"))
    end = run.measure(linear).signal + 5.0 if linear is not None else start - 30.0
    if end >= start:  # 8 linear bits are better than the recipe expects: go down to its worst width instead
        end = min(cumulative.values())
    for threshold in np.linspace(start, end, 24):  # seven in the recipe; more only help it
        run.measure(_thresholded(landscape, big, widths, cumulative, float(threshold)))


def _thresholded(
    landscape: Landscape,
    groups: Sequence[int],
    widths: Sequence[str],
    signal: Mapping[tuple[int, str], float],
    threshold: float,
) -> Row:
    row = landscape.alone(0, 0)
    for group in groups:
        for width in widths:  # from wide to narrow: the last that holds is the smallest
            if signal.get((group, width), -np.inf) > threshold:
                row[group] = landscape.menus[group].index(width)
    return row


def isolated_threshold(run: Run, seed: int) -> None:
    """Every (layer, encoding) tried alone; each layer takes its smallest encoding below a threshold."""
    landscape = run.landscape
    run.pay(landscape.scoring["isolated"])
    scores, costs = landscape.scores["isolated"], landscape.costs.costs["size_mb"]
    positive = np.concatenate(scores)
    positive = positive[positive > 0]
    for threshold in np.geomspace(positive.max(), positive.min(), 100):
        run.measure(
            np.array(
                [
                    int(np.where(loss <= threshold, cost, np.inf).argmin())
                    for loss, cost in zip(scores, costs, strict=True)
                ]
            )
        )


STRATEGIES: dict[str, Strategy] = {
    "ours": ours,
    "score and solve": score_and_solve("fisher"),
    "isolated scores + exact solve": score_and_solve("isolated"),
    "isolated scores + threshold": isolated_threshold,
    "mixed-bit recipe (PSNR)": mixed_bit,
    "uniform": uniform,
    **{
        name + (", seeded uniform" if seeded else ""): stock(name, seeded) for name in STOCK for seeded in (False, True)
    },
}
"""Every strategy by name."""


def spread(members: Sequence[Allocation], count: int) -> list[Allocation]:
    """Members evenly spread over the logarithm of the size, the largest first."""
    values = np.log([member.costs["size_mb"] for member in members])
    wanted = np.linspace(values[-1], values[0], count)
    picked = dict.fromkeys(int(np.abs(values - value).argmin()) for value in wanted)
    return [members[index] for index in picked]


def sorted_coarse_first(members: Sequence[Allocation]) -> list[Allocation]:
    """Members in van der Corput's order: every beginning of it is spread evenly."""
    bits = max(len(members) - 1, 1).bit_length()
    order = sorted(range(2**bits), key=lambda i: int(f"{i:0{bits}b}"[::-1], 2))
    return [members[i] for i in order if i < len(members)]


def finish(strategy: Strategy, run: Run, seed: int) -> Run:
    """Run a strategy to its end."""
    with contextlib.suppress(Spent):
        strategy(run, seed)
    return run
