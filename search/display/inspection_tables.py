"""An inspection as people read it in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from palettune.evaluators.workload.sample_axes import FIRST
from palettune.search.experiment.objectives import MEGABYTE
from palettune.search.preparation.inspection import GroupedAdvice, Inspection
from palettune.space.encoding import FP16

__all__ = ["print_inspection"]


def print_inspection(found: Inspection, console: Console) -> None:
    """Notes, layers, what is kept and refused, advice, and the reachable sizes."""
    warning = found.front_end.warning
    for words in (*found.notes, *filter(None, (warning, found.coverage_warning))):
        console.print(f"note: {words}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    console.print(_layers(found))
    for line in _kept(found.kept):
        console.print(line, highlight=False, markup=False)
    if found.uncompressed:
        console.print(_uncompressed(found))
    console.print(f"layers are {100 * found.coverage:.1f} % of the weights' bytes", highlight=False, markup=False)
    refused = Counter((str(e), reason) for item in found.layers for e, reason in item.refused.items())
    if refused:
        console.print(_refused(refused))
    if found.advice:
        console.print(_advice(found.advice))
    for line in (*_sampling(found), *found.interface):
        console.print(line, highlight=False, markup=False)
    for group in found.groups:
        console.print(f"share one encoding: {', '.join(group)}", markup=False)
    for line in _sizes(found):
        console.print(line, markup=False)
    run = found.fp16
    if run is not None and not run.check.failed:
        said = run.warning or f"run in fp16: {run.check}, {run.seconds:.1f} s"
        console.print(said, style="yellow" if run.warning else None, soft_wrap=True, markup=False, highlight=False)


def _layers(found: Inspection) -> Table:
    table = Table(title=f"{found.experiment} on {found.deployment_target}", header_style="bold")
    for column in ("layer", "kind", "shape", "fp16 kB", "smallest kB", "menu"):
        table.add_column(column, justify="right" if column.endswith("kB") else "left")
    for item in found.layers:
        table.add_row(
            escape(item.layer.name),
            item.layer.kind.value,
            "x".join(str(size) for size in item.layer.shape),
            f"{item.menu[FP16] / 1e3:.1f}",
            f"{item.menu[item.smallest] / 1e3:.1f}",
            " ".join(map(str, item.menu)),
        )
    return table


def _uncompressed(found: Inspection) -> Table:
    table = Table(title="constants above 2 kB that are no layer's", header_style="bold")
    for column in ("name", "shape", "kB", "reason"):
        table.add_column(column, justify="right" if column == "kB" else "left", overflow="fold")
    for constant in found.uncompressed:
        shape = "x".join(map(str, constant.shape))
        table.add_row(escape(constant.name), shape, f"{constant.bytes / 1e3:.1f}", escape(constant.reason))
    return table


def _refused(refused: Mapping[tuple[str, str], int]) -> Table:
    table = Table(title="refused encodings", header_style="bold")
    for column in ("encoding", "layers", "reason"):
        table.add_column(column)
    for (name, reason), count in sorted(refused.items()):
        table.add_row(name, str(count), escape(reason))
    return table


def _advice(pieces: tuple[GroupedAdvice, ...]) -> Table:
    table = Table(title="advice (nothing is forbidden by it)", header_style="bold", show_lines=True)
    for column in ("on", "encodings", "layers", "what is known", "source"):
        table.add_column(column, overflow="fold")
    for item in pieces:
        mark = "" if item.suits else "[yellow]![/yellow] "
        spelt = " ".join(map(str, item.encodings))
        table.add_row(item.processor.value, spelt, str(item.layers), mark + item.text, item.source)
    return table


def _sampling(found: Inspection) -> list[str]:
    """How the data are run, where that is not along the first axis, one item like another."""
    if found.state:
        count = found.sequence
        length = "in one pass over the data" if count is None else f"for {count} item{'s' * (count > 1)}"
        return [
            f"carries state from one item to the next ({', '.join(found.state)}): items run in order, {length}, and "
            "then begin anew ([data] sequence)"
        ]
    return [] if found.samples == str(FIRST) else [f"{found.samples} ([data] batch_axis)"]


def _kept(reasons: Mapping[str, str]) -> list[str]:
    """The weights that are no layers, a line for each reason."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return [
        f"kept as {'it is' if len(found) == 1 else 'they are'}: {', '.join(found[:3])}"
        f"{f' and {len(found) - 3} more' if len(found) > 3 else ''}: {reason}"
        for reason, found in names.items()
    ]


def _sizes(found: Inspection) -> list[str]:
    least, most = found.smallest_bytes / MEGABYTE, found.largest_bytes / MEGABYTE
    by_size = sorted(found.layers, key=lambda item: -item.menu[item.smallest])[:5]
    listed = ", ".join(f"{i.layer.name} {i.menu[i.smallest] / MEGABYTE:.3f} MB ({i.smallest})" for i in by_size)
    return [
        f"reachable: {least:.3f} MB to {most:.3f} MB in the weight file, of which {found.rest_bytes / MEGABYTE:.3f} MB "
        "is no layer's weight",
        f"the smallest size is set by: {listed}",
    ]
