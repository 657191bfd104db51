"""Search quality: ours against stock samplers, hand-made recipes and slow oracles, on the same menus and evaluations.

    python experiments/benchmarks/search_quality/run.py [--network efficientnet_lite0 minilm] [--parts all-samples]

Four kinds of landscapes:

* networks on few samples, every evaluation recorded in ``records/`` and replayed; what is not there is evaluated and added;
* the same networks on all samples, where only what came near the front is measured again, and our search is run: the best
  of thousands on few samples is partly luck;
* the same networks emulated from single-layer changes, where a thousand evaluations of every baseline on five seeds take
  minutes;
* small landscapes whose front is known.

Writes ``results.json`` and pictures beside this file.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from interactions import interactions
from joblib import Parallel, delayed
from landscape import Landscape, Run
from numpy.typing import NDArray
from pictures import draw_fronts, draw_progress
from product import sampler_of
from recording import Recorded, open_recording
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from strategies import STRATEGIES, finish
from synthetic import Additive, Interacting, KnownFront

from palettune.search.experiment.objectives import hypervolume, non_dominated
from palettune.search.study.proposals import distributions_of
from palettune.search.workers.allocator import keep_freed_memory

HERE = Path(__file__).parent
PARTS = ("known-fronts", "network", "emulator", "all-samples")
SAMPLES = 24
NEAR = 0.02  # in loss behind the front: a fifth of the divergence
ONE_SEED = {
    "score and solve",
    "isolated scores + exact solve",
    "isolated scores + threshold",
    "mixed-bit recipe (PSNR)",
    "uniform",
}
AT = (32, 200, 500, 1000)
CONSOLE = Console()


def runs_of(landscape: Landscape, budgets: Mapping[str, int], seeds: int, jobs: int = 1) -> dict[str, list[Run]]:
    """Every strategy on a landscape, its seeds side by side where the landscape takes no worker."""
    found: dict[str, list[Run]] = {}
    for name, budget in budgets.items():
        if not budget:
            continue
        started = time.perf_counter()
        tasks = (delayed(one)(landscape, name, budget, seed) for seed in range(1 if name in ONE_SEED else seeds))
        found[name] = Parallel(n_jobs=jobs)(tasks)
        volumes = [run.volume() for run in found[name]]
        CONSOLE.print(
            f"{landscape.name}: {name}: {min(volumes):.4f} to {max(volumes):.4f} after "
            f"{len(found[name][0].losses)} evaluations, {time.perf_counter() - started:.0f} s",
            highlight=False,
        )
    return found


def one(landscape: Landscape, name: str, budget: int, seed: int) -> Run:
    """One strategy with one seed, on one thread."""
    keep_freed_memory()
    torch.set_num_threads(1)
    return finish(STRATEGIES[name], Run(landscape, budget), seed)


def summary(landscape: Landscape, runs: Mapping[str, list[Run]], best: float) -> dict[str, Any]:
    """Hypervolume by strategy, worst and best seed, at several numbers of evaluations (scoring counted)."""
    price = landscape.scoring["fisher"]
    return {
        "best": best,
        "scoring price in evaluations": price,
        "strategies": {
            name: {
                "evaluations": max(len(run.losses) for run in some),
                "seconds": float(np.median([run.clock[-1] for run in some if run.clock])),
                **{
                    f"after {at}": [
                        f(run.volume(at + (price if name == "ours" else 0)) for run in some) for f in (min, max)
                    ]
                    for at in AT
                },
                "end": [f(run.volume() for run in some) for f in (min, max)],
            }
            for name, some in runs.items()
        },
    }


def show(landscape: Landscape, facts: Mapping[str, Any]) -> None:
    """The summary as a table: shares of the best hypervolume known."""
    table = Table(
        title=f"{landscape.name}: share of the best hypervolume known, worst seed to best", header_style="bold"
    )
    columns = [f"after {at}" for at in AT]
    for column in ("strategy", *columns, "evaluations", "seconds"):
        table.add_column(column)
    for name, row in facts["strategies"].items():
        shares = [" to ".join(f"{value / facts['best']:.3f}" for value in sorted(set(row[c]))) for c in columns]
        table.add_row(name, *shares, str(row["evaluations"]), f"{row['seconds']:.0f}")
    CONSOLE.print(table)


def budgets(stock: int, tpe: int, gp: int, ours: int) -> dict[str, int]:
    """Evaluations by strategy; TPE and Gaussian processes think longer with every trial, so they may get fewer."""
    limits = {"ours": ours, "tpe": tpe, "gp": gp}
    return {name: limits.get(name.split(",")[0], stock) for name in STRATEGIES} | dict.fromkeys(ONE_SEED, 100_000)


def best_of(*groups: Mapping[str, list[Run]]) -> float:
    """Hypervolume of everything that any run found."""
    return hypervolume(
        np.array([loss for group in groups for some in group.values() for run in some for loss in run.losses])
    )


def known_fronts(results: dict[str, Any], seeds: int) -> None:
    """Small landscapes, the whole front known."""
    landscapes: list[KnownFront] = [
        Additive("additive, 60 layers", 60, 1, 0.3),
        Additive("additive, 200 layers", 200, 2, 0.3),
        Interacting("interacting, 6 layers", 6, 3, 0.3),
    ]
    for landscape in landscapes:
        stock = ("tpe", "nsga2", "random") if len(landscape.menus) < 100 else ("nsga2", "random")
        wanted = dict.fromkeys(("ours", "score and solve", *stock), 200)
        runs = runs_of(landscape, wanted, seeds, os.cpu_count() or 1)
        results[landscape.name] = summary(landscape, runs, landscape.best_volume())
        show(landscape, results[landscape.name])


def network(name: str, root: Path, facts: dict[str, Any], arguments: argparse.Namespace) -> None:
    """One real network, and its emulator."""
    records = HERE / "records"
    records.mkdir(exist_ok=True)
    toml = HERE.parents[1] / name / "experiment.toml"
    real = open_recording(toml, root, records / f"{name}.jsonl.gz", SAMPLES)
    CONSOLE.print(f"{name}: ready; one evaluation takes {real.seconds:.2f} s; {len(real.recording)} on record")
    if "network" in arguments.parts or "emulator" in arguments.parts:
        _on_few_samples(name, real, facts, arguments)
    real.close()
    if "all-samples" in arguments.parts:
        whole = open_recording(toml, root, records / f"{name}_all_samples.jsonl.gz", None)
        facts["network, all samples"] = _on_all_samples(whole, real)


def _on_few_samples(name: str, real: Recorded, facts: dict[str, Any], arguments: argparse.Namespace) -> None:
    emulated = real.emulated()
    facts["seconds of one evaluation"] = real.seconds
    facts["spearman, Fisher with isolated"] = _rank(real)
    facts["Fisher scoring, forward passes of the scoring data"] = real.scoring_passes
    if "network" in arguments.parts:
        live = budgets(arguments.live_stock, arguments.live_stock, arguments.live_gp, 200)
        runs = runs_of(real, {k: v for k, v in live.items() if "seeded" not in k}, 1)
        best = real.best_volume()
        facts["network"] = summary(real, runs, best) | {"evaluations on record": len(real.recording)}
        show(real, facts["network"])
        facts["interactions between layers"] = interactions(real)
        draw_progress(runs, HERE / f"{name}.png", f"{name}: hypervolume")
        draw_fronts(real, runs, HERE / f"{name}_fronts.png")
        facts["at 2.4 MB"] = _at(real, runs["ours"][0], 2.4)
        real.recording.pack()
    if "emulator" in arguments.parts:
        facts["emulator: spearman with the network"], facts["emulator: median ratio"] = _fidelity(real, emulated)
        wanted = budgets(arguments.stock, arguments.tpe, arguments.gp, 200)
        copies = runs_of(emulated, wanted, arguments.seeds, os.cpu_count() or 1)
        facts["emulator"] = summary(emulated, copies, best_of(copies))
        show(emulated, facts["emulator"])
        draw_progress(copies, HERE / f"{name}_emulated.png", f"{name}: hypervolume, {arguments.seeds} seeds (emulated)")


def _on_all_samples(whole: Recorded, few: Recorded) -> dict[str, Any]:
    """Our search on all samples, against the best of all that is on record with few or all, measured on all."""
    items = few.recording.items()
    losses = np.array([few.losses(row, m.divergence) for row, m in items])
    front = losses[non_dominated(losses)]
    near = [row for (row, _), loss in zip(items, losses, strict=True) if _behind_at_its_size(loss, front) <= NEAR]
    CONSOLE.print(f"{whole.name}: {len(near)} of {len(items)} are near the front and measured again")
    for row in near:
        whole.measure(row)
    runs = runs_of(whole, {"ours": 200, "score and solve": 100_000}, 1)
    best = whole.best_volume()
    facts = summary(whole, runs, best)
    facts["evaluations on record, few samples"] = len(items)
    facts["evaluations on record, all samples"] = len(whole.recording)
    show(whole, facts)
    whole.recording.pack()
    whole.close()
    return facts


def _behind_at_its_size(loss: NDArray[np.float64], front: NDArray[np.float64]) -> float:
    """By how much the quality must improve to reach the front at the same size; none for what is not in the box."""
    cheaper = front[(front[:, 1:] <= loss[1:] + 1e-12).all(axis=1), 0]
    return float(loss[0] - cheaper.min()) if len(cheaper) and (loss < 1.0).all() else np.inf


def _rank(real: Recorded) -> float:
    pairs = [
        (a, b)
        for fisher, isolated in zip(real.scores["fisher"], real.scores["isolated"], strict=True)
        for a, b in zip(fisher[1:], isolated[1:], strict=True)
    ]
    return float(spearmanr(*zip(*pairs, strict=True)).statistic)


def _fidelity(real: Recorded, emulated: Landscape) -> tuple[float, float]:
    """How the emulator ranks and sizes the divergences on record, and the median of emulated / measured."""
    items = real.recording.items()
    several = [(row, m) for row, m in items if (row > 0).sum() > 1][:2000]
    pairs = np.array([(m.divergence, emulated.measure(row).divergence) for row, m in several])
    useful = pairs[(pairs > 1e-6).all(axis=1)]
    return float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic), float(np.median(useful[:, 1] / useful[:, 0]))


def _at(real: Recorded, run: Run, size: float) -> float | None:
    found = [real.measure(row).divergence for row in run.rows if real.costs.total("size_mb", row.tolist()) <= size]
    return min(found) if found else None


def proposal_seconds() -> float:
    """A proposal of our sampler with 1,000 past trials and 200 layers."""
    landscape = Additive("200 layers", 200, 5, 0.3)
    sampler = sampler_of(Run(landscape, 1000), "guided")(0)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    random = np.random.default_rng(0)
    distributions = distributions_of(landscape.space)
    for _ in range(1000):
        width = np.clip(random.normal(random.uniform(0, 5), 1.0, 200), 0, 5).round().astype(int)
        trial = optuna.trial.create_trial(
            params=landscape.space.to_parameters(landscape.configuration(width)),
            distributions=distributions,
            values=[landscape.measure(width).divergence, landscape.costs.total("size_mb", width.tolist())],
        )
        study.add_trial(trial)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        study.ask(distributions)
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", nargs="*", default=["efficientnet_lite0", "minilm"])
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--stock", type=int, default=1000, help="evaluations of a stock sampler on the emulator")
    parser.add_argument("--tpe", type=int, default=1000, help="the same for TPE")
    parser.add_argument("--gp", type=int, default=60, help="the same for Gaussian processes")
    parser.add_argument("--live-stock", type=int, default=500, help="evaluations of a stock sampler on the network")
    parser.add_argument("--live-gp", type=int, default=100, help="the same for Gaussian processes")
    arguments = parser.parse_args()
    path = HERE / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    if "known-fronts" in arguments.parts:
        results["a proposal with 1,000 trials and 200 layers (s)"] = proposal_seconds()
        known_fronts(results, arguments.seeds)
        path.write_text(json.dumps(results, indent=1) + "\n")
    for name in arguments.network if set(arguments.parts) - {"known-fronts"} else ():
        network(name, arguments.root, results.setdefault(name, {}), arguments)
        path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
