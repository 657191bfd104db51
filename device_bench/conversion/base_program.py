"""The part of a package that no configuration changes: graph, other constants, and their bytes.

The module is converted with a stand-in for every weight (``skeleton``): where it is found in the program, the weight will
be. What the program computes with, or takes in any other way than as a weight, keeps its own values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from torch import Tensor, nn

from palettune.device_bench.conversion.front_end import FrontEnd
from palettune.device_bench.conversion.neutral_pipeline import WEIGHT_OPERANDS
from palettune.device_bench.conversion.package_skeleton import PackageSkeleton
from palettune.device_bench.conversion.skeleton import NO_PLACE, Setting, Skeleton
from palettune.device_bench.conversion.torch_skeleton import TorchSkeleton
from palettune.device_bench.conversion.weights.stand_in import found_in
from palettune.device_bench.interface.program_interface import PLAIN, ProgramInterface
from palettune.device_bench.model.recurrent_state import NO_STATE, RecurrentState
from palettune.device_bench.package.operand_ops import OPERANDS
from palettune.device_bench.package.other_constants import OtherConstant, other_constants
from palettune.device_bench.package.package import PackageWeight
from palettune.device_bench.package.package_weights import StoredConstant, stored_constant
from palettune.device_bench.package.program_graph import Operand, ProgramNode, fingerprint
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.space.layer import Layer, LayerKind
from palettune.space.target import DeploymentTarget

__all__ = ["BaseProgram", "NodeRecord", "WeightPlace", "base_program", "record"]

_ALIGNMENT = 64


@dataclass(frozen=True)
class WeightPlace:
    """Use of a layer's weight: an operand of one op.

    Attributes:
        node: index of the op in ``program_nodes``.
        operand: its parameter.
        position: among several values of that parameter.
    """

    node: int
    operand: str
    position: int


@dataclass(frozen=True)
class NodeRecord:
    """A ``ProgramNode`` with its operands as words, comparable and without the constants themselves."""

    name: str
    kind: str
    operands: tuple[tuple[str, tuple[str, ...]], ...]
    types: tuple[bytes, ...]

    @property
    def content(self) -> tuple[object, ...]:
        """Everything but the name, for comparison."""
        return (self.kind, self.operands, self.types)


@dataclass(frozen=True, eq=False)
class BaseProgram:
    """The part of a package that is the same for every configuration.

    Attributes:
        rest_bytes: bytes in the weight file of everything that is not a layer's weight, header and padding included,
            so that ``rest_bytes`` and every layer's own bytes add up to the size of the file.
        ends_with_layer: no other constant is in the file, so that its last entry is a layer's and goes without its
            padding: the sum is then up to 63 bytes above the size.
        places: by layer name, of those that are not refused; layers with one tied weight have the same places.
        refusals: by layer name, why its weight cannot be compressed in this program. Its bytes, if it has any, are
            among ``rest_bytes``, and the constants made of it among ``records``.
        records: the ops; operands that hold a layer's weight name its first layer.
        constants: how the other constants of two and more axes are stored, by the words of their operands.
        others: the constants of the weight file that are no layer's weight, integers and vectors too, the largest first.
        front_end: what read the module, and which values of the example are frozen in the program.
        layers: those that the program holds, in the order of the model.
        reasons: by tensor, why it is no layer; those that nothing is known of are left out.
    """

    rest_bytes: int
    ends_with_layer: bool
    places: Mapping[str, tuple[WeightPlace, ...]]
    refusals: Mapping[str, str]
    records: tuple[NodeRecord, ...]
    constants: Mapping[str, StoredConstant] = field(default_factory=dict)
    others: tuple[OtherConstant, ...] = ()
    front_end: FrontEnd = field(default_factory=FrontEnd)
    layers: tuple[Layer, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def float32(self) -> frozenset[str]:
        """Names of the layers whose ops compute in float32."""
        return frozenset(layer.name for layer in self.layers if layer.float_bits == 32)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the graph and of all constants that are no layer's."""
        return hashlib.sha256(repr([record.content for record in self.records]).encode()).hexdigest()

    @cached_property
    def layer_at(self) -> Mapping[tuple[int, str, int], str]:
        """First layer name by op index, parameter and position."""
        found: dict[tuple[int, str, int], str] = {}
        for name, places in self.places.items():
            for place in places:
                found.setdefault((place.node, place.operand, place.position), name)
        return found


def base_program(
    module: nn.Module,
    example_inputs: tuple[Tensor, ...],
    target: DeploymentTarget,
    layers: Iterable[Layer] | None = None,
    state: RecurrentState = NO_STATE,
    *,
    float32: Sequence[str] = (),
    interface: ProgramInterface = PLAIN,
    operands: bool = True,
) -> BaseProgram:
    """Convert a module with stand-ins for its weights, and read where each of them is used.

    Every tensor of two or more axes is tried. One that the program computes with keeps its own values, with which the
    module is converted again, and counts as part of the rest: usually one or two conversions.

    Args:
        module: float or assembled; of its layers only the shapes matter, all else is taken as it is.
        example_inputs: positional arguments of ``forward``.
        target: deployment target, as for ``convert``.
        layers: those that a configuration may compress; all that the program holds, unless given.
        float32: as for ``convert``.
        state: as for ``convert``.
        interface: as for ``convert``.
        operands: whether a large tensor that an op takes as it is, such as a table that is added, is a layer, too.

    Raises:
        ConversionError: the module does not convert.
        UnmatchedPatternError: a pattern of ``float32`` that matches nothing.
        SkeletonError: more layers than stand-ins can tell apart.
    """
    setting = Setting(module, example_inputs, target, state, tuple(float32), interface, operands)
    skeleton = PackageSkeleton(setting) if isinstance(module, PackageModule) else TorchSkeleton(setting)
    wanted = None if layers is None else tuple(layers)
    refused: dict[str, str] = {}
    while True:
        found = skeleton.found(wanted, refused)
        base = _read(found, module)
        if not base.refusals:
            return replace(base, refusals=found.refusals)
        tensors = {layer.name: layer.tensor for layer in found.layers}
        refused |= {tensors[name]: reason for name, reason in base.refusals.items()}


def record(node: ProgramNode, index: int, layer_at: Mapping[tuple[int, str, int], str]) -> NodeRecord:
    """Return a node with its operands as words."""
    operands = tuple(
        (
            name,
            tuple(
                f"weight of {layer_at[index, name, position]}"
                if (index, name, position) in layer_at
                else fingerprint(operand)
                for position, operand in enumerate(values)
            ),
        )
        for name, values in node.operands.items()
    )
    return NodeRecord(node.name, node.kind, operands, node.types)


def _read(found: Skeleton, module: nn.Module) -> BaseProgram:
    nodes = found.nodes
    names = {layer.name for layer in found.layers}
    places: dict[str, list[WeightPlace]] = {name: [] for name in names}
    refusals: dict[str, str] = {}
    entries: dict[tuple[str, int], int] = {}
    homes: dict[str, set[str]] = {name: set() for name in names}
    taken = {layer.name for layer in found.layers if LayerKind.OPERAND in layer.kinds}
    float32: set[str] = set()
    for place, operand in _operands(nodes):
        stand_in = found_in(operand, found.by_size)
        if stand_in is None or not isinstance(operand, PackageWeight):
            continue
        name = stand_in.layer
        entries.update({part.offset: part.bytes for *_, part in operand.parts() if part.offset is not None})
        if _computes_in_float32(operand):
            float32.add(name)
        places[name].append(place)
        homes[name].add(operand.name)
        node = nodes[place.node]
        as_it_is = name in taken and place.operand in OPERANDS.get(node.kind, ())
        if not as_it_is and place.operand not in WEIGHT_OPERANDS.get(node.kind, ()):
            refusals.setdefault(
                name, f"its weight is used by op {node.name!r} ({node.kind}), where it cannot be compressed"
            )
    for name in names:
        if not places[name]:
            refusals.setdefault(name, NO_PLACE)
        elif len(homes[name]) > 1:
            refusals.setdefault(name, "the program holds its weight more than once")
    rest, ends_with_layer = _rest(found.weight_bytes, entries)
    base = BaseProgram(
        rest,
        ends_with_layer,
        {layer.name: tuple(places[layer.name]) for layer in found.layers},
        refusals,
        (),
        front_end=found.front_end,
        layers=tuple(replace(one, float_bits=32 if one.name in float32 else 16) for one in found.layers),
        reasons=found.reasons,
    )
    records = tuple(record(node, index, base.layer_at) for index, node in enumerate(nodes))
    # with refusals it is converted once more
    others = () if refusals else other_constants(nodes, base.layer_at, module, found.reasons)
    return replace(base, records=records, constants=_constants(nodes, base), others=others)


def _constants(nodes: tuple[ProgramNode, ...], base: BaseProgram) -> dict[str, StoredConstant]:
    """How the constants are stored that are no layer's."""
    return {
        fingerprint(operand): stored_constant(operand)
        for place, operand in _operands(nodes)
        if isinstance(operand, PackageWeight)
        and (place.node, place.operand, place.position) not in base.layer_at
        and np.ndim(operand.value) > 1
    }


def _computes_in_float32(operand: PackageWeight) -> bool:
    """Whether what a constant decodes to is float32."""
    if operand.operation == "constexpr_cast":
        return True
    part = operand.part(operand.operation, "lut" if operand.operation == "constexpr_lut_to_dense" else "val")
    return part is not None and part.dtype == "fp32"


def _operands(nodes: tuple[ProgramNode, ...]) -> Iterator[tuple[WeightPlace, Operand]]:
    for index, node in enumerate(nodes):
        for name, values in node.operands.items():
            for position, operand in enumerate(values):
                yield WeightPlace(index, name, position), operand


def _rest(total: int, entries: Mapping[tuple[str, int], int]) -> tuple[int, bool]:
    """Bytes of all entries but these, and whether one of these is the last of the file."""
    if not entries:
        return total, False
    (_, start), size = max(entries.items())
    if start + size < total:
        return total - sum(entries.values()), False
    return _padded(total) - sum(map(_padded, entries.values())), True


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
