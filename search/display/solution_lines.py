"""A predicted optimum as people read it in a terminal: what is measured first, then the prediction, then what to do."""

from __future__ import annotations

from collections.abc import Mapping

from palettune.search.proposing.escalation_forecast import EscalationForecast
from palettune.search.proposing.solution import Solution
from palettune.search.results.formatting import digits, encoding_summary
from palettune.search.study.record import Record

__all__ = ["measured_words", "solution_lines"]

_UNITS = {"size_mb": "MB", "latency_ms": "ms"}


def solution_lines(
    found: Solution, experiment: str = "EXPERIMENT.toml", options: str = "", places: str = ""
) -> list[str]:
    """Return the best measured member within the budgets, the prediction, commands for both, and a line for each layer.

    Args:
        experiment: the experiment file, for the commands.
        options: what else was said on the command line beside the budgets, for the commands.
        places: options that say where the search lies, likewise.
    """
    lines = [_best(found), _prediction(found), *map(_forecast, found.forecasts)]
    if found.latency is not None:
        lines.append(
            f"predicted latency {found.latency.ms:.3f} ms (80 % interval {found.latency.low:.3f} to "
            f"{found.latency.high:.3f}) on {found.predicted_for}, taught by {found.latency_measured_on} measurements"
        )
    lines += [_advice(found), *_commands(found, experiment, options, places)]
    return lines + [f"  {name}: {encoding}" for name, encoding in found.configuration.in_order.items()]


def _best(found: Solution) -> str:
    bounds = _bounds(found.budgets)
    if found.best is None:
        return f"measured: no member of the front is within {bounds}"
    return f"best measured within {bounds}: {measured_words(found.best)}"


def measured_words(record: Record) -> str:
    """Return a trial in words: its costs and what was measured of it."""
    costs = ", ".join(f"{value:.3f} {_UNITS[name]}" for name, value in record.costs.items() if name in _UNITS)
    divergence = record.evaluation.divergence if record.evaluation is not None else None
    return f"trial {record.trial}, {costs}, divergence {digits(divergence)} ({record.workflow})"


def _prediction(found: Solution) -> str:
    interval = "no change on the scoring data, and nothing was measured: no interval can be given"
    if found.high is not None:
        ends = f"{digits(found.low)} to {digits(found.high)}"
        interval = f"80 % interval {ends}, from {found.measured_on} measured neighbours"
    return (
        f"predicted: {found.costs['size_mb']:.3f} MB, divergence {digits(found.divergence)} ({interval}); "
        f"{encoding_summary(found.configuration)}; solved in {found.seconds:.2f} s"
    )


def _forecast(forecast: EscalationForecast) -> str:
    many = forecast.escalations
    ends = f", {forecast.best:.2f} to {forecast.worst:.2f}" if many > 1 else ""
    return (
        f"{forecast.rung} has left {forecast.share:.2f} of the divergence here ({many} escalation"
        f"{'s' if many > 1 else ''} nearby{ends}): about {digits(forecast.divergence)}"
    )


def _advice(found: Solution) -> str:
    """Whether the prediction is worth an evaluation, in words."""
    if found.evaluated:
        return f"this configuration has been evaluated: {'; '.join(map(measured_words, found.evaluated))}"
    if found.best is None or found.best.evaluation is None:
        return "a prediction: nothing was evaluated"
    measured = found.best.evaluation.divergence
    hoped = min([found.divergence, *(forecast.divergence for forecast in found.forecasts)])
    if found.high is not None and found.high < measured:
        return f"the whole interval of the prediction lies below what trial {found.best.trial} has: evaluate it"
    if hoped < measured:
        return f"it may be better than trial {found.best.trial}, which only an evaluation can tell"
    return f"it is not predicted to be better than trial {found.best.trial}, which is measured: take that"


def _commands(found: Solution, experiment: str, options: str, places: str) -> list[str]:
    bounds = "".join(f" --max-{name.replace('_', '-')} {value:g}" for name, value in found.budgets.items())
    solve = f"palettune solve {experiment}{bounds}{options}{places}"
    measured = [(r.evaluation.divergence, r.trial) for r in (*found.evaluated, found.best) if r and r.evaluation]
    lines = [f"  palettune export {experiment} --pick {min(measured)[1]} --out DIR{places}"] if measured else []
    lines += [] if found.evaluated else [f"  {solve} --evaluate"]
    escalated = any(record.escalated_from is not None for record in found.evaluated)
    return lines + ([f"  {solve} --calibrate"] if found.forecasts and not escalated else [])


def _bounds(budgets: Mapping[str, float]) -> str:
    return " and ".join(f"{value:g} {_UNITS.get(name, name)}" for name, value in budgets.items())
