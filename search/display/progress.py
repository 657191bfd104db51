"""The console: what a search shows in a terminal while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from palettune.device_bench.cost.latency_model import LatencyModel
from palettune.device_bench.cost.latency_reach import latency_reach
from palettune.device_bench.measurement.measurement import Measurement
from palettune.search.display.heartbeat import Heartbeat, Work
from palettune.search.display.text_console import text_console
from palettune.search.experiment.objectives import NOTICEABLE
from palettune.search.results.ending import Ending
from palettune.search.results.formatting import digits
from palettune.search.results.front import Front
from palettune.search.results.observer import SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.record import Record
from palettune.space.encoding import FP16, Encoding

if TYPE_CHECKING:
    from palettune.search.preparation.preparation import Preparation
    from palettune.search.results.packages.export import Exported

__all__ = ["Display"]

_INT8 = Encoding.parse("int8")


class Display(SearchObserver):
    """Observer that writes stages, bars and a line per finished trial to a console, the terminal by default.

    Where there is no terminal, lines take the place of bars, one every half minute.

    Args:
        seconds: between two of these lines.
    """

    def __init__(self, console: Console | None = None, seconds: float = 30.0) -> None:
        self.console = console or text_console()
        self._heart = None if self.console.is_terminal else Heartbeat(self.say, seconds)
        self._trials = ExitStack()
        self._work: Work | None = None
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Say what is being done, and how long it took."""
        self._end()  # a terminal takes one moving line at a time
        started = time.monotonic()
        with self.console.status(Text(f"{name} ...")), self._beating(Work(name)):
            yield
        self.console.print(f"[dim]{name}: {time.monotonic() - started:.1f} s[/dim]")

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a bar over a known amount of work."""
        self._end()
        started = time.monotonic()
        work = Work(name, total)
        with self._columns() as progress, self._beating(work):
            task = progress.add_task(name, total=total)

            def advance(amount: int) -> None:
                work.done += amount
                progress.advance(task, amount)

            yield advance
        self.console.print(f"[dim]{name}: {total} in {time.monotonic() - started:.1f} s[/dim]")

    def on_prepared(self, preparation: Preparation) -> None:
        """Say what is about to be searched, and what the user should know of it."""
        from palettune.search.preparation.weight_coverage import coverage_warning  # loads torch

        for words in preparation.experiment.notes:
            self.warn(words)
        self.notes(preparation)
        if preparation.base.front_end.warning:
            self.warn(preparation.base.front_end.warning)
        weights = sum(layer.parameters for layer in preparation.layers)
        floor = preparation.reach.smallest_bytes / 1e6
        top = preparation.reach.largest_bytes / 1e6
        self.console.print(
            f"{len(preparation.layers)} layers, {weights / 1e6:.2f} M weights; {len(preparation.space.choices)} choices "
            f"to make, divergence: {preparation.kind.value}; reachable sizes {floor:.2f} to {top:.2f} MB",
            soft_wrap=True,
        )
        warning = coverage_warning(preparation)
        if warning is not None:
            self.say(warning)
        if preparation.latency is not None:
            self._describe_latency(preparation, preparation.latency)

    def notes(self, preparation: Preparation) -> None:
        """Print what the user should know of how the workload was read."""
        for words in preparation.workload.notes:
            self.warn(words)

    def _describe_latency(self, preparation: Preparation, model: LatencyModel) -> None:
        fast = latency_reach(preparation.space, model).fastest_ms
        plain = model.predict(preparation.space.uniform(FP16)).ms
        where = f"{model.device.name}, {model.setting}"
        self.say(f"predicted latency on {where}: {plain:.3f} ms in fp16, {fast:.3f} ms at the least")
        if fast * (1 + NOTICEABLE) > plain:
            self.warn(
                "no encoding makes this model noticeably faster there: arithmetic, not weights, takes its time; "
                "what latency still tells is which encodings to avoid"
            )
            self._describe_rounding(preparation, model, plain)

    def _describe_rounding(self, preparation: Preparation, model: LatencyModel, plain: float) -> None:
        """Say what activations in 8 bits would bring, where the experiment does not ask for them."""
        from palettune.search.preparation.int8_rounding import rounding

        asked = preparation.experiment.escalation.int8_activations.count
        if asked or not preparation.experiment.deployment_target.rounds_activations:
            return
        rounded = rounding(preparation)(preparation.space.uniform(_INT8))
        ms = model.predict(rounded).ms if rounded is not None else plain
        if ms * (1 + NOTICEABLE) < plain:
            self.say(
                f"activations in 8 bits would: {ms:.3f} ms with int8 weights; ask with [escalation] int8_activations = 4"
            )

    def on_search_started(self, history: SearchHistory) -> None:
        """Begin the lines of trials."""
        trials = history.experiment.budget.trials
        if history.trials:
            self.console.print(f"going on after {history.evaluated} of {trials} evaluations")
        self._progress = self._columns()
        self._progress.start()
        self._task = self._progress.add_task("evaluating", total=trials, completed=history.evaluated)
        self._work = Work("evaluating", trials, history.evaluated, before=history.evaluated)
        self._trials.enter_context(self._beating(self._work))

    def on_trial_finished(self, record: Record, history: SearchHistory) -> None:
        """Print one line for a finished trial."""
        self._print_line(record, history)
        if self._progress is not None and self._task is not None and record.answered_from is None:
            self._progress.advance(self._task)
            if self._work is not None:
                self._work.done += 1

    def on_escalation_finished(self, record: Record, history: SearchHistory) -> None:
        """Print one line for a finished escalation."""
        self._print_line(record, history)

    def on_measured(self, record: Record, measurement: Measurement, history: SearchHistory) -> None:
        """Print one line for a measured latency, and how it corrected the model of the chip."""
        model = history.known.model
        assert model is not None
        predicted = record.costs.get("latency_ms") or 0.0
        drifted = " (the device warmed up: a cool one is faster)" if measurement.drifted else ""
        self.say(
            f"trial {record.trial} measured on {measurement.device}: {measurement.median_ms:.3f} ms, spread "
            f"{measurement.spread_ms:.3f}, {measurement.runs} runs{drifted}; predicted {predicted:.3f} ms; "
            f"the model of {model.device.chip.name} is now slower {model.scale:.2f} times, and its weights {model.stream:.2f}"
        )

    def on_finished(self, ending: Ending, history: SearchHistory) -> None:
        """End the lines of trials."""
        self._end()

    def _print_line(self, record: Record, history: SearchHistory) -> None:
        self.console.print(self.line(record, history.hypervolume, history.front), highlight=False, soft_wrap=True)

    def line(self, record: Record, hypervolume: float, front: Front) -> str:
        """Return the line of one trial, in Rich markup."""
        head = f"trial {record.trial:>4}  {record.origin:<18}"
        if record.failure is not None:
            return f"[red]{head} failed at {escape(str(record.failure))}[/red]"
        if record.screened is not None:
            return f"[dim]{head} {record.costs['size_mb']:.3f} MB  {record.screened}[/dim]"
        evaluation = record.evaluation
        assert evaluation is not None
        units = {"size_mb": "MB", "latency_ms": "ms predicted"}
        costs = "  ".join(f"{value:.3f} {units[name]}" for name, value in record.costs.items())
        metrics = "".join(f"  {escape(name)} {digits(value)}" for name, value in evaluation.metrics.items())
        marks = ""
        if record.answered_from is not None:
            marks = f"  [dim](as trial {record.answered_from})[/dim]"
        elif not record.feasible:
            marks = "  [yellow](a constraint is not met)[/yellow]"
        elif any(member.trial == record.trial for member in front.members):
            marks = "  [green]on the front[/green]"
        return f"{head} {costs}  divergence {digits(evaluation.divergence):>8}{metrics}  hypervolume {hypervolume:.4f}{marks}"

    def on_exported(self, item: Exported) -> None:
        """Print one exported package: predicted against real size, and the proof."""
        shapes = f", and at {len(item.shapes)} shapes" if item.shapes else ""
        verdict = (
            f"[green]proven[/green] ({len(item.proof.layers)} layers; when run: {item.execution.figures}{shapes})"
            if item.proven
            else f"[red]NOT PROVEN: {escape('; '.join(item.failures))}[/red]"
        )
        self.console.print(
            f"{escape(str(item.path))}: weight file {item.weight_bytes} B (predicted {item.predicted_weight_bytes} B"
            f"{': exact' if item.weight_file.passed else ''}), package {item.package_bytes} B, {verdict}",
            highlight=False,
            soft_wrap=True,
        )
        for warning in item.warnings:
            self.warn(warning)

    def _beating(self, work: Work) -> AbstractContextManager[None]:
        return self._heart.beating(work) if self._heart is not None else nullcontext()

    def _end(self) -> None:
        self._trials.close()
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def say(self, message: str) -> None:
        """Print something that the user would like to know."""
        self.console.print(message, highlight=False, soft_wrap=True, markup=False)

    def warn(self, message: str) -> None:
        """Print something that the user should know and that does not stop the work."""
        self.console.print(f"[yellow]note: {escape(message)}[/yellow]", highlight=False, soft_wrap=True)

    def _columns(self) -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left:", markup=False),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
