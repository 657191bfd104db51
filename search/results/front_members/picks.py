"""Picks: the evaluations that a user's words name, on the front or beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from palettune.search.results.front import Front, Limits, PickError
from palettune.search.results.front_members.figure_bound import is_figure_bound, smallest_within_figure
from palettune.search.study.record import Record
from palettune.space.encoding import Encoding
from palettune.space.errors import suggestion
from palettune.space.search_space import SearchSpace

__all__ = ["WORDS", "Picks", "best_within"]

WORDS = "knee, all, smallest, spread:N, divergence<X, uniform:ENCODING, recipe:NAME or a trial number"
"""What may be said, in words."""


@dataclass(frozen=True)
class Picks:
    """Everything of one run that can be picked.

    Attributes:
        front: its members, whom ``knee``, ``all``, ``smallest``, ``spread:N`` and ``divergence<X`` choose from.
        records: every finished evaluation, whom trial numbers name.
        space: what uniform configurations are made of.
        recipes: trial of each recipe, by the recipe's name.
    """

    front: Front
    records: Sequence[Record]
    space: SearchSpace
    recipes: Mapping[str, int] = field(default_factory=dict)

    def pick(self, wanted: Sequence[str], limits: Limits) -> tuple[Record, ...]:
        """Return the evaluations that some words name, each once, in the order of the words.

        Raises:
            PickError: naming the word or bound, and what there is.
        """
        picked: dict[int, Record] = {}
        for word in wanted:
            picked |= {record.trial: record for record in self._named(word, limits)}
        return tuple(picked.values())

    def _named(self, word: str, limits: Limits) -> Sequence[Record]:
        kind, _, rest = word.partition(":")
        if word.isdigit():
            return [self._within(word, self._trial(word, int(word)), limits)]
        if kind == "recipe" and rest:
            return [self._within(word, self._recipe(word, rest), limits)]
        if kind == "uniform" and rest:
            return [self._within(word, self._uniform(word, rest), limits)]
        if word == "smallest":
            return self.front.pick(["all"], limits)[:1]
        if is_figure_bound(word):
            return [smallest_within_figure(self.front.pick(["all"], limits), word)]
        if kind in _MEMBERS:
            return self.front.pick([word], limits)
        raise PickError(f"--pick {word}: expected {WORDS}{suggestion(word, _MEMBERS)}")

    def _trial(self, word: str, number: int) -> Record:
        by_trial = {record.trial: record for record in self.records}
        record = by_trial.get(number)
        if record is None:
            raise PickError(
                f"--pick {word}: the run has no finished trial {number}; it has {len(by_trial)}, the front "
                f"{', '.join(str(member.trial) for member in self.front)}"
            )
        while record.answered_from is not None and record.answered_from in by_trial:
            record = by_trial[record.answered_from]
        if record.failure is not None:
            raise PickError(f"--pick {word}: trial {number} failed ({record.failure}); there is nothing to export")
        return record

    def _recipe(self, word: str, name: str) -> Record:
        if name not in self.recipes:
            known = ", ".join(self.recipes) or "none; `palettune search EXPERIMENT.toml --also FILE` adds one"
            raise PickError(f"--pick {word}: no recipe {name!r} was evaluated; there are {known}")
        return self._trial(word, self.recipes[name])

    def _uniform(self, word: str, spelling: str) -> Record:
        wanted = self.space.uniform(Encoding.parse(spelling))
        same = [r for r in self.records if r.configuration == wanted and r.escalated_from is None]
        found = [r for r in same if r.evaluation is not None and r.answered_from is None]
        if not found or not any(Encoding.parse(spelling) == e for e in wanted.encodings.values()):
            known = [r.origin.removeprefix("uniform ") for r in self.records if r.origin.startswith("uniform ")]
            raise PickError(
                f"--pick {word}: this uniform configuration was not evaluated; there are {', '.join(known)}. A file "
                f"{spelling}.yaml with the line `'*': {spelling}` is a recipe for it: `palettune search EXPERIMENT.toml "
                f"--also {spelling}.yaml` evaluates it, and --pick recipe:{spelling} exports it"
            )
        return found[0]

    def _within(self, word: str, record: Record, limits: Limits) -> Record:
        if limits != Limits() and (record.evaluation is None or not limits.meets(record, self.front.known)):
            raise PickError(f"--pick {word}: trial {record.trial} is not within the bounds given ({record!r})")
        return record


_MEMBERS = ("knee", "all", "smallest", "spread")


def best_within(front: Front, limits: Limits) -> Record | None:
    """Return the member of the best quality within bounds; ``None`` where there is none."""
    pairs = zip(front.members, front.losses()[:, 0], strict=True)
    within = [(loss, place, record) for place, (record, loss) in enumerate(pairs) if limits.meets(record, front.known)]
    return min(within)[2] if within else None
