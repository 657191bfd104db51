"""The constraints of an experiment, one by one, and which of them an evaluation breaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.experiment.experiment import Constraints
from palettune.search.results.formatting import digits

__all__ = ["broken_constraints", "constraint_rows"]

_AT_MOST, _AT_LEAST = "<=", ">="


def constraint_rows(constraints: Constraints) -> list[dict[str, Any]]:
    """Return name, relation and value of each bound."""
    bounds = [
        ("size_mb", _AT_MOST, constraints.max_size_mb),
        ("latency_ms", _AT_MOST, constraints.max_latency_ms),
        ("divergence", _AT_MOST, constraints.max_divergence),
        *((name, _AT_MOST, bound.max) for name, bound in constraints.metrics.items()),
        *((name, _AT_LEAST, bound.min) for name, bound in constraints.metrics.items()),
    ]
    return [{"name": n, "relation": relation, "value": value} for n, relation, value in bounds if value is not None]


def broken_constraints(constraints: Constraints, evaluation: Evaluation, costs: Mapping[str, float]) -> list[str]:
    """Return the bounds that an evaluation does not meet, in words."""
    known = {**evaluation.metrics, **costs, "divergence": evaluation.divergence}
    found = []
    for row in constraint_rows(constraints):
        value, bound = known.get(row["name"]), row["value"]
        if value is not None and (value > bound if row["relation"] == _AT_MOST else value < bound):
            words = "at most" if row["relation"] == _AT_MOST else "at least"
            found.append(f"{row['name']} is {digits(value)}, {words} {bound:g} is asked for")
    return found
