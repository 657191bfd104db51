"""The page of the forty architectures, from their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.benchmarks.architectures.forty import FAMILIES

#: Coverage that is asked for, and how many constants are named where it is less.
ENOUGH, MOST = 0.99, 4

HEAD = """# Architectures

Forty architectures from public packages, in small configurations with random weights, through Palettune's own path:
conversion, layers, one mixed configuration exported and proven, and the same network as a package. The list was fixed
before the first conversion and nothing in it has been replaced. The page is written by

```sh
python -m experiments.benchmarks.architectures.run
```

which needs `pip install 'palettune[architectures]'`.

"""


def page(results: Sequence[dict[str, Any]]) -> str:
    """The whole page, in Markdown."""
    lines = [
        "| family | architecture | converts | coverage | bytes | proof | SNR, fp16 | package route | forward | scores |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    ordered = sorted(results, key=lambda result: FAMILIES.index(result["families"][0]))
    lines += [row(result) for result in ordered]
    return f"{HEAD}{summary(results)}\n\n" + "\n".join(lines) + f"\n\n{WORDS}{left_out(ordered)}{reasons(ordered)}"


WORDS = """- coverage: bytes of the layers over those of all floating-point constants of two or more axes.
- bytes: of the exported weight file, and whether they were predicted exactly.
- proof: the package holds what was asked for, and computes in float32 and in fp16 what the compressed model does.
- SNR, fp16: of the package executed with every op rounded to fp16, beside the compressed model in float32.
- package route: the smallest reachable size of the same network as an `.mlpackage`, over that of the torch module.
- forward: one forward pass of the assembled model over one of the float model, medians of interleaved runs.
- scores: the time of scoring every layer in every encoding, in forward passes over the same samples.
"""


def summary(results: Sequence[dict[str, Any]]) -> str:
    """How many there are of what is asked for."""
    made = [result for result in results if converts(result)]
    whole = [result for result in made if "export" in result]
    covered = [result for result in whole if value(result, "torch", "coverage", 0.0) >= ENOUGH]
    exact = [result for result in whole if is_exact(result)]
    proven = [result for result in whole if value(result, "export", "proven", False)]
    equal = [result for result in whole if (ratio := routes(result)) is not None and abs(ratio - 1) <= 0.01]
    return (
        f"{len(made)} of {len(results)} convert. {len(whole)} of these have been measured further: {len(covered)} "
        f"have a coverage of at least 99 %, {len(exact)} weight files have exactly the predicted bytes, {len(proven)} "
        f"packages are proven, and {len(equal)} reach the same sizes within 1 % as a package."
    )


def row(result: dict[str, Any]) -> str:
    cells = [", ".join(result["families"]), f"{result['name']} ({result['package']})"]
    if not converts(result):
        return f"| {' | '.join([*cells, 'no', *[''] * 7])} |"
    ratio, exact = routes(result), is_exact(result)
    snr, forward = value(result, "export", "fp16_snr_db"), value(result, "forward", "ratio")
    scores = value(result, "scores", "passes")
    coverage, size = value(result, "torch", "coverage"), value(result, "export", "bytes")
    cells += [
        "exported" if value(result, "conversion", "front_end") == "torch.export" else "traced",
        f"{100 * coverage:.1f} %" if coverage is not None else "",
        f"{size} {'exact' if exact else 'not exact'}" if size is not None else "",
        {True: "yes", False: "no", None: ""}[value(result, "export", "proven")],
        f"{snr:.0f} dB" if snr is not None else "",
        f"{ratio:.3f}" if ratio is not None else "",
        f"{forward:.2f}" if forward is not None else "",
        f"{scores:.1f}" if scores is not None else "",
    ]
    return f"| {' | '.join(cells)} |"


def left_out(results: Sequence[dict[str, Any]]) -> str:
    """The largest constants that are no layers, where coverage is below 99 %."""
    low = [one for one in results if converts(one) and (value(one, "torch", "coverage") or 1.0) < ENOUGH]
    found = [f"- {one['name']}: {', '.join(map(constant, value(one, 'torch', 'not_layers')[:MOST]))}" for one in low]
    return "\n## Below 99 %\n\nThe largest constants that are no layers:\n\n" + "\n".join(found) + "\n" if found else ""


def constant(one: Sequence[Any]) -> str:
    name, shape, size = one
    return f"`{name}` {'x'.join(map(str, shape))}, {size} bytes"


def reasons(results: Sequence[dict[str, Any]]) -> str:
    """What failed, by architecture."""
    found = [
        f"- {result['name']}, {stage.replace('_', ' ')}: {words}"
        for result in results
        for stage in ("conversion", "torch", "package_route", "export", "forward", "scores")
        if (words := failure(result.get(stage) or {}))
    ]
    return "\n## What does not work\n\n" + "\n".join(found) + "\n" if found else ""


def failure(stage: dict[str, Any]) -> str:
    """Why a stage failed, in one line that Markdown does not read."""
    words = stage.get("failed") or "; ".join(stage.get("failures", ()))
    return " ".join(words.split()).replace("|", "/").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def converts(result: dict[str, Any]) -> bool:
    return "failed" not in result["conversion"]


def is_exact(result: dict[str, Any]) -> bool:
    size = value(result, "export", "bytes")
    return size is not None and size == value(result, "export", "predicted_bytes")


def routes(result: dict[str, Any]) -> float | None:
    """Smallest reachable size as a package over that of the torch module."""
    package, torch = value(result, "package_route", "smallest_bytes"), value(result, "torch", "smallest_bytes")
    return package / torch if package and torch else None


def value(result: dict[str, Any], stage: str, key: str, default: Any = None) -> Any:
    """A figure of a stage that may have failed."""
    return (result.get(stage) or {}).get(key, default)
