"""Proof that a saved package holds what was asked for: the encodings, the assembled weights, and no other change.

The package is opened again and walked beside the base program of the assembled module. A layer's weight is found
where the graph has it, never by likeness: two layers of equal content cannot be mistaken for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from palettune.device_bench.conversion.base_program import BaseProgram, NodeRecord, WeightPlace, base_program, record
from palettune.device_bench.model.layer_weight import layer_weight
from palettune.device_bench.model.recurrent_state import NO_STATE, RecurrentState
from palettune.device_bench.package.package import PackageWeight, weight_bytes
from palettune.device_bench.package.program_graph import ProgramNode, program_nodes
from palettune.device_bench.proof.activation_proof import activation_failures
from palettune.device_bench.proof.package_encoding import differences, roundings, stored_as
from palettune.space.configuration import Configuration, Precision
from palettune.space.encoding import FP16, Encoding
from palettune.space.errors import UserError
from palettune.space.layer import Layer
from palettune.space.target import DeploymentTarget

__all__ = ["LayerProof", "Proof", "ProofError", "prove"]

_UNIT = 2.0**-11
_SMALLEST = 2.0**-24


class ProofError(UserError):
    """A package that does not hold what was asked for; the message names the layers."""


@dataclass(frozen=True)
class LayerProof:
    """Findings about one layer.

    Attributes:
        layer: its name.
        encoding: asked for, as spelled.
        stored: how the package holds it.
        bytes: in the weight file.
        largest_error: between decoded and assembled values; None when there was nothing to compare.
        failures: in words; empty when the layer is proven.
    """

    layer: str
    encoding: str
    stored: str
    bytes: int
    largest_error: float | None
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Proof:
    """Outcome of ``prove``.

    Attributes:
        layers: one for each layer of the model.
        rest: failures outside the layers: other constants, other ops.
        ops: ops whose kind, operands and types were compared.
        constants: constants outside the layers that were compared, by content.
        weight_bytes: size of the weight file.
        base_digest: of the graph and the constants that the package was compared with.
        last_layer: the layer whose weight ends the weight file, which goes without padding; ``None`` where another
            constant does.
    """

    layers: tuple[LayerProof, ...]
    rest: tuple[str, ...]
    ops: int
    constants: int
    weight_bytes: int
    base_digest: str
    last_layer: str | None = None

    @property
    def passed(self) -> bool:
        """Whether everything was as asked."""
        return not self.rest and not any(layer.failures for layer in self.layers)

    @property
    def failures(self) -> tuple[str, ...]:
        """All failures in words, those of layers with the layer's name."""
        found = [f"layer {layer.layer!r}: {words}" for layer in self.layers for words in layer.failures]
        return (*found, *self.rest)

    def require(self, path: str | Path) -> None:
        """Raise ProofError, with every failure, unless the proof passed."""
        if not self.passed:
            raise ProofError(f"{path} is not what was asked for, do not ship it. " + "; ".join(self.failures))

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of ``manifest.json``: whether it passed, what was checked, what failed."""
        return {"passed": self.passed, "failures": list(self.failures), **asdict(self)}


def prove(
    package: str | Path,
    module: nn.Module,
    example_inputs: tuple[Tensor, ...],
    configuration: Configuration,
    layers: Iterable[Layer],
    target: DeploymentTarget,
    *,
    base: BaseProgram | None = None,
    float32: Sequence[str] = (),
    state: RecurrentState = NO_STATE,
) -> Proof:
    """Open a package again and compare all of it with what it was made from.

    Args:
        package: the saved ``.mlpackage``.
        module: the assembled module that it was converted from.
        example_inputs: as for ``convert``.
        configuration: asked for; a layer without an encoding is fp16.
        layers: of the module, all of them.
        target: as for ``convert``.
        base: of this very module, when the caller has it; otherwise it is converted once more, without its weights.
        float32: as for ``convert``; used where there is no ``base``.
        state: as for ``convert``.

    Returns:
        A proof, passed or not: see ``Proof.require``.

    Raises:
        PackageError: the package cannot be opened.
        ConversionError: the module does not convert.
    """
    found = tuple(layers)
    base = base or base_program(module, example_inputs, target, found, state, float32=float32)
    nodes = program_nodes(package)
    records = [record(node, index, base.layer_at) for index, node in enumerate(nodes)]
    matching = _matching(records, base.records)
    proofs = tuple(_prove_layer(layer, module, configuration, base, nodes[:matching]) for layer in found)
    constants = sum(1 for item in base.records for _ in _constants(item))
    return Proof(
        proofs,
        tuple(_rest(records, base.records, matching)),
        len(records),
        constants,
        weight_bytes(package),
        base.digest,
        _last_layer(nodes, base),
    )


def _last_layer(nodes: tuple[ProgramNode, ...], base: BaseProgram) -> str | None:
    """The layer that holds the last entry of the weight file, of a base program whose file ends with a layer."""
    if not base.ends_with_layer:
        return None
    ends = {
        max((part.offset for *_, part in operand.parts() if part.offset is not None), default=("", -1)): name
        for name, places in base.places.items()
        for operand in (_operand(nodes, place) for place in places)
        if isinstance(operand, PackageWeight)
    }
    return ends[max(ends)] if ends else None


def _matching(records: list[NodeRecord], expected: tuple[NodeRecord, ...]) -> int:
    """How many ops from the start on are of the expected kind and take the expected parameters."""
    for index, (found, wanted) in enumerate(zip(records, expected, strict=False)):
        if found.kind != wanted.kind or [name for name, _ in found.operands] != [name for name, _ in wanted.operands]:
            return index
    return min(len(records), len(expected))


def _rest(records: list[NodeRecord], expected: tuple[NodeRecord, ...], matching: int) -> Iterator[str]:
    """Differences in what is no layer's weight."""
    for found, wanted in zip(records[:matching], expected, strict=False):
        if found.types != wanted.types:
            yield f"op {found.name!r} ({found.kind}) has outputs of another type or shape"
        for (name, values), (_, wanted_values) in zip(found.operands, wanted.operands, strict=True):
            if values != wanted_values:
                yield f"op {found.name!r} ({found.kind}): {name!r} is not that of the model"
    if matching < max(len(records), len(expected)):
        found_kind = records[matching].kind if matching < len(records) else "nothing"
        wanted_kind = expected[matching].kind if matching < len(expected) else "nothing"
        yield f"op {matching} is {found_kind}, the model has {wanted_kind} there; all that follows is unproven"


def _constants(item: NodeRecord) -> Iterator[str]:
    for _, values in item.operands:
        yield from (value for value in values if value.startswith("const"))


def _prove_layer(
    layer: Layer, module: nn.Module, configuration: Configuration, base: BaseProgram, nodes: tuple[ProgramNode, ...]
) -> LayerProof:
    places = base.places.get(layer.name, ())
    encoding = configuration.encodings.get(layer.name, FP16)
    if encoding != FP16 and layer.name in base.refusals:
        return LayerProof(layer.name, str(encoding), "", 0, None, (base.refusals[layer.name],))
    expected = layer_weight(module, layer).numpy()
    failures = activation_failures(places, configuration.activations.get(layer.name, Precision.FP16), nodes)
    errors: list[float] = []
    seen: dict[str, PackageWeight] = {}
    for place in places:
        operand = _operand(nodes, place)
        if not isinstance(operand, PackageWeight):
            failures.append(f"op {place.node}, which holds it in the model, has no constant {place.operand!r} here")
            continue
        if operand.name in seen:
            continue
        seen[operand.name] = operand
        failures += differences(operand, layer, encoding)
        error = _compare(np.asarray(operand.value), expected, encoding)
        failures += [] if isinstance(error, float) else [error]
        errors += [error] if isinstance(error, float) else []
    stored = "; ".join(stored_as(weight) for weight in seen.values())
    size = sum(weight.bytes for weight in seen.values())
    return LayerProof(layer.name, str(encoding), stored, size, max(errors, default=None), tuple(failures))


def _operand(nodes: tuple[ProgramNode, ...], place: WeightPlace) -> object:
    values = nodes[place.node].operands.get(place.operand, ()) if place.node < len(nodes) else ()
    return values[place.position] if place.position < len(values) else None


def _compare(found: NDArray[Any], expected: NDArray[Any], encoding: Encoding) -> float | str:
    """The largest error, or what is wrong when some value is farther off than fp16 arithmetic explains.

    What is stored without scales must be the assembled weight rounded to fp16, bit for bit but for the smallest
    numbers; each scale, and each table under scales, may add the rounding of one factor.
    """
    if found.shape != expected.shape:
        return f"the decoded weight has shape {found.shape}, the assembled one {expected.shape}"
    with np.errstate(over="ignore", invalid="ignore"):
        half = expected.astype(np.float16).astype(np.float32)
        error = np.abs(found.astype(np.float32) - half)
        allowed = (roundings(encoding) - 1) * _UNIT * np.abs(half) + _SMALLEST
    wrong = ~(error <= allowed)
    if not wrong.any():
        return float(error.max(initial=0.0))
    first = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    return (
        f"{int(wrong.sum())} of {wrong.size} decoded values are not the assembled ones, "
        f"first at {first}: {found[first]:.6g} instead of {expected[first]:.6g}"
    )
