"""A landscape: configurations, what they cost and how they measure.

Strategies see a landscape through a ``Run``, which counts their evaluations and their simulated seconds, so that a
change of search is judged in seconds where an evaluation takes seconds.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.objectives import ObjectiveSet, hypervolume, non_dominated
from palettune.search.proposing.solver import Problem
from palettune.search.study.study_context import StudyContext
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding
from palettune.space.search_space import SearchSpace

__all__ = ["Landscape", "Measured", "Row", "Run", "Spent"]

Row = NDArray[np.int64]
"""One configuration: the index of the choice of each group, (groups,)."""

Vector = NDArray[np.float64]


class Spent(Exception):
    """The budget of a run is used up, or as many proposals were repeats."""


@dataclass(frozen=True)
class Measured:
    """What one evaluation gives: the divergence, and the peak signal-to-noise ratio of the outputs in dB."""

    divergence: float
    signal: float


class Landscape(ABC):
    """Configurations with exact costs and a measure.

    Attributes:
        name: of the landscape.
        space: the search space.
        encodings: of the uniform configurations.
        elements: weight elements of each group.
        costs: the allocation problem; its losses are zeros.
        chance: divergence of a constant output.
        float_costs: costs of the uncompressed model, by name.
        scores: by method, the predicted divergence of each choice of each group.
        scoring: by method, its price in evaluations.
        seconds: of one evaluation.
    """

    name: str
    space: SearchSpace
    encodings: tuple[Encoding, ...]
    elements: tuple[int, ...]
    costs: Problem
    chance: float
    float_costs: Mapping[str, float]
    scores: Mapping[str, tuple[Vector, ...]]
    scoring: Mapping[str, float]
    seconds: float

    @abstractmethod
    def measure(self, row: Row) -> Measured:
        """Evaluate one configuration."""

    @cached_property
    def menus(self) -> tuple[tuple[str, ...], ...]:
        """The spellings of each group's choices."""
        return tuple(tuple(str(e) for e in self.space.menus[group[0]].encodings) for group in self.space.groups)

    @cached_property
    def uniform(self) -> Mapping[str, Row]:
        """The uniform configurations by encoding."""
        return {str(encoding): self.row(self.space.uniform(encoding)) for encoding in self.encodings}

    def experiment(self, **keys: object) -> Experiment:
        """The experiment that a search of this landscape is of."""
        return Experiment.model_validate({"name": "benchmark", "workload": "landscape.py", **keys})

    @cached_property
    def context(self) -> StudyContext:
        """What a study of this landscape has to know."""
        costs = dict(self.float_costs)
        return StudyContext("benchmark", DivergenceKind.KL, self.chance, {}, costs, 0, "", self.space)

    @cached_property
    def objectives(self) -> ObjectiveSet:
        """Divergence, then the costs, as a search scales them."""
        return self.context.objectives(self.experiment())

    def row(self, configuration: Configuration) -> Row:
        """Choices of a configuration."""
        menus = [self.space.menus[group[0]].encodings for group in self.space.groups]
        chosen = [configuration.encodings[group[0]] for group in self.space.groups]
        return np.array([menu.index(encoding) for menu, encoding in zip(menus, chosen, strict=True)])

    def configuration(self, row: Row) -> Configuration:
        """The inverse of ``row``."""
        chosen: dict[str, Encoding] = {}
        for group, index in zip(self.space.groups, row, strict=True):
            chosen.update(dict.fromkeys(group, self.space.menus[group[0]].encodings[index]))
        return Configuration(chosen)

    def costs_of(self, configuration: Configuration) -> dict[str, float]:
        """Costs of a configuration, by name."""
        row = self.row(configuration).tolist()
        return {name: self.costs.total(name, row) for name in self.float_costs}

    def problem(self, method: str) -> Problem:
        """The allocation problem under one method's scores."""
        return Problem(self.scores[method], self.costs.costs, self.costs.constants)

    def losses(self, row: Row, divergence: float) -> list[float]:
        """Objective losses, 0 ideal and 1 the reference."""
        spent = [self.costs.total(objective.name, row.tolist()) for objective in self.objectives.objectives[1:]]
        return self.objectives.losses([divergence, *spent])

    def alone(self, group: int, choice: int) -> Row:
        """Everything at its first choice (fp16), but one group."""
        row = np.zeros(len(self.menus), dtype=np.int64)
        row[group] = choice
        return row


@dataclass
class Run:
    """One strategy on one landscape.

    Attributes:
        budget: evaluations it may spend, the price of scoring included.
        losses: of each new evaluation, in order; ``spent`` and ``clock`` say at what cost in evaluations and seconds.
    """

    landscape: Landscape
    budget: int
    losses: list[list[float]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)
    _used: float = 0.0
    _seconds: float = 0.0
    _known: dict[bytes, Measured] = field(default_factory=dict)
    _repeats: int = 0

    def pay(self, evaluations: float) -> None:
        """Spend evaluations on something that measures no whole configuration, such as scoring."""
        self._used += evaluations
        self._seconds += evaluations * self.landscape.seconds

    def measure(self, row: Row) -> Measured:
        """Evaluate a configuration; one already evaluated is free, up to as many times as the budget has evaluations.

        Raises:
            Spent: when the budget is used up.
        """
        key = np.ascontiguousarray(row, dtype=np.int64).tobytes()
        if key in self._known:
            self._repeats += 1
            if self._repeats >= self.budget:
                raise Spent
            return self._known[key]
        if self._used >= self.budget:
            raise Spent
        found = self._known[key] = self.landscape.measure(row)
        self.count(row, found.divergence, self._seconds + self.landscape.seconds)
        return found

    def count(self, row: Row, divergence: float, clock: float) -> None:
        """Count one new evaluation, which ended at some second."""
        self._used += 1.0
        self._seconds = clock
        self.losses.append(self.landscape.losses(row, divergence))
        self.rows.append(np.array(row))
        self.spent.append(self._used)
        self.clock.append(clock)

    @property
    def left(self) -> float:
        """Evaluations that may still be spent."""
        return self.budget - self._used

    @property
    def seconds(self) -> float:
        """Simulated seconds so far."""
        return self._seconds

    @contextmanager
    def thinking(self) -> Iterator[None]:
        """Time that the strategy takes to propose, counted as seconds but not as evaluations."""
        started = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - started

    def volume(self, evaluations: float | None = None) -> float:
        """Hypervolume of what had been found when so many evaluations were spent; of everything without a number."""
        count = len(self.losses) if evaluations is None else int(np.searchsorted(self.spent, evaluations + 1e-9))
        return hypervolume(np.array(self.losses[:count]).reshape(count, -1)) if count else 0.0

    def progress(self) -> tuple[Sequence[float], Sequence[float], list[float]]:
        """Evaluations, seconds and hypervolume, wherever the front has moved."""
        rows: NDArray[np.float64] = np.zeros((0, len(self.landscape.objectives.objectives)))
        at, seconds, volumes = [], [], []
        for loss, spent, clock in zip(self.losses, self.spent, self.clock, strict=True):
            grown = np.concatenate([rows, np.array([loss])])
            kept = grown[non_dominated(grown)]
            if len(kept) == len(rows) and np.array_equal(kept, rows):
                continue
            rows = kept
            at.append(spent)
            seconds.append(clock)
            volumes.append(hypervolume(rows))
        return at, seconds, volumes
