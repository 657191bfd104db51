"""Private names of Optuna and Ray that ``search`` needs.

Every use of such a name in this room stands here, with the version that it was tested with;
``tests/search/test_library_internals.py`` fails when a name is gone or behaves otherwise.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

__all__ = ["FilteredStudy", "actor_id"]


class FilteredStudy(Study):  # type: ignore[misc]
    """An Optuna study that shows samplers some of its trials only.

    Samplers read trials by ``get_trials``, which calls ``_get_trials``, or by ``_get_trials`` itself (Optuna 5.0).
    """

    def shows(self, trial: FrozenTrial) -> bool:
        """Return whether samplers see a trial."""
        return True

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        found = super()._get_trials(deepcopy, states, use_cache)
        return [trial for trial in found if self.shows(trial)]


def actor_id(handle: Any) -> str:
    """Return the hexadecimal id of a Ray actor, as ``ray.exceptions.ActorDiedError.actor_id`` holds it (Ray 2.60)."""
    return str(handle._actor_id.hex())
