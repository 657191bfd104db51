"""Coverage of the MIL op set by the reference runtime, and the page that lists it.

``python -m palettune.device_bench.runtime.coverage docs/op_coverage.md`` writes the page.

The op set is what coremltools registers for its core dialect (``mil/ops/registry.py``), plus the one op of its
``coreml`` dialect that reaches packages.
"""

from __future__ import annotations

import sys
from pathlib import Path

import coremltools as ct

from palettune.device_bench.library_internals import known_ops
from palettune.device_bench.runtime import ops  # noqa: F401 - registers the kernels
from palettune.device_bench.runtime.registry import registered

__all__ = ["REASONS", "covered", "op_set", "page", "uncovered"]

#: Ops that the plan itself executes: blocks, states and constants.
_PLANNED = {
    "cond": "control flow",
    "while_loop": "control flow",
    "read_state": "states",
    "coreml_update_state": "states",
    "const": "constants",
}

#: Why an op has no kernel.
REASONS = {
    "conv_quantized": "marked experimental in coremltools; no converter emits it",
}


def op_set() -> set[str]:
    """Return the op types of the MIL op set, without coremltools' internal ones (with an underscore)."""
    return {name for name in known_ops() if not name.startswith("_")} | {"coreml_update_state"}


def covered() -> dict[str, str]:
    """Return the family of each op that runs, by op type."""
    named = {name: kernels[0].family for name, kernels in registered().items()}
    decoded = {name: "compressed weights" for name in op_set() if name.startswith("constexpr_")}
    return {name: family for name, family in (named | decoded | _PLANNED).items() if name in op_set()}


def uncovered() -> set[str]:
    """Return the op types that do not run."""
    return op_set() - covered().keys()


def page() -> str:
    """Return the coverage as a Markdown page."""
    by_family: dict[str, list[str]] = {}
    for name, family in covered().items():
        by_family.setdefault(family, []).append(name)
    lines = [
        "# Ops of the reference runtime",
        "",
        f"The reference runtime executes {len(covered())} of the {len(op_set())} ops in the MIL op set of coremltools "
        f"{ct.__version__.split('.')[0]},",
        "in every opset in which the meaning of an op differs. This page is generated; a test keeps it current:",
        "",
        "```sh",
        "python -m palettune.device_bench.runtime.coverage docs/op_coverage.md",
        "```",
        "",
        "| family | ops |",
        "|---|---|",
        *(
            f"| {family} | {', '.join(f'`{name}`' for name in sorted(by_family[family]))} |"
            for family in sorted(by_family)
        ),
        "",
        "## Ops that are not covered",
        "",
        *(f"- `{name}`: {REASONS.get(name, 'no kernel yet')}" for name in sorted(uncovered())),
        "- `custom_layer`: its code is not in the package, and coremltools' loader refuses it",
        "- `gru` with `reset_after`: its documentation contradicts itself, and no converter emits it",
        "",
        "## Approximations",
        "",
        "- FP16 is emulated by rounding the output of each op. What a device does inside an op, such as the width of",
        "  its accumulators, is not documented and not emulated.",
        "- Random ops draw from the stated distribution, but not the same numbers as a device.",
        "- Which pixel a nearest-neighbour op takes for a coordinate between two pixels is not documented;",
        "  `device_bench/runtime/ops/resizing.py` says what is assumed.",
        "",
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Write the page to the file that the first argument names."""
    Path(arguments[0]).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
