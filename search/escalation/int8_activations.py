"""Activations in 8 bits: what such an escalation asks for, and what it would cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from palettune.search.preparation.int8_rounding import rounding
from palettune.search.preparation.preparation import Preparation
from palettune.search.study.record import Record

__all__ = ["with_int8_activations"]


def with_int8_activations(preparation: Preparation) -> Callable[[Record], Record | None]:
    """Return a function that gives an evaluation 8-bit activations, their costs, and its own quality."""
    rounded = rounding(preparation)

    def asked(record: Record) -> Record | None:
        configuration = rounded(record.configuration)
        if configuration is None:
            return None
        return replace(record, configuration=configuration, costs=preparation.costs(configuration))

    return asked
