"""The context of a study: what must be known to read it back without the user's model."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from palettune.device_bench.cost.latency_model import LatencyModel, prepare_latency
from palettune.device_bench.cost.op import OpList
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.objectives import ObjectiveSet, objective_set
from palettune.space.encoding import Encoding
from palettune.space.layer_json import layer_from_json, layer_to_json
from palettune.space.menu import Menu
from palettune.space.search_space import SearchSpace

__all__ = ["StudyContext"]

#: What studies of former versions did not tell of a layer.
_ABSENT: Mapping[str, Any] = {"float_bits": 16, "parameter": "", "view": None}


@dataclass(frozen=True)
class StudyContext:
    """Facts about the float model and the space, kept in the study.

    Attributes:
        search_id: names this search in MLflow.
        kind: the divergence taken.
        chance: divergence of a constant output.
        float_metrics: the float model's metrics on the evaluation data.
        float_costs: costs of the fp16 model.
        rest_bytes: bytes in the weight file of everything that is not a layer's weight.
        scores_file: name of the scores' file in the run folder.
        ops: what the program computes, for latencies; ``None`` where no device was named.
    """

    search_id: str
    kind: DivergenceKind
    chance: float
    float_metrics: Mapping[str, float]
    float_costs: Mapping[str, float]
    rest_bytes: int
    scores_file: str
    space: SearchSpace
    ops: OpList | None = None

    @staticmethod
    def new_id() -> str:
        """Return a fresh search id."""
        return uuid.uuid4().hex[:16]

    def objectives(self, experiment: Experiment) -> ObjectiveSet:
        """Return the experiment's objectives on this model's scale."""
        return objective_set(experiment, self.chance, self.float_metrics, self.float_costs)

    def latency(self, experiment: Experiment) -> LatencyModel | None:
        """Build the latency model of the experiment's device, without the user's model; ``None`` without a device."""
        if experiment.device is None or self.ops is None:
            return None
        device, unit = experiment.device.name, experiment.device.compute_unit
        return prepare_latency(self.ops, device=device, unit=unit, target=experiment.deployment_target)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "search_id": self.search_id,
            "kind": self.kind.value,
            "chance": self.chance,
            "float_metrics": dict(self.float_metrics),
            "float_costs": dict(self.float_costs),
            "rest_bytes": self.rest_bytes,
            "scores_file": self.scores_file,
            "layers": [{"name": layer.name, **layer_to_json(layer)} for layer in self.space.layers],
            "menus": {name: [str(e) for e in menu.encodings] for name, menu in self.space.menus.items()},
            "groups": [list(group) for group in self.space.groups],
            "ops": None if self.ops is None else self.ops.to_rows(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> StudyContext:
        """Read what ``to_json`` wrote."""
        layers = tuple(layer_from_json(item["name"], {**_ABSENT, **item}) for item in values["layers"])
        menus = {
            layer.name: Menu(layer, tuple(Encoding.parse(e) for e in values["menus"][layer.name]), {})
            for layer in layers
        }
        space = SearchSpace(layers, menus, tuple(tuple(group) for group in values["groups"]))
        return cls(
            values["search_id"],
            DivergenceKind(values["kind"]),
            values["chance"],
            values["float_metrics"],
            values["float_costs"],
            values["rest_bytes"],
            values["scores_file"],
            space,
            OpList.from_rows(values["ops"]) if values.get("ops") is not None else None,
        )
