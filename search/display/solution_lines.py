"""A predicted optimum as people read it in a terminal."""

from __future__ import annotations

from palettune.search.proposing.solution import Solution
from palettune.search.results.formatting import digits, encoding_summary

__all__ = ["solution_lines"]


def solution_lines(found: Solution) -> list[str]:
    """A line for each layer, then the predicted latency, where there is one, and the predicted divergence."""
    lines = [f"  {name}: {encoding}" for name, encoding in found.configuration.in_order.items()]
    if found.latency is not None:
        lines.append(
            f"predicted latency {found.latency.ms:.3f} ms (80 % interval {found.latency.low:.3f} to "
            f"{found.latency.high:.3f}) on {found.predicted_for}, taught by {found.latency_measured_on} measurements"
        )
    interval = "no change on the scoring data, and nothing was measured: no interval can be given"
    if found.high is not None:
        ends = f"{digits(found.low)} to {digits(found.high)}"
        interval = f"80 % interval {ends}, from {found.measured_on} measured neighbours"
    lines.append(
        f"{found.costs['size_mb']:.3f} MB; predicted divergence {digits(found.divergence)} ({interval}); "
        f"{encoding_summary(found.configuration)}; solved in {found.seconds:.2f} s. A prediction: nothing was evaluated."
    )
    return lines
