"""An inspection as people read it in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from palettune.evaluators.workload.sample_axes import FIRST
from palettune.search.display.fitted_table import FittedTable, TableColumn
from palettune.search.experiment.objectives import MEGABYTE
from palettune.search.preparation.inspection import GroupedAdvice, Inspection
from palettune.space.encoding import FP16, Encoding

__all__ = ["print_inspection"]


def print_inspection(found: Inspection, console: Console) -> None:
    """Print notes, layers, what is kept and refused, advice, and the reachable sizes."""
    warning = found.front_end.warning
    for words in (*found.notes, *filter(None, (warning, found.coverage_warning))):
        console.print(f"note: {words}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    common = _common(found)
    for line in _menu_lines(found, common):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(_layers(found, common), soft_wrap=True)
    for line in _kept(found.kept):
        console.print(line, highlight=False, markup=False)
    if found.uncompressed:
        console.print(_uncompressed(found))
    console.print(f"layers are {100 * found.coverage:.1f} % of the weights' bytes", highlight=False, markup=False)
    refused = Counter((str(e), reason) for item in found.layers for e, reason in item.refused.items())
    if refused:
        console.print(_refused(refused))
    for line in _advice(found.advice):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for line in (*_sampling(found), *found.interface):
        console.print(line, highlight=False, markup=False)
    for group in found.groups:
        console.print(f"share one encoding: {', '.join(group)}", markup=False)
    for line in _sizes(found):
        console.print(line, highlight=False, markup=False)
    run = found.fp16
    if run is not None and not run.check.failed:
        said = run.warning or f"run in fp16: {run.check}, {run.seconds:.1f} s"
        console.print(said, style="yellow" if run.warning else None, soft_wrap=True, markup=False, highlight=False)


def _common(found: Inspection) -> tuple[Encoding, ...]:
    """The menu that most layers have; of equals the first."""
    return Counter(tuple(item.menu) for item in found.layers).most_common(1)[0][0]


def _menu_lines(found: Inspection, common: tuple[Encoding, ...]) -> list[str]:
    """The common menu, said once."""
    count = sum(tuple(item.menu) == common for item in found.layers)
    of = "all layers" if count == len(found.layers) else f"{count} of {len(found.layers)} layers"
    return [f"menu of {of}: {' '.join(map(str, common))}"]


def _layers(found: Inspection, common: tuple[Encoding, ...]) -> FittedTable:
    """The layers in the model's order; a menu is shown where it is not the common one."""
    layers = found.layers
    menus = [_menu(tuple(item.menu), common) for item in layers]
    counts = [f"{len(item.menu)} encodings" if words else "" for item, words in zip(layers, menus, strict=True)]
    columns = [
        TableColumn("layer", [item.layer.name for item in layers], left=True),
        TableColumn("kind", [item.layer.kind.value for item in layers], rank=4, left=True),
        TableColumn("shape", ["x".join(map(str, item.layer.shape)) for item in layers], rank=2, left=True),
        TableColumn("fp16 kB", [f"{item.menu[FP16] / 1e3:.1f}" for item in layers], rank=1),
        TableColumn("smallest kB", [f"{item.menu[item.smallest] / 1e3:.1f}" for item in layers], rank=1),
        TableColumn("other menu", menus, rank=3, left=True, shorter=[counts]),
    ]
    shown = columns if any(menus) else columns[:-1]
    title = f"{found.experiment} on {found.deployment_target}"
    return FittedTable(shown, title, hint="a wider terminal, or --json")


def _menu(menu: tuple[Encoding, ...], common: tuple[Encoding, ...]) -> str:
    """How a menu differs from the common one: what it lacks and what it has besides; all of it, where that is shorter."""
    lacking = [str(encoding) for encoding in common if encoding not in menu]
    besides = [str(encoding) for encoding in menu if encoding not in common]
    if len(menu) <= len(lacking):
        return f"only {' '.join(map(str, menu))}"
    parts = (("without", lacking), ("and", besides))
    return " ".join(f"{word} {' '.join(names)}" for word, names in parts if names)


def _uncompressed(found: Inspection) -> Table:
    table = Table(title="constants above 2 kB that are no layer's", header_style="bold")
    for column in ("name", "shape", "kB", "reason"):
        figures = column in ("shape", "kB")
        table.add_column(column, justify="right" if column == "kB" else "left", overflow="fold", no_wrap=figures)
    for constant in found.uncompressed:
        shape = "x".join(map(str, constant.shape))
        table.add_row(escape(constant.name), shape, f"{constant.bytes / 1e3:.1f}", escape(constant.reason))
    return table


def _refused(refused: Mapping[tuple[str, str], int]) -> Table:
    table = Table(title="refused encodings", header_style="bold")
    for column in ("encoding", "layers", "reason"):
        table.add_column(column, no_wrap=column != "reason")
    for (name, reason), count in sorted(refused.items()):
        table.add_row(name, str(count), escape(reason))
    return table


def _advice(pieces: Sequence[GroupedAdvice]) -> list[str]:
    """What is known of processors, ``!`` where it speaks against an encoding; each source on one line, to be opened."""
    lines = ["advice (nothing is forbidden by it):"] if pieces else []
    for item in pieces:
        spelt, layers = " ".join(map(str, item.encodings)), f"{item.layers} layer{'s' * (item.layers > 1)}"
        lines.append(f"{' ' if item.suits else '!'} {item.processor.value}, {spelt} in {layers}: {item.text}")
        lines.append(f"    {item.source}")
    return lines


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
    listed = ", ".join(f"{i.layer.name} {i.menu[i.smallest] / 1e3:.1f} kB ({i.smallest})" for i in by_size)
    return [
        f"reachable: {least:.3f} MB to {most:.3f} MB in the weight file, of which {found.rest_bytes / MEGABYTE:.3f} MB "
        "is no layer's weight",
        f"the smallest size is set by: {listed}",
    ]
