"""Escalation against the same minutes spent in one way alone; every row is a search of its own.

    python -m experiments.benchmarks.escalation.equal_time experiments/fashion_mnist/experiment.toml --minutes 8 --seeds 0 1 2

* *escalation*: the experiment as it is; ``--calibration`` where its escalations would end before the minutes do;
* *data-free only*: no escalation, as many trials as the minutes allow;
* *all calibrated*: every configuration but the uniform ones is calibrated as soon as it is evaluated, none is chosen;
* *uniform, fine-tuned*: every uniform configuration is trained, nothing is searched.

The clock starts with the first evaluation and what ends after the minutes does not count. Data-free weights and scores are
made before, by all alike, though the last needs no scores; calibrated weights are never shared. Writes a table,
`equal_time_<name>.json` and a picture beside this file.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.table import Table

from palettune.evaluators.workload.workload import Split
from palettune.search.display.progress import Display
from palettune.search.escalation.promotion import Seen, Slot
from palettune.search.experiment.experiment import Budget, EscalationSettings, Experiment, load_experiment
from palettune.search.experiment.objectives import ObjectiveSet, hypervolume
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.loop.confirmation import confirm_members
from palettune.search.loop.session import Places, run_session
from palettune.search.preparation.preparation import prepare
from palettune.search.results.front import front_of, hypervolume_of
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy, open_storage
from palettune.search.workers.start import start_evaluations

HERE = Path(__file__).parent
COLOURS = {
    "escalation": "#d1495b",
    "data-free only": "#9aa5b1",
    "all calibrated": "#6a4c93",
    "uniform, fine-tuned": "#00798c",
}
PLENTY = 100_000
ESCALATIONS = 2_000  # more than any minutes allow here
SLACK = 4  # evaluations that may fail before an escalation finds none to begin from


@dataclass(frozen=True)
class Run:
    """What one strategy found with one seed.

    Attributes:
        finished: seconds after the first evaluation began, by evaluation counted, ascending.
        volumes: hypervolume by then, on the evaluation data.
        front: objective values of the front, smallest first.
        confirmed: the same members' values on the confirmation data.
        volume, confirmed_volume: hypervolume of the front on either.
        workflows: of the front's members.
        evaluations: how many ended in time, by workflow.
    """

    strategy: str
    seed: int
    finished: list[float]
    volumes: list[float]
    front: list[list[float]]
    confirmed: list[list[float]]
    volume: float
    confirmed_volume: float
    workflows: list[str]
    evaluations: dict[str, int]


def variants(experiment: Experiment, minutes: float, calibration: int) -> dict[str, Experiment]:
    """The experiment changed to spend its minutes in each way, escalating to at least so many calibrations."""
    least = max(experiment.escalation.calibration.count, calibration)
    own = experiment.escalation.model_copy(update={"minutes": minutes})
    uniform = len(experiment.space.parsed)
    confirmed = experiment.search.model_copy(update={"confirm": PLENTY})
    uniform_alone = confirmed.model_copy(update={"solved_trials": 0, "screen": False})
    plans = {
        "escalation": (_counts(own, calibration=least), experiment.budget.trials, confirmed),
        "data-free only": (EscalationSettings(), PLENTY, confirmed),
        "all calibrated": (_counts(own, calibration=ESCALATIONS, fine_tuning=0), PLENTY, confirmed),
        "uniform, fine-tuned": (_counts(own, calibration=0, fine_tuning=uniform), uniform, uniform_alone),
    }
    return {
        name: experiment.model_copy(
            update={
                "name": f"{experiment.name}-{name.replace(', ', '-').replace(' ', '-')}-{experiment.seed}",
                "escalation": escalation,
                "budget": Budget(trials=trials, minutes=minutes),
                "search": search,
            }
        )
        for name, (escalation, trials, search) in plans.items()
    }


def _counts(settings: EscalationSettings, **counts: int) -> EscalationSettings:
    """The same settings with other counts of some rungs."""
    rungs = {name: getattr(settings, name).model_copy(update={"count": count}) for name, count in counts.items()}
    return settings.model_copy(update=rungs)


class InTurn:
    """Escalates without a choice: each evaluation but the uniform ones, in its turn, some evaluations after it is told.

    Args:
        uniform: how many uniform configurations come first.
    """

    def __init__(self, uniform: int) -> None:
        self._uniform = uniform

    def schedule(self, settings: EscalationSettings, trials: int) -> list[Slot]:
        """One slot for every evaluation."""
        rung = settings.calibration
        return [Slot(rung, self._uniform + SLACK + i) for i in range(rung.count)]

    def promote(
        self, slot: Slot, seen: Seen, objectives: ObjectiveSet, asks: Callable[[Record], Record | None]
    ) -> Record | None:
        """The first evaluation that was not escalated."""
        begun = {r.escalated_from for r in seen.escalated} | {r.trial for r in seen.pending}
        free = (r for r in seen.records if r.evaluation is not None and r.answered_from is None)
        return next((r for r in free if r.trial not in begun and not r.origin.startswith("uniform")), None)


def run(strategy: str, experiment: Experiment, root: Path, console: Console) -> Run:
    """Search, and measure what ended in time."""
    display = Display(console)
    promotion = InTurn(len(experiment.space.parsed)) if strategy == "all calibrated" else None
    outcome = run_session(experiment, Places(root), [display], fresh=True, promotion=promotion)
    study = SearchStudy.load(open_storage(outcome.folder, None), experiment)
    assert study is not None
    assert experiment.budget.minutes is not None
    objectives = study.context.objectives(experiment)
    records = [r for r in study.evaluations() if r.answered_from is None and r.values is not None]
    started = min(r.span[0] for r in records)
    counted = sorted(
        (r for r in records if r.span[1] - started <= experiment.budget.minutes * 60), key=lambda r: r.span[1]
    )
    front = front_of(counted, objectives).members
    _confirm(experiment, outcome.folder, study, front, display)
    confirmations = study.confirmations()
    known = [objectives.values(confirmations[r.key], r.costs) for r in front if r.key in confirmations]
    rows = np.array([objectives.losses(values) for values in known]).reshape(len(known), len(objectives.objectives))
    return Run(
        strategy,
        experiment.seed,
        [r.span[1] - started for r in counted],
        [hypervolume_of(counted[: i + 1], objectives) for i in range(len(counted))],
        [list(r.values or ()) for r in front],
        known,
        hypervolume_of(front, objectives),
        hypervolume(rows),
        [r.workflow for r in front],
        dict(Counter(r.workflow for r in counted)),
    )


def _confirm(
    experiment: Experiment, folder: RunFolder, study: SearchStudy, front: Sequence[Record], display: Display
) -> None:
    """Confirm what the search did not: members that an escalation replaced after the minutes."""
    known = study.confirmations()
    preparation = prepare(experiment)
    if all(record.key in known for record in front) or not preparation.workload.offers(Split.CONFIRMATION.value):
        return
    evaluations = start_evaluations(preparation, folder, display, inline=False, ray_address=None)
    try:
        confirm_members(study, evaluations, front, display, lambda: False)
    finally:
        evaluations.stop()


def show(runs: Sequence[Run]) -> Table:
    """The strategies side by side: mean over seeds, and the least and greatest."""
    table = Table(
        "strategy", "seeds", "hypervolume", "on confirmation data", "evaluations by workflow", "front by workflow"
    )
    for strategy in dict.fromkeys(run.strategy for run in runs):
        some = [run for run in runs if run.strategy == strategy]
        workflows = EscalationSettings().workflows
        counts = {w: np.mean([run.evaluations.get(w, 0) for run in some]) for w in workflows}
        members = {w: np.mean([run.workflows.count(w) for run in some]) for w in workflows}
        table.add_row(
            strategy,
            str(len(some)),
            _spread([run.volume for run in some]),
            _spread([run.confirmed_volume for run in some]),
            ", ".join(f"{name} {count:.0f}" for name, count in counts.items() if count),
            ", ".join(f"{name} {count:.1f}" for name, count in members.items() if count),
        )
    return table


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def draw(runs: Sequence[Run], experiment: Experiment, minutes: float, path: Path) -> None:
    """Hypervolume against time, all seeds; and the first seed's fronts on confirmation data."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8))
    for strategy, colour in COLOURS.items():
        some = [run for run in runs if run.strategy == strategy]
        for run in some:
            left.step(
                [0.0, *run.finished, minutes * 60],
                [0.0, *run.volumes, run.volume],
                where="post",
                color=colour,
                label=strategy if run is some[0] else None,
                lw=1.5,
            )
        for run in some[:1]:
            values = np.array(run.confirmed)
            right.plot(values[:, 1], values[:, 0], "o-", color=colour, label=strategy, ms=4, lw=1)
    final = [run.volume for run in runs]
    left.set_ylim(max(0.0, 2 * min(final) - max(final) - 0.02), max(final) + 0.005)
    left.set_xlabel("seconds after the first evaluation")
    left.set_ylabel("hypervolume")
    left.legend(loc="lower right")
    quality = experiment.objectives.quality
    right.set_ylabel(f"{quality if isinstance(quality, str) else quality.metric} on confirmation data")
    if isinstance(quality, str):
        right.set_yscale("log")
    right.set_xlabel(experiment.objectives.cost[0])
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.suptitle(f"{experiment.name}: {minutes:g} minutes on two workers, spent in different ways")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def kept(path: Path, minutes: float) -> list[Run]:
    """The runs of an earlier call that had as many minutes."""
    facts = json.loads(path.read_text()) if path.exists() else {}
    return [Run(**some) for some in facts["runs"]] if facts.get("minutes") == minutes else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--calibration", type=int, default=0, help="at least so many calibrations to be escalated to")
    parser.add_argument("--strategies", nargs="+", default=list(COLOURS), choices=COLOURS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--root", type=Path, default=Path("runs"), help="where the searches lie, each in a folder of its own"
    )
    arguments = parser.parse_args()
    console, base = Console(), load_experiment(arguments.experiment)
    path = HERE / f"equal_time_{base.name}.json"
    runs = kept(path, arguments.minutes)
    known = {(some.strategy, some.seed) for some in runs}
    for seed in arguments.seeds:
        for strategy, experiment in variants(
            base.model_copy(update={"seed": seed}), arguments.minutes, arguments.calibration
        ).items():
            if (strategy, seed) in known or strategy not in arguments.strategies:
                continue
            console.rule(f"{strategy}, seed {seed}")
            runs.append(run(strategy, experiment, arguments.root / experiment.name, console))
            facts = {"minutes": arguments.minutes, "runs": [asdict(some) for some in runs]}
            path.write_text(json.dumps(facts, indent=1) + "\n")
        draw(runs, base, arguments.minutes, path.with_suffix(".png"))
        console.print(show(runs))


if __name__ == "__main__":
    main()
