"""A run: what a search left in its run folder, read, explained, solved for budgets and exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from palettune.device_bench.cost.latency_model import LatencyModel
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.ending import Ending
from palettune.search.results.explanation import Explanation, explain_front, explain_record
from palettune.search.results.export_result import ExportResult
from palettune.search.results.frames import records_frame
from palettune.search.results.front import Front, Limits, front_of
from palettune.search.results.front_members.picks import Picks, best_within
from palettune.search.results.known_latency import KnownLatency, known_latency
from palettune.search.results.observer import SearchObserver
from palettune.search.results.trial_comparison import TrialComparison, compare_records
from palettune.search.study.record import Record
from palettune.search.study.study import SearchStudy, open_storage
from palettune.space.configuration import Configuration
from palettune.space.errors import UserError, suggestion

if TYPE_CHECKING:
    import pandas

    from palettune.search.proposing.solution import Solution
    from palettune.search.results.packages.export import Exported
    from palettune.search.review.review_source import ReviewSource

__all__ = ["Run", "open_run"]


class Run:
    """A search as its run folder holds it; what is read follows a search that is still going on.

    Attributes:
        experiment: what is searched.
        folder: where everything lies.
        notes: what a reader should know, such as a workload that was edited since.
        ending: why the search came to its end, where this process ran it; ``None`` for one that was opened.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: RunFolder,
        study: SearchStudy,
        ending: Ending | None = None,
        storage: str | None = None,
    ) -> None:
        self.experiment = experiment
        self.folder = folder
        self.notes: tuple[str, ...] = study.notes
        self.ending = ending
        self._study, self._storage = study, storage

    def __repr__(self) -> str:
        trials, front = self.trials, self.front
        ending = f"; {self.ending.value}" if self.ending is not None else ""
        return f"Run({self.experiment.name!r}: {len(trials)} evaluations, {front!r}; {self.folder.path}{ending})"

    def _repr_html_(self) -> str:
        from palettune.search.display.run_page import run_html  # loads matplotlib

        return run_html(self.experiment.name, self.trials, self.front)

    @property
    def stopped(self) -> bool:
        """Whether this process ran the search, and it was stopped before its own end; ``run_search`` goes on with it."""
        return self.ending is not None and not self.ending.complete

    @property
    def search_id(self) -> str:
        """Identity of the search in MLflow: the tag ``search_id`` of its own run."""
        return self._study.context.search_id

    # -- what was found -----------------------------------------------------------------------------------------

    @property
    def trials(self) -> tuple[Record, ...]:
        """Every finished evaluation, in the order in which their results were taken in."""
        return tuple(self._study.evaluations())

    @property
    def front(self) -> Front:
        """The Pareto front, ranked by measured latencies where there are some."""
        return self._front(self.trials, self._known)

    def trials_frame(self) -> pandas.DataFrame:
        """Return a row for each evaluation, by trial; see ``records_frame`` for the columns."""
        return records_frame(self.trials, self.front.members)

    @property
    def recipes(self) -> dict[str, Record]:
        """Evaluations of recipes, by the recipe's name."""
        by_trial = {record.trial: record for record in self.trials}
        return {name: by_trial[trial] for name, trial in self._study.recipes().items() if trial in by_trial}

    def trial(self, number: int) -> Record:
        """Return one evaluation by its number.

        Raises:
            UserError: there is none of this number.
        """
        found = {record.trial: record for record in self.trials}
        if number not in found:
            near = suggestion(str(number), map(str, found))
            raise UserError(f"trial {number}: the run has no such finished trial{near or '.'} It has {len(found)}")
        return found[number]

    # -- what it means ------------------------------------------------------------------------------------------

    def explain(self, trial: int | Record) -> Explanation:
        """Say why each layer of a trial has its encoding, and what the next best one would bring."""
        record, members = self._record(trial), self.front.members
        numbers = [member.trial for member in members]
        place = numbers.index(record.trial) + 1 if record.trial in numbers else len(members)
        neighbour = members[place] if place < len(members) else None
        space, target = self._study.context.space, self.experiment.deployment_target
        return explain_record(record, neighbour, space, target, self._scores, self._traded_latency)

    def explain_front(self) -> list[Explanation]:
        """Explain every member of the front, smallest first."""
        space, target = self._study.context.space, self.experiment.deployment_target
        return explain_front(self.front, space, target, self._scores, self._traded_latency)

    def compare(self, first: int | Record, second: int | Record) -> TrialComparison:
        """Set two trials side by side: which layers differ, and what the difference brings."""
        layers = {layer.name: layer for layer in self._study.context.space.layers}
        target = self.experiment.deployment_target
        return compare_records(self._record(first), self._record(second), layers, target)

    def solve(
        self,
        *,
        max_size_mb: float | None = None,
        max_latency_ms: float | None = None,
        fix: Mapping[str, str] | None = None,
        forbid: Sequence[str] = (),
    ) -> Solution:
        """Predict the best configuration for budgets from saved scores; nothing is evaluated.

        The answer also holds the best member of the front within the budgets, which is measured.

        Args:
            max_size_mb: budget of the weight file, in 10^6 bytes.
            max_latency_ms: budget of the predicted latency on the experiment's device.
            fix: layer name or pattern -> the encoding that it is to have.
            forbid: encodings, or patterns of them, that no other layer is to have.

        Raises:
            UserError: if the budgets cannot be met: the closest that can, and the layers that block.
        """
        from palettune.search.proposing.restricted_space import restricted_space
        from palettune.search.proposing.solution import solution  # loads the solver

        given = {"size_mb": max_size_mb, "latency_ms": max_latency_ms}
        budgets = {name: bound for name, bound in given.items() if bound is not None}
        context, latency = self._study.context, self._known.model or self._latency
        restricted = replace(context, space=restricted_space(context.space, fix or {}, forbid))
        records = self.trials
        best = best_within(self._front(records, self._known), Limits(max_size_mb, max_latency_ms))
        return solution(self.experiment, restricted, self._scores, records, budgets, latency, best)

    # -- what is made of it -------------------------------------------------------------------------------------

    def evaluate(
        self,
        configuration: Configuration | str | Path,
        *,
        calibrate: bool = False,
        origin: str | None = None,
        tracking_uri: str | None = None,
        ray_address: str | None = None,
        observers: Sequence[SearchObserver] = (),
    ) -> Record:
        """Evaluate a configuration, and add it to the search's trials; what was evaluated before is only given back.

        Args:
            configuration: one that fits the model, within the search space or not; or a JSON file that holds one.
            calibrate: find its weights with data, too.
            origin: where it comes from, in words, for the record.
            tracking_uri: MLflow's store, where it is not the one of the search.
            ray_address: Ray cluster to work on; this process does it without.
            observers: hear what happens.

        Raises:
            UserError: it does not fit the model, the evaluation fails, or a search is running in the folder.
        """
        from palettune.search.api.adding import evaluate_in_run  # loads the libraries that run models
        from palettune.search.loop.session import Places

        places = Places(self.folder.root, self._storage, tracking_uri, ray_address, inline=ray_address is None)
        return evaluate_in_run(self.experiment, self.trials, places, configuration, calibrate, origin, observers)

    def review(self, path: str | Path | None = None) -> Path:
        """Write the page that shows all of it, for any browser, and give its path.

        Args:
            path: of the HTML file; ``review.html`` in the run folder unless given.

        Raises:
            UserError: it cannot be written there.
        """
        from palettune.search.review.review_page import write_review

        written = Path(path) if path is not None else self.folder.review
        write_review(self._review_source(), written)
        return written

    def export(
        self,
        pick: Sequence[str | int | Record] = ("knee",),
        out: str | Path = "exported",
        *,
        max_size_mb: float | None = None,
        max_latency_ms: float | None = None,
        max_divergence: float | None = None,
        tracking_uri: str | None = None,
        register: str | None = None,
        observer: SearchObserver | None = None,
        on_exported: Callable[[Exported], None] = lambda item: None,
    ) -> ExportResult:
        """Export evaluations as proven packages, and list each in ``manifest.json``, on the review page and in MLflow.

        Args:
            pick: ``"knee"``, ``"all"``, ``"smallest"``, ``"spread:N"``, ``"divergence<0.01"``, ``"uniform:lut8"``,
                ``"recipe:NAME"``, numbers of any trials, or records.
            out: folder for the packages; packages of the same name are replaced.
            max_size_mb: only members of at most this size.
            max_latency_ms: only members of at most this latency: measured where it was, else predicted.
            max_divergence: only members of at most this divergence.
            tracking_uri: MLflow's store, where it is not the one of the search.
            register: name of a model in MLflow's registry, which gets a version for each proven package.
            observer: hears of stages and notes.
            on_exported: called with each package as soon as it is proven, or is not.

        Raises:
            UserError: nothing is picked, or the model, its data or the experiment are not those searched.
        """
        reporter = observer or SearchObserver()
        picked = self.pick(pick, Limits(max_size_mb, max_latency_ms, max_divergence))
        from palettune.search.api.export_ledger import ExportLedger  # loads torch, coremltools and MLflow
        from palettune.search.preparation.as_searched import prepare_as_searched
        from palettune.search.results.packages.export import export

        with reporter.stage("checking the workload"):
            layers = {layer.name: layer.normalization is not None for layer in self._study.context.space.layers}
            preparation = prepare_as_searched(self.experiment, layers)
            self._study.check(preparation.identity())
        for words in preparation.workload.notes:
            reporter.warn(words)
        ledger = ExportLedger(self.folder, self.search_id, list(layers), Path(out), tracking_uri, register, on_exported)
        try:
            packages = export(preparation, self.folder, picked, Path(out), reporter, ledger.take)
        finally:
            ledger.show(self.review, reporter.warn)
        if ledger.problem is not None:
            reporter.warn(f"the packages are written, but MLflow does not list them: {ledger.problem}")
        return ExportResult(tuple(packages), ledger.manifest, ledger.problem)

    def pick(self, wanted: Sequence[str | int | Record], limits: Limits = Limits()) -> tuple[Record, ...]:  # noqa: B008
        """Return the evaluations that words, numbers or records name, each once.

        Raises:
            PickError: naming the word or bound, and what there is.
        """
        picks = Picks(self.front, self.trials, self._study.context.space, self._study.recipes())
        found: list[Record] = []
        for item in wanted:
            found += [item] if isinstance(item, Record) else picks.pick([str(item)], limits)
        return tuple({record.trial: record for record in found}.values())

    def _review_source(self) -> ReviewSource:
        from palettune.search.review.review_source import ReviewSource

        context, trials = self._study.context, self.trials
        known = known_latency(self._latency, trials, self._study.measurements())
        return ReviewSource.read(
            self.experiment,
            self.folder,
            context,
            trials,
            self._front(trials, known),
            latency=known.model or self._latency,
            notes=self.notes,
            storage=self._storage,
        )

    def _front(self, trials: Sequence[Record], known: KnownLatency) -> Front:
        found = front_of(trials, self._study.context.objectives(self.experiment), known)
        return replace(found, confirmations=self._study.confirmations(), recipes=self._study.recipes())

    def _record(self, trial: int | Record) -> Record:
        return trial if isinstance(trial, Record) else self.trial(trial)

    @cached_property
    def _latency(self) -> LatencyModel | None:
        return self._study.context.latency(self.experiment)

    @property
    def _traded_latency(self) -> LatencyModel | None:
        """The latency model where latency is one of the costs."""
        return self._latency if "latency_ms" in self.experiment.objectives.cost else None

    @property
    def _known(self) -> KnownLatency:
        measurements = self._study.measurements()
        if not measurements:
            return KnownLatency()
        return known_latency(self._latency, self._study.records(), measurements)

    @cached_property
    def _scores(self) -> Scores:
        return Scores.load(self.folder.scores / self._study.context.scores_file)


def open_run(
    experiment: Experiment | str | Path,
    *,
    root: str | Path = "runs",
    storage: str | None = None,
    ending: Ending | None = None,
) -> Run:
    """Open what a search has left, or is leaving; nothing is changed there.

    Args:
        experiment: an experiment, or the path of its file.
        root: the folder of all runs.
        storage: URL of the search's database, where it is not the journal file.
        ending: why the search came to its end, where that is known.

    Raises:
        UserError: there is no search, or it is of another experiment or workload.
    """
    loaded = Experiment.of(experiment)
    folder = RunFolder(Path(root), loaded.name)
    way_out = "run `palettune search EXPERIMENT.toml` or palettune.run_search(experiment) first"
    if storage is None and not folder.journal.exists():
        raise UserError(f"{folder.path}: no search there yet; {way_out} (`root` names the folder)")
    study = SearchStudy.load(open_storage(folder, storage, read=True), loaded)
    if study is None:
        raise UserError(f"{folder.path}: the search has no trials yet; {way_out}")
    return Run(loaded, folder, study, ending, storage)
