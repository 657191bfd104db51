"""Inspection: layers, menus and reachable sizes, without a search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from palettune.evaluators.workload.sample_axes import FIRST
from palettune.search.experiment.objectives import MEGABYTE
from palettune.search.preparation.preparation import Preparation
from palettune.search.preparation.weight_coverage import uncompressed
from palettune.space.advice import Processor, advice
from palettune.space.footprint import layer_bytes

__all__ = ["inspection_json", "print_inspection"]


def inspection_json(preparation: Preparation) -> dict[str, Any]:
    """Everything that ``inspect`` shows, as plain values."""
    space = preparation.space
    target = preparation.experiment.deployment_target
    found = preparation.reach
    return {
        "experiment": preparation.experiment.name,
        "deployment_target": target.value,
        "divergence": preparation.kind.value,
        "rest_bytes": preparation.rest,
        "smallest_bytes": found.smallest_bytes,
        "largest_bytes": found.largest_bytes,
        "notes": [*preparation.experiment.notes, *preparation.workload.notes],
        "coverage": preparation.coverage,
        "uncompressed": [
            {"name": constant.name, "shape": list(constant.shape), "bytes": constant.bytes}
            for constant in preparation.base.floats
        ],
        "kept": {**preparation.workload.kept, **preparation.base.refusals},
        "conversion": preparation.base.front_end.to_json(),
        "advice": _advice(preparation),
        "groups": [list(group) for group in space.groups if len(group) > 1],
        "samples": str(preparation.workload.sampling.axes),
        "state": list(preparation.workload.sampling.state.names),
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind.value,
                "shape": list(layer.shape),
                "menu": {str(e): layer_bytes(layer, e, target) for e in space.menus[layer.name].encodings},
                "refused": {str(e): reason for e, reason in space.menus[layer.name].refused.items()},
                "smallest": str(found.smallest.encodings[layer.name]),
            }
            for layer in preparation.layers
        ],
    }


def print_inspection(preparation: Preparation, console: Console) -> None:
    """The same for people."""
    facts = inspection_json(preparation)
    warning = facts["conversion"]["warning"]
    for words in (*facts["notes"], *([warning] if warning else ())):
        console.print(f"note: {words}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    console.print(_layers(facts))
    for line in (*_kept(facts["kept"]), *uncompressed(preparation)):
        console.print(line, highlight=False, markup=False)
    refused = Counter((name, reason) for layer in facts["layers"] for name, reason in layer["refused"].items())
    if refused:
        table = Table(title="refused encodings", header_style="bold")
        for column in ("encoding", "layers", "reason"):
            table.add_column(column)
        for (name, reason), count in sorted(refused.items()):
            table.add_row(name, str(count), reason)
        console.print(table)
    if facts["advice"]:
        table = Table(title="advice (nothing is forbidden by it)", header_style="bold", show_lines=True)
        for column in ("on", "encodings", "layers", "what is known", "source"):
            table.add_column(column, overflow="fold")
        for item in facts["advice"]:
            mark = "" if item["suits"] else "[yellow]![/yellow] "
            table.add_row(
                item["processor"], " ".join(item["encodings"]), str(item["layers"]), mark + item["text"], item["source"]
            )
        console.print(table)
    for line in _sampling(facts, preparation.experiment.data.sequence):
        console.print(line, highlight=False, markup=False)
    for group in facts["groups"]:
        console.print(f"share one encoding: {', '.join(group)}")
    least, most = facts["smallest_bytes"] / MEGABYTE, facts["largest_bytes"] / MEGABYTE
    rest = facts["rest_bytes"] / MEGABYTE
    console.print(
        f"reachable: {least:.3f} MB to {most:.3f} MB in the weight file, of which {rest:.3f} MB is no layer's weight"
    )
    by_size = sorted(facts["layers"], key=lambda layer: -layer["menu"][layer["smallest"]])[:5]
    listed = ", ".join(f"{l['name']} {l['menu'][l['smallest']] / MEGABYTE:.3f} MB ({l['smallest']})" for l in by_size)  # noqa: E741
    console.print(f"the smallest size is set by: {listed}")


def _sampling(facts: Mapping[str, Any], sequence: int | None) -> list[str]:
    """How the data are run, where that is not along the first axis, one item like another."""
    if facts["state"]:
        length = "in one pass over the data" if sequence is None else f"for {sequence} item{'s' * (sequence > 1)}"
        return [
            f"carries state from one item to the next ({', '.join(facts['state'])}): items run in order, {length}, and "
            "then begin anew ([data] sequence)"
        ]
    return [] if facts["samples"] == str(FIRST) else [f"{facts['samples']} ([data] batch_axis)"]


def _kept(reasons: Mapping[str, str]) -> list[str]:
    """The constants of a package that are no layers, a line for each reason."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return [
        f"kept as {'it is' if len(found) == 1 else 'they are'}: {', '.join(found[:3])}"
        f"{f' and {len(found) - 3} more' if len(found) > 3 else ''}: {reason}"
        for reason, found in names.items()
    ]


def _advice(preparation: Preparation) -> list[dict[str, Any]]:
    """What is known of the menus on the device's processors, each piece once."""
    experiment = preparation.experiment
    unit = experiment.device.compute_unit if experiment.device else "ALL"
    found: dict[tuple[str, bool, str, str], tuple[dict[str, None], set[str]]] = {}
    for layer in preparation.layers:
        for encoding in preparation.space.menus[layer.name].encodings:
            for processor in Processor.of(unit):
                for item in advice(layer, encoding, experiment.deployment_target, processor):
                    key = (processor.value, item.suits, item.text, item.source)
                    encodings, layers = found.setdefault(key, ({}, set()))
                    encodings[str(encoding)] = None
                    layers.add(layer.name)
    return [
        {"processor": key[0], "suits": key[1], "text": key[2], "source": key[3], "encodings": list(e), "layers": len(n)}
        for key, (e, n) in sorted(found.items(), key=lambda pair: (pair[0][0], pair[0][1], pair[0][2]))
    ]


def _layers(facts: dict[str, Any]) -> Table:
    table = Table(title=f"{facts['experiment']} on {facts['deployment_target']}", header_style="bold")
    for column in ("layer", "kind", "shape", "fp16 kB", "smallest kB", "menu"):
        table.add_column(column, justify="right" if column.endswith("kB") else "left")
    for layer in facts["layers"]:
        menu = layer["menu"]
        table.add_row(
            layer["name"],
            layer["kind"],
            "x".join(str(size) for size in layer["shape"]),
            f"{menu['fp16'] / 1e3:.1f}",
            f"{menu[layer['smallest']] / 1e3:.1f}",
            " ".join(menu),
        )
    return table
