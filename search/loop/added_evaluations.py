"""Evaluations that are asked for beside a search: of a solved configuration, of one in a file, of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.rungs.rung import Rung
from palettune.search.loop.confirmation import confirm_members
from palettune.search.results.observer import SearchObserver
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.escalation import EscalationOrder
from palettune.search.study.record import Record
from palettune.search.workers.evaluations import Evaluations, SearchStopped
from palettune.search.workers.requests import Escalate, Evaluate
from palettune.space.configuration import Configuration

__all__ = ["AddedEvaluations", "AskedEvaluation"]


@dataclass(frozen=True)
class AskedEvaluation:
    """One configuration to be evaluated.

    Attributes:
        origin: what asks for it, in words.
        rungs: it goes through after the evaluation without data, each from what the one before gave.
        recipe: name under which the result is found again; ``None`` for what is no recipe.
    """

    origin: str
    configuration: Configuration
    rungs: tuple[Rung, ...] = ()
    recipe: str | None = None


class AddedEvaluations:
    """Evaluations on request, added to the study; what the study holds already is not evaluated again.

    Args:
        history: of the search; takes in what is evaluated.
        costs: the costs of a configuration, known without evaluating it.
        confirm: whether the workload has data that the search never saw, to measure the results on.
    """

    def __init__(
        self,
        history: SearchHistory,
        evaluations: Evaluations,
        costs: Callable[[Configuration], Mapping[str, float]],
        observer: SearchObserver,
        *,
        confirm: bool,
    ) -> None:
        self._history, self._evaluations, self._costs = history, evaluations, costs
        self._study, self._observer, self._confirm = history.study, observer, confirm

    def evaluate(self, asked: Sequence[AskedEvaluation], stop: Callable[[], bool]) -> list[Record]:
        """Evaluate what is asked for; return the last record of each, in order, fewer where ``stop`` ended it."""
        done: list[Record] = []
        if not asked:
            return done
        with self._observer.bar("evaluating what was asked for", sum(1 + len(item.rungs) for item in asked)) as advance:
            try:
                for item in asked:
                    done.append(self._asked(item, stop, advance))
            except SearchStopped:
                return done
        if self._confirm:
            found = [record for record in done if record.evaluation is not None]
            confirm_members(self._study, self._evaluations, found, self._observer, stop)
        return done

    def _asked(self, item: AskedEvaluation, stop: Callable[[], bool], advance: Callable[[int], None]) -> Record:
        record = self._data_free(item, stop)
        advance(1)
        for rung in item.rungs:
            record = self._escalated(rung, record, item, stop) if record.evaluation is not None else record
            advance(1)
        if item.recipe is not None:
            self._study.keep_recipe(item.recipe, record.trial)
        return record

    def _data_free(self, item: AskedEvaluation, stop: Callable[[], bool]) -> Record:
        configuration = Configuration(item.configuration.in_order)  # 8-bit activations come with their rung
        known = self._known(configuration, lambda record: record.workflow == Workflow.DATA_FREE)
        if known is not None:
            return known
        costs = self._costs(configuration)
        (_, answer), *_ = self._evaluations.completed([Evaluate(configuration)], stop)
        record = self._study.added.add(item.origin, configuration, answer.result, costs, answer.span)
        self._history.add(record)
        self._observer.on_trial_finished(record, self._history)
        return record

    def _escalated(self, rung: Rung, source: Record, item: AskedEvaluation, stop: Callable[[], bool]) -> Record:
        configuration = item.configuration if rung.rounds else source.configuration
        known = self._known(configuration, lambda record: record.rung == rung.name)
        if known is not None:
            return known
        request = Escalate(rung.workflow, self._order(rung.name, configuration, source))
        (_, answer), *_ = self._evaluations.completed([request], stop)
        whole = replace(source, configuration=configuration, costs=self._costs(configuration))
        record = self._study.added.escalate(rung, whole, answer.result, answer.span)
        self._history.add(record)
        self._observer.on_escalation_finished(record, self._history)
        return record

    def _order(self, rung: str, configuration: Configuration, source: Record) -> EscalationOrder:
        """What a worker is asked for, with what it begins from, which it makes again where its file is gone."""
        if source.rung is None:
            return EscalationOrder(rung, configuration)
        began = next(record for record in self._history.records if record.trial == source.escalated_from)
        start = self._order(source.rung, source.configuration, began)
        return EscalationOrder(rung, configuration, start, source.state, source.evaluation)

    def _known(self, configuration: Configuration, kind: Callable[[Record], bool]) -> Record | None:
        """What the study holds of a configuration; the last one where there are several."""
        found = [
            r
            for r in self._history.records
            if r.configuration == configuration and r.evaluation is not None and r.answered_from is None and kind(r)
        ]
        return found[-1] if found else None
