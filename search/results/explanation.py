"""Reasons for each layer's encoding: what it saves, what it is predicted to cost, and the next best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from palettune.device_bench.cost.latency_model import LatencyModel
from palettune.evaluators.sensitivity.scores import Scores
from palettune.search.results.formatting import digits
from palettune.search.results.front import Front
from palettune.search.study.record import Record
from palettune.space.configuration import Precision
from palettune.space.encoding import FP16, Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.search_space import SearchSpace
from palettune.space.target import DeploymentTarget

if TYPE_CHECKING:
    import pandas

__all__ = ["Explanation", "LayerReason", "explain_front", "explain_record"]

USUAL = "fisher"
"""The sensitivity score that needs no mention."""


@dataclass(frozen=True)
class LayerReason:
    """One layer of one member.

    Attributes:
        bytes: in the weight file.
        saved: bytes less than fp16.
        score: predicted divergence of this layer alone.
        next_best: the encoding that the same exchange rate of bytes for divergence would take next, if there is one.
        next_bytes: bytes more (or fewer) that it would take.
        next_score: by how much the predicted divergence would change.
        neighbour: the encoding in the next larger member, where it differs.
        saved_ms: predicted milliseconds less than fp16, around this member; ``None`` without a device.
        next_ms: predicted milliseconds more (or fewer) that the next best would take.
        activations: precision of what enters the layer.
        method: how the layer's scores were found.
    """

    layer: str
    encoding: Encoding
    bytes: int
    saved: int
    score: float
    next_best: Encoding | None
    next_bytes: int
    next_score: float
    neighbour: Encoding | None
    saved_ms: float | None = None
    next_ms: float | None = None
    activations: Precision = Precision.FP16
    method: str = USUAL


@dataclass(frozen=True, repr=False)
class Explanation:
    """One member of the front, layer by layer, and the exchange rates that its choices agree with.

    Attributes:
        rate: divergence per byte.
        rate_ms: divergence per millisecond; ``None`` without a device.
    """

    record: Record
    rate: float
    layers: tuple[LayerReason, ...]
    rate_ms: float | None = None

    def to_frame(self) -> pandas.DataFrame:
        """Return a row for each layer; columns are the attributes of ``LayerReason``."""
        import pandas

        return pandas.DataFrame([vars(reason) for reason in self.layers]).set_index("layer")

    @property
    def sentence(self) -> str:
        """The member in one or two sentences: its size, its encodings, its largest layer, and what bytes are worth."""
        record, largest = self.record, max(self.layers, key=lambda reason: reason.bytes)
        quality = f", divergence {digits(record.evaluation.divergence)}" if record.evaluation else ""
        timed = f", {record.costs['latency_ms']:.3f} ms predicted" if self.rate_ms is not None else ""
        share = largest.bytes / max(sum(reason.bytes for reason in self.layers), 1)
        return (
            f"Trial {record.trial} ({record.workflow}) is {record.costs['size_mb']:.3f} MB{quality}{timed}: "
            f"of {len(self.layers)} layers {_encodings(self.layers)}. {share:.0%} of their bytes are "
            f"in {largest.layer}, as {largest.encoding}{self._bought}."
        )

    @property
    def _bought(self) -> str:
        """What more bytes or more time would buy; a price of 0 is none that the choices agree with, and is left out."""
        prices = (("kB", self.rate * 1e3), ("microsecond", (self.rate_ms or 0.0) / 1e3))
        return "".join(f"; one {unit} buys {price:.3g} of divergence" for unit, price in prices if price)

    def by_bytes(self) -> tuple[LayerReason, ...]:
        """Return the layers, the largest first; equal ones in the model's order."""
        return tuple(sorted(self.layers, key=lambda reason: -reason.bytes))

    def to_json(self) -> dict[str, Any]:
        """Return plain values; layers in the model's order."""
        return {
            "trial": self.record.trial,
            "sentence": self.sentence,
            "divergence_per_byte": self.rate,
            "divergence_per_ms": self.rate_ms,
            "layers": [_reason_json(reason) for reason in self.layers],
        }

    def __str__(self) -> str:
        return f"{self.sentence}\n{self.to_frame().to_string()}"

    def __repr__(self) -> str:
        return f"Explanation(trial {self.record.trial}: {len(self.layers)} layers; one kB buys {self.rate * 1e3:.3g})"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.to_frame().to_html()}"


def _encodings(layers: Sequence[LayerReason]) -> str:
    """As in ``23 are in lut4, 17 in int8, 10 in lut3``."""
    (first, count), *others = Counter(str(reason.encoding) for reason in layers).most_common()
    return ", ".join([f"{count} {'is' if count == 1 else 'are'} in {first}", *(f"{n} in {name}" for name, n in others)])


def _reason_json(reason: LayerReason) -> dict[str, Any]:
    plain = (str, int, float, type(None))
    return {name: value if isinstance(value, plain) else str(value) for name, value in vars(reason).items()}


def explain_front(
    front: Front,
    space: SearchSpace,
    target: DeploymentTarget,
    scores: Scores,
    latency: LatencyModel | None = None,
) -> list[Explanation]:
    """Explain every member, smallest first.

    Args:
        latency: where latency is one of the costs.
    """
    neighbours = [*front.members[1:], None]
    return [
        explain_record(r, other, space, target, scores, latency)
        for r, other in zip(front.members, neighbours, strict=True)
    ]


def explain_record(
    record: Record,
    neighbour: Record | None,
    space: SearchSpace,
    target: DeploymentTarget,
    scores: Scores,
    latency: LatencyModel | None = None,
) -> Explanation:
    """Say of one evaluation why each layer is as it is.

    Args:
        neighbour: the next larger member of the front, to compare with; ``None`` where there is none.
        latency: where latency is one of the costs.
    """
    owner = {name: group for group in space.groups for name in group}
    linear = latency.linearized(record.configuration) if latency is not None else None

    def milliseconds(name: str, encoding: Encoding) -> float:
        own = encoding == record.configuration.encodings[name]
        precision = record.configuration.activations.get(name, Precision.FP16) if own else Precision.FP16
        return linear.cost(name, encoding, precision) if linear is not None else 0.0

    if linear is None:
        rate, rate_ms = _rate(record, space, target, scores), 0.0
    else:
        rate, rate_ms = _rates(
            [
                np.array([
                    (scores.score(n, e), layer_bytes(space.menus[n].layer, e, target), milliseconds(n, e))
                    for e in _choices(space, group, record) for n in group
                ]).reshape(-1, len(group), 3).sum(axis=1)
                for group in space.groups
            ],
            [_choices(space, g, record).index(record.configuration.encodings[g[0]]) for g in space.groups],
        )  # fmt: skip
    reasons = []
    for name, encoding in record.configuration.in_order.items():
        layer = space.menus[name].layer
        here = layer_bytes(layer, encoding, target)
        options = {
            e: (layer_bytes(layer, e, target), scores.score(name, e)) for e in space.menus[owner[name][0]].encodings
        }
        score = scores.score(name, encoding)
        others = sorted(
            (loss + rate * size + rate_ms * milliseconds(name, e), str(e), e)
            for e, (size, loss) in options.items()
            if e != encoding
        )
        best = others[0][2] if others else None
        other = neighbour.configuration.encodings[name] if neighbour else encoding
        reasons.append(
            LayerReason(
                name,
                encoding,
                here,
                layer_bytes(layer, FP16, target) - here,
                score,
                best,
                options[best][0] - here if best else 0,
                options[best][1] - score if best else 0.0,
                other if other != encoding else None,
                None if linear is None else milliseconds(name, FP16) - milliseconds(name, encoding),
                None if linear is None or best is None else milliseconds(name, best) - milliseconds(name, encoding),
                record.configuration.activations.get(name, Precision.FP16),
                scores.method_of(name),
            )
        )
    return Explanation(record, rate, tuple(reasons), rate_ms if linear is not None else None)


def _choices(space: SearchSpace, group: Sequence[str], record: Record) -> tuple[Encoding, ...]:
    """The encodings of a group's menu, and the one that a configuration from elsewhere has."""
    offered, own = space.menus[group[0]].encodings, record.configuration.encodings[group[0]]
    return offered if own in offered else (*offered, own)


def _rates(groups: Sequence[NDArray[np.float64]], chosen: Sequence[int]) -> tuple[float, float]:
    """Prices of a byte and of a millisecond that the choices agree with best: those of the least total regret.

    A linear program: the regret of a group is what its choice costs at these prices above its best one.

    Args:
        groups: for each, rows of (loss, bytes, milliseconds) by choice.
        chosen: the choice of each group.
    """
    from scipy.optimize import linprog  # takes long to import, and only latency as a cost needs it

    scale = np.maximum(np.max([np.ptp(rows, axis=0) for rows in groups], axis=0), 1e-30)
    rows_scaled = [rows / scale for rows in groups]
    spent = sum(rows[choice, 1:] for rows, choice in zip(rows_scaled, chosen, strict=True))
    constraints, bounds = [], []
    for number, rows in enumerate(rows_scaled):
        best = np.zeros((len(rows), len(groups)))
        best[:, number] = 1.0
        constraints.append(np.concatenate([-rows[:, 1:], best], axis=1))
        bounds.append(rows[:, 0])
    objective = np.concatenate([np.asarray(spent), -np.ones(len(groups))])
    limits = [(0, None)] * 2 + [(None, None)] * len(groups)
    answer = linprog(objective, A_ub=np.concatenate(constraints), b_ub=np.concatenate(bounds), bounds=limits)
    prices = answer.x[:2] if answer.x is not None else np.zeros(2)
    return float(prices[0] * scale[0] / scale[1]), float(prices[1] * scale[0] / scale[2])


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
