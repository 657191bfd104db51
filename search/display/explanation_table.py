"""Reasons for the encodings of one member, as a table in a terminal: a sentence, then the largest layers first."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from palettune.search.display.fitted_table import FittedTable, TableColumn
from palettune.search.display.text_console import text_console
from palettune.search.results.explanation import USUAL, Explanation, LayerReason
from palettune.search.results.formatting import digits
from palettune.space.configuration import Precision

__all__ = ["FEW_LAYERS", "explanation_table", "explanation_text"]

FEW_LAYERS = 5
"""Layers of a member, where many members are explained."""


def explanation_table(explanation: Explanation, *, most: int | None = None, wide: bool = False) -> FittedTable:
    """Return one member's explanation for a terminal; print it with ``soft_wrap=True``.

    Args:
        most: show only so many layers.
        wide: show all columns, however wide the console is.
    """
    shown = explanation.by_bytes()[:most]
    notes = [words] if (words := _methods(explanation.layers)) else []
    left = len(explanation.layers) - len(shown)
    if left:
        notes.append(f"and {left} smaller layers: palettune explain EXPERIMENT.toml {explanation.record.trial}")
    columns = _columns(shown, explanation.rate_ms is not None)
    return FittedTable(columns, wide=wide, intro=(explanation.sentence, ""), notes=notes)


def _columns(shown: Sequence[LayerReason], timed: bool) -> list[TableColumn]:
    """The columns; those on time where latency is a cost."""

    def column(header: str, words: Callable[[LayerReason], str], rank: int, left: bool = False) -> TableColumn:
        return TableColumn(header, [words(reason) for reason in shown], rank, left)

    found = [
        column("layer", lambda r: r.layer, 0, left=True),
        column("encoding", _encoding, 0, left=True),
        column("kB", lambda r: f"{r.bytes / 1e3:.1f}", 1),
        column("kB saved", lambda r: f"{r.saved / 1e3:.1f}", 6),
        column("us saved", lambda r: f"{(r.saved_ms or 0.0) * 1e3:.2f}", 7),
        column("score", lambda r: digits(r.score), 2),
        column("next best", lambda r: str(r.next_best or "-"), 3, left=True),
        column("kB more", lambda r: f"{r.next_bytes / 1e3:+.1f}" if r.next_best else "-", 4),
        column("us more", lambda r: f"{(r.next_ms or 0.0) * 1e3:+.2f}" if r.next_best else "-", 7),
        column("score then", lambda r: f"{r.next_score:+.2g}" if r.next_best else "-", 5),
        column("in the next larger", lambda r: str(r.neighbour or ""), 8, left=True),
    ]
    return [item for item in found if timed or not item.header.startswith("us ")]


def _encoding(reason: LayerReason) -> str:
    return f"{reason.encoding}{', input in 8 bits' if reason.activations is Precision.INT8 else ''}"


def _methods(layers: Sequence[LayerReason]) -> str | None:
    """Which layers were scored in another than the usual way."""
    others: dict[str, list[str]] = {}
    for reason in layers:
        if reason.method != USUAL:
            others.setdefault(reason.method, []).append(reason.layer)
    said = [f"{method}: {'all layers' if len(n) == len(layers) else ', '.join(n)}" for method, n in others.items()]
    return f"scored by {'; '.join(said)}" if said else None


def explanation_text(explanations: Sequence[Explanation]) -> str:
    """Return all explanations as plain text, with every layer and column."""
    buffer = io.StringIO()
    console = text_console(buffer, no_color=True)
    for explanation in explanations:
        console.print(explanation_table(explanation, wide=True), soft_wrap=True)
    return buffer.getvalue()
