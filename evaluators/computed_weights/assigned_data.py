"""Parameters whose data a forward pass sets, as re-parametrized convolutions do that merge their branches into one kernel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from palettune.evaluators.computed_weights.call_key import SET_DATA, function_name
from palettune.evaluators.computed_weights.recorder import ForwardRecord

__all__ = ["assigned_parameters"]


def assigned_parameters(record: ForwardRecord, impure: Collection[int]) -> dict[int, int]:
    """Return, by the number of a computed tensor, that of the parameter whose data it becomes.

    The parameter is an op's weight or bias, its data are set to one value only, and nothing else computes with that
    value.

    Args:
        record: of a forward pass.
        impure: numbers of what depends on more than the model's own tensors.
    """
    sets = list(dict.fromkeys(record.assigned))
    parameters, values = (Counter(pair[at] for pair in sets) for at in (0, 1))
    return {
        value: parameter
        for parameter, value in sets
        if parameters[parameter] == values[value] == 1
        and value not in impure
        and value not in record.sources
        and _is_operand(record, parameter)
        and _is_only_set(record, value)
    }


def _is_operand(record: ForwardRecord, number: int) -> bool:
    source = record.sources.get(number)
    used = any(use.function != function_name(SET_DATA) for use in record.uses.get(number, ()))
    read = any(number in call.inputs for call in record.calls)
    return source is not None and source.is_parameter and used and not read


def _is_only_set(record: ForwardRecord, number: int) -> bool:
    used = all(use.function in (function_name(SET_DATA), "attribute") for use in record.uses[number])
    return used and not any(number in call.inputs and call.computes for call in record.calls)
