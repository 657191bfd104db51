"""Reasons why a search ended."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Ending"]


class Ending(StrEnum):
    """Reason why a search ended, in words."""

    TRIALS = "the budget of trials is spent"
    MINUTES = "the budget of minutes is spent"
    EXHAUSTED = "every configuration of the space has been evaluated"
    NOTHING_NEW = "the sampler proposes nothing new"
    ADDED = "what was asked for is evaluated"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "the driver failed"

    @property
    def complete(self) -> bool:
        """Whether the search came to its own end, so that the same command has nothing left to do."""
        return self not in (Ending.STOPPED, Ending.INTERRUPTED, Ending.FAILED)
