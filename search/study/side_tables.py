"""Tables of a study beside its trials: evaluations on unseen data, measured latencies, groups of samples, recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.study import Study

from palettune.device_bench.measurement.measurement import Measurement
from palettune.evaluators.quality.evaluation import Evaluation
from palettune.search.study.long_values import LongValues

__all__ = ["CONFIRMATION_DATA", "EVALUATION_DATA", "SideTables"]

EVALUATION_DATA, CONFIRMATION_DATA = "evaluation_data", "confirmation_data"

_CONFIRMATION = "confirmation:"
_MEASUREMENT = "measurement:"
_GROUPS = "sample_groups"
_RECIPE = "recipe:"
_SAMPLES = "by_sample"


class SideTables:
    """Tables in the study's user attributes, but for their long values.

    Args:
        values: hold the divergence of each sample.
    """

    def __init__(self, study: Study, values: LongValues) -> None:
        self._study, self._values = study, values

    def confirm(self, key: str, evaluation: Evaluation) -> None:
        """Keep what the model of a record gave on the confirmation data, by the record's key."""
        row = evaluation.to_json()
        self._values.keep(_CONFIRMATION + key, {_SAMPLES: row.pop(_SAMPLES)})
        self._study.set_user_attr(_CONFIRMATION + key, row)

    def confirmations(self) -> dict[str, Evaluation]:
        """Return the evaluations on the confirmation data, by the record's key."""
        return {key: self._confirmation(key, row) for key, row in self._rows(_CONFIRMATION).items()}

    def _confirmation(self, key: str, row: dict[str, Any]) -> Evaluation:
        if _SAMPLES not in row:  # studies once held them together
            row = {_SAMPLES: (), **row, **self._values.of(_CONFIRMATION + key)}
        return Evaluation.from_json(row)

    def keep_measurement(self, configuration_hash: str, measurement: Measurement) -> None:
        """Keep the latency of a configuration, as measured on the experiment's device and compute unit."""
        self._study.set_user_attr(_MEASUREMENT + configuration_hash, measurement.to_json())

    def measurements(self) -> dict[str, Measurement]:
        """Return the measured latencies, by configuration hash."""
        return {key: Measurement.from_json(value) for key, value in self._rows(_MEASUREMENT).items()}

    def keep_groups(self, groups: Mapping[str, Sequence[int]]) -> None:
        """Keep the group number of each sample, by the name of the data's function."""
        plain = {name: list(numbers) for name, numbers in groups.items()}
        if plain == self.groups():
            return
        for name, numbers in plain.items():
            self._values.keep(f"{_GROUPS}:{name}", {"numbers": numbers})
        self._study.set_user_attr(_GROUPS, list(plain))

    def groups(self) -> dict[str, list[int]]:
        """Return the group numbers of samples, by the name of the data's function; empty without groups."""
        names = self._study.user_attrs.get(_GROUPS, [])
        return {name: self._values.of(f"{_GROUPS}:{name}").get("numbers", []) for name in names}

    def keep_recipe(self, name: str, trial: int) -> None:
        """Keep which trial evaluated a recipe."""
        if self.recipes().get(name) != trial:
            self._study.set_user_attr(_RECIPE + name, trial)

    def recipes(self) -> dict[str, int]:
        """Return the trial of each recipe, by its name."""
        return {key: int(trial) for key, trial in self._rows(_RECIPE).items()}

    def _rows(self, prefix: str) -> dict[str, Any]:
        attributes = self._study.user_attrs.items()
        return {key.removeprefix(prefix): value for key, value in attributes if key.startswith(prefix)}
