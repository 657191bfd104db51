"""Inspection: layers, menus and reachable sizes of an experiment, without a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas

from palettune.device_bench.conversion.front_end import FrontEnd
from palettune.device_bench.package.other_constants import OtherConstant
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.search.experiment.experiment import Experiment
from palettune.search.experiment.objectives import MEGABYTE
from palettune.search.preparation.fp16_check import Fp16Run, fp16_json, run_in_fp16
from palettune.search.preparation.preparation import Preparation, prepare
from palettune.search.preparation.weight_coverage import constant_json, coverage_warning, large_constants
from palettune.space.advice import Processor, advice
from palettune.space.encoding import Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.layer import Layer
from palettune.space.target import DeploymentTarget

__all__ = ["GroupedAdvice", "InspectedLayer", "Inspection", "inspect"]


@dataclass(frozen=True)
class InspectedLayer:
    """One layer and what it may take.

    Attributes:
        menu: bytes in the weight file, by encoding.
        refused: why an encoding that was asked for is not in the menu.
        smallest: the encoding of the layer in the smallest configuration.
    """

    layer: Layer
    menu: Mapping[Encoding, int]
    refused: Mapping[Encoding, str]
    smallest: Encoding

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.layer.name,
            "kind": self.layer.kind.value,
            "shape": list(self.layer.shape),
            "menu": {str(e): size for e, size in self.menu.items()},
            "refused": {str(e): reason for e, reason in self.refused.items()},
            "smallest": str(self.smallest),
        }


@dataclass(frozen=True)
class GroupedAdvice:
    """One piece of advice on the menus, and for how many layers it holds."""

    processor: Processor
    suits: bool
    text: str
    source: str
    encodings: tuple[Encoding, ...]
    layers: int

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "processor": self.processor.value,
            "suits": self.suits,
            "text": self.text,
            "source": self.source,
            "encodings": [str(encoding) for encoding in self.encodings],
            "layers": self.layers,
        }


@dataclass(frozen=True, repr=False)
class Inspection:
    """Facts about an experiment that are known before a search.

    Attributes:
        layers: every layer of the model.
        rest_bytes: bytes in the weight file that are no layer's.
        smallest_bytes, largest_bytes: of the weight file.
        notes: what the user should know of how the experiment and the workload were taken.
        coverage: bytes of the layers over those of all floating-point constants of two or more axes.
        uncompressed: constants above 2 kB that are no layer's, with the reason.
        coverage_warning: where the layers are less than 95 %.
        kept: why weights are no layers, by name.
        front_end: what read the model for conversion, and what it froze.
        groups: layers that share one encoding.
        samples: along which axis samples lie, in words.
        state: names of what the model carries from one item to the next, which begins anew after ``sequence`` items.
        fp16: the float model run in fp16, where that was asked for.
        interface: what is declared of the package's inputs and outputs, in words.
    """

    experiment: str
    deployment_target: DeploymentTarget
    divergence: DivergenceKind
    layers: tuple[InspectedLayer, ...]
    rest_bytes: int
    smallest_bytes: int
    largest_bytes: int
    notes: tuple[str, ...]
    coverage: float
    uncompressed: tuple[OtherConstant, ...]
    coverage_warning: str | None
    kept: Mapping[str, str]
    front_end: FrontEnd
    advice: tuple[GroupedAdvice, ...]
    groups: tuple[tuple[str, ...], ...]
    samples: str
    state: tuple[str, ...]
    sequence: int | None
    fp16: Fp16Run | None = None
    interface: tuple[str, ...] = ()

    @classmethod
    def of(cls, preparation: Preparation, fp16: Fp16Run | None = None) -> Inspection:
        """Collect the facts of a prepared experiment."""
        workload, space, found = preparation.workload, preparation.space, preparation.reach
        return cls(
            experiment=preparation.experiment.name,
            deployment_target=preparation.experiment.deployment_target,
            divergence=preparation.kind,
            layers=tuple(_inspected(preparation, layer) for layer in preparation.layers),
            rest_bytes=preparation.rest,
            smallest_bytes=found.smallest_bytes,
            largest_bytes=found.largest_bytes,
            notes=preparation.notes,
            coverage=preparation.coverage,
            uncompressed=large_constants(preparation.base.others),
            coverage_warning=coverage_warning(preparation),
            kept={**workload.kept, **preparation.base.refusals},
            front_end=preparation.base.front_end,
            advice=_advice(preparation),
            groups=tuple(group for group in space.groups if len(group) > 1),
            samples=str(workload.sampling.axes),
            state=tuple(workload.sampling.state.names),
            sequence=preparation.experiment.data.sequence,
            fp16=fp16,
            interface=preparation.interface.words,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "experiment": self.experiment,
            "deployment_target": self.deployment_target.value,
            "divergence": self.divergence.value,
            "rest_bytes": self.rest_bytes,
            "smallest_bytes": self.smallest_bytes,
            "largest_bytes": self.largest_bytes,
            "notes": list(self.notes),
            "coverage": self.coverage,
            "uncompressed": [constant_json(constant) for constant in self.uncompressed],
            "kept": dict(self.kept),
            "conversion": self.front_end.to_json(),
            "advice": [item.to_json() for item in self.advice],
            "groups": [list(group) for group in self.groups],
            "samples": self.samples,
            "state": list(self.state),
            "interface": list(self.interface),
            "layers": [layer.to_json() for layer in self.layers],
            **({"fp16": fp16_json(self.fp16)} if self.fp16 is not None else {}),
        }

    def to_frame(self) -> pandas.DataFrame:
        """Return a row for each layer, by name: kind, shape, bytes in fp16 and at the least, and its menu."""
        rows = [
            {
                "layer": item.layer.name,
                "kind": item.layer.kind.value,
                "shape": item.layer.shape,
                "fp16_bytes": next(iter(item.menu.values())),
                "smallest_bytes": item.menu[item.smallest],
                "menu": " ".join(map(str, item.menu)),
            }
            for item in self.layers
        ]
        return pandas.DataFrame(rows).set_index("layer")

    def __repr__(self) -> str:
        least, most = self.smallest_bytes / MEGABYTE, self.largest_bytes / MEGABYTE
        return (
            f"Inspection({self.experiment!r}: {len(self.layers)} layers, reachable {least:.3f} to {most:.3f} MB on "
            f"{self.deployment_target})"
        )

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.to_frame().to_html()}"


def inspect(experiment: Experiment | str | Path, *, run: bool = False) -> Inspection:
    """Check an experiment and show its layers, menus and reachable sizes; nothing is searched.

    Args:
        experiment: an experiment, or the path of its file.
        run: also convert the float model and run it in fp16 on evaluation data; see ``Inspection.fp16``.

    Raises:
        UserError: naming the file, function, key or layer that is wrong.
    """
    preparation = prepare(Experiment.of(experiment))
    return Inspection.of(preparation, run_in_fp16(preparation) if run else None)


def _inspected(preparation: Preparation, layer: Layer) -> InspectedLayer:
    menu, target = preparation.space.menus[layer.name], preparation.experiment.deployment_target
    sizes = {encoding: layer_bytes(layer, encoding, target) for encoding in menu.encodings}
    return InspectedLayer(layer, sizes, dict(menu.refused), preparation.reach.smallest.encodings[layer.name])


def _advice(preparation: Preparation) -> tuple[GroupedAdvice, ...]:
    """What is known of the menus on the device's processors, each piece once."""
    experiment = preparation.experiment
    unit = experiment.device.compute_unit if experiment.device else "ALL"
    found: dict[tuple[Processor, bool, str, str], tuple[dict[Encoding, None], set[str]]] = {}
    for layer in preparation.layers:
        for encoding in preparation.space.menus[layer.name].encodings:
            for processor in Processor.of(unit):
                for item in advice(layer, encoding, experiment.deployment_target, processor):
                    key = (processor, item.suits, item.text, item.source)
                    encodings, layers = found.setdefault(key, ({}, set()))
                    encodings[encoding] = None
                    layers.add(layer.name)
    ordered = sorted(found.items(), key=lambda pair: (pair[0][0].value, pair[0][1], pair[0][2]))
    return tuple(GroupedAdvice(*key, tuple(encodings), len(names)) for key, (encodings, names) in ordered)
