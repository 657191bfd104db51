"""Long values of a study: lists for each evaluation, beside its trials and out of their attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.storages import BaseStorage

__all__ = ["LongValues"]

_PREFIX = "values:"

Lists = Mapping[str, list[Any]]
"""Lists of plain values by name, such as ``by_sample``."""


class LongValues:
    """Lists by the key of what they belong to, in the study's system attributes.

    They are part of the truth that the storage holds, and in nobody's way: neither a data frame of trials nor a
    dashboard shows the system attributes of a study.
    """

    def __init__(self, storage: BaseStorage, study_id: int) -> None:
        self._storage, self._study_id = storage, study_id
        self._known: dict[str, Lists] = {}

    def keep(self, key: str | int, lists: Lists) -> None:
        """Keep the lists of one evaluation: by its trial's number, or by another key."""
        if lists:
            self._storage.set_study_system_attr(self._study_id, f"{_PREFIX}{key}", dict(lists))
            self._known[str(key)] = lists

    def of(self, key: str | int) -> Lists:
        """Return the lists of one evaluation; none where it has none, or where the study has lost them."""
        if str(key) not in self._known:  # written by an earlier process, or by another one
            attributes: dict[str, Any] = self._storage.get_study_system_attrs(self._study_id)
            rows = {name.removeprefix(_PREFIX): row for name, row in attributes.items() if name.startswith(_PREFIX)}
            self._known = {**rows, **self._known}
        return self._known.get(str(key), {})
