"""Why each layer has its encoding: what it saves, what it is predicted to cost, and what the next best would be."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from evaluators.sensitivity.scores import Scores
from search.front import Front
from search.study import Record
from search.tables import digits
from space.encoding import FP16, Encoding
from space.footprint import layer_bytes
from space.search_space import SearchSpace
from space.target import DeploymentTarget

__all__ = ["Explanation", "LayerReason", "explain_front", "explanation_table", "explanation_text"]


@dataclass(frozen=True)
class LayerReason:
    """One layer of one member.

    Attributes:
        saved: bytes less than fp16.
        score: predicted divergence of this layer alone.
        next_best: the encoding that the same exchange rate of bytes for divergence would take next, if there is one.
        next_bytes: bytes more (or fewer) that it would take.
        next_score: by how much the predicted divergence would change.
        neighbour: the encoding in the next larger member, where it differs.
    """

    layer: str
    encoding: Encoding
    saved: int
    score: float
    next_best: Encoding | None
    next_bytes: int
    next_score: float
    neighbour: Encoding | None


@dataclass(frozen=True)
class Explanation:
    """One member of the front, layer by layer, and the exchange rate that its choices agree with."""

    record: Record
    rate: float
    layers: tuple[LayerReason, ...]


def explain_front(front: Front, space: SearchSpace, target: DeploymentTarget, scores: Scores) -> list[Explanation]:
    """Every member, smallest first."""
    neighbours = [*front.members[1:], None]
    return [_explain(r, other, space, target, scores) for r, other in zip(front.members, neighbours, strict=True)]


def _explain(
    record: Record, neighbour: Record | None, space: SearchSpace, target: DeploymentTarget, scores: Scores
) -> Explanation:
    owner = {name: group for group in space.groups for name in group}
    rate = _rate(record, space, target, scores)
    reasons = []
    for name, encoding in record.configuration.encodings.items():
        layer = space.menus[name].layer
        here = layer_bytes(layer, encoding, target)
        options = {
            e: (layer_bytes(layer, e, target), scores.score(name, e)) for e in space.menus[owner[name][0]].encodings
        }
        score = scores.score(name, encoding)
        others = sorted((loss + rate * size, str(e), e) for e, (size, loss) in options.items() if e != encoding)
        best = others[0][2] if others else None
        other = neighbour.configuration.encodings[name] if neighbour else encoding
        reasons.append(
            LayerReason(
                name,
                encoding,
                layer_bytes(layer, FP16, target) - here,
                score,
                best,
                options[best][0] - here if best else 0,
                options[best][1] - score if best else 0.0,
                other if other != encoding else None,
            )
        )
    return Explanation(record, rate, tuple(reasons))


def _rate(record: Record, space: SearchSpace, target: DeploymentTarget, scores: Scores) -> float:
    """Divergence per byte at which the member's cheapest step up and dearest step down meet (geometric mean)."""
    ups, downs = [1e-30], []
    for group in space.groups:
        chosen = record.configuration.encodings[group[0]]

        def cost(e: Encoding, group: tuple[str, ...] = group) -> tuple[int, float]:
            size = sum(layer_bytes(space.menus[name].layer, e, target) for name in group)
            return size, sum(scores.score(name, e) for name in group)

        size, loss = cost(chosen)
        for e in space.menus[group[0]].encodings:
            other, changed = cost(e)
            if other > size and changed < loss:
                ups.append((loss - changed) / (other - size))
            elif other < size and changed > loss:
                downs.append((changed - loss) / (size - other))
    return float((max(ups) * min(downs, default=max(ups))) ** 0.5)


def explanation_table(explanation: Explanation) -> Table:
    """One member for a terminal."""
    record = explanation.record
    table = Table(
        title=f"trial {record.trial}, {record.costs['size_mb']:.3f} MB: one kB buys {explanation.rate * 1e3:.3g} of divergence",
        header_style="bold",
    )
    for column in (
        "layer",
        "encoding",
        "kB saved",
        "score",
        "next best",
        "kB more",
        "score then",
        "in the next larger",
    ):
        table.add_column(column, justify="right" if column.startswith(("kB", "score")) else "left")
    for reason in explanation.layers:
        table.add_row(
            reason.layer,
            str(reason.encoding),
            f"{reason.saved / 1e3:.1f}",
            digits(reason.score),
            str(reason.next_best or "-"),
            f"{reason.next_bytes / 1e3:+.1f}" if reason.next_best else "-",
            f"{reason.next_score:+.2g}" if reason.next_best else "-",
            str(reason.neighbour or ""),
        )
    return table


def explanation_text(explanations: Sequence[Explanation]) -> str:
    """All members as plain text."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=170, no_color=True)
    for explanation in explanations:
        console.print(explanation_table(explanation))
    return buffer.getvalue()
