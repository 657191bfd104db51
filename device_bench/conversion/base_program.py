"""The part of a package that no configuration changes: graph, other constants, and their bytes.

The module is converted with a stand-in for every layer's weight: a tensor of the same shape that takes no memory and
whose values identify the layer and its orientation. Where a stand-in is found in the program, the weight will be.
A layer whose stand-in is not the weight of an op keeps its own values and cannot be compressed.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from palettune.device_bench.conversion.compressed_weight import clear
from palettune.device_bench.conversion.conversion import ConversionError, converted, shared_copy, unhindered
from palettune.device_bench.conversion.front_end import FrontEnd
from palettune.device_bench.conversion.neutral_pipeline import WEIGHT_OPERANDS, neutral_pipeline
from palettune.device_bench.conversion.stand_in import AS_TABLES, MOST, StandIn, as_tables, found_in
from palettune.device_bench.model.program_interface import PLAIN, ProgramInterface
from palettune.device_bench.model.recurrent_state import NO_STATE, RecurrentState
from palettune.device_bench.package.float_constants import FloatConstant, float_constants
from palettune.device_bench.package.package import PackageWeight, weight_bytes
from palettune.device_bench.package.package_weights import StoredConstant, stored_constant
from palettune.device_bench.package.program_graph import RECURRENT_OPS, Operand, ProgramNode, fingerprint, program_nodes
from palettune.device_bench.package_model.package_module import PackageModule
from palettune.space.errors import UserError
from palettune.space.target import DeploymentTarget

__all__ = ["BaseProgram", "BaseProgramError", "NodeRecord", "WeightPlace", "base_program", "record"]

_ALIGNMENT = 64


class BaseProgramError(UserError):
    """A model with more layers than stand-ins can tell apart in its converted program."""


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
        floats: the plain constants of two or more axes that are no layer's weight, the largest first.
        front_end: what read the module, and which values of the example are frozen in the program.
        float32: names of the layers whose ops compute in float32.
    """

    rest_bytes: int
    ends_with_layer: bool
    places: Mapping[str, tuple[WeightPlace, ...]]
    refusals: Mapping[str, str]
    records: tuple[NodeRecord, ...]
    constants: Mapping[str, StoredConstant] = field(default_factory=dict)
    floats: tuple[FloatConstant, ...] = ()
    front_end: FrontEnd = field(default_factory=FrontEnd)
    float32: frozenset[str] = frozenset()

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
    layers: Iterable[str],
    state: RecurrentState = NO_STATE,
    *,
    float32: Sequence[str] = (),
    interface: ProgramInterface = PLAIN,
) -> BaseProgram:
    """Convert a module with stand-ins for its layers' weights, and read where each of them is used.

    A layer whose stand-in is not found as the weight of an op is refused, and the module is converted again with that
    layer's own weight, which then counts as part of the rest: one conversion without refusals, usually two with some.

    Args:
        module: float or assembled; of its layers only the shapes matter, all else is taken as it is.
        example_inputs: positional arguments of ``forward``.
        target: deployment target, as for ``convert``.
        layers: names of the submodules whose ``weight`` a configuration may compress.
        float32: as for ``convert``.
        state: as for ``convert``.
        interface: as for ``convert``.

    Raises:
        ConversionError: the module does not convert.
        UnmatchedPatternError: a pattern of ``float32`` that matches nothing.
        BaseProgramError: more layers than stand-ins can tell apart.
    """
    skeleton = _Skeleton(module, example_inputs, target, state, tuple(float32), interface)
    stand_ins = _stand_ins(module, layers)
    refusals: dict[str, str] = {}
    while True:
        base = _read_or_refuse(skeleton, stand_ins, refusals)
        if base is not None and not base.refusals:
            return replace(base, refusals=refusals)
        refusals |= base.refusals if base is not None else {}
        stand_ins = {key: one for key, one in stand_ins.items() if one.layers[0] not in refusals}


def _read_or_refuse(
    skeleton: _Skeleton, stand_ins: Mapping[int, StandIn], refusals: dict[str, str]
) -> BaseProgram | None:
    """The program; where it does not convert for a stand-in, ``None`` and one refusal more."""
    try:
        return skeleton.convert(stand_ins)
    except ConversionError:
        culprit = skeleton.culprit(stand_ins)
        if culprit is None:
            raise
    reason = "the model converts only with the actual values of its weight: they are computed with before use"
    refusals.update(dict.fromkeys(culprit.layers, reason))
    return None


@dataclass(frozen=True)
class _Skeleton:
    """A module that is converted with stand-ins for some of its weights."""

    module: nn.Module
    inputs: tuple[Tensor, ...]
    target: DeploymentTarget
    state: RecurrentState
    float32: tuple[str, ...]
    interface: ProgramInterface

    def convert(self, stand_ins: Mapping[int, StandIn]) -> BaseProgram:
        """Convert with these stand-ins, as tables, which is quicker, and read where they are."""
        parameters = {key: stand_in.parameter() for key, stand_in in stand_ins.items()}
        skeleton = shared_copy(self.module, parameters)
        replaced = {id(parameter) for parameter in parameters.values()}
        for part in skeleton.modules():
            for name, parameter in part.named_parameters(recurse=False):
                if id(parameter) in replaced:
                    clear(part, name)
        by_size = {stand_in.size: stand_in for stand_in in stand_ins.values()}
        pipeline = neutral_pipeline(AS_TABLES)
        with tempfile.TemporaryDirectory() as folder, as_tables(by_size) as computed, unhindered():
            path = Path(folder) / "skeleton.mlpackage"
            conversion = converted(
                skeleton,
                self.inputs,
                self.target,
                pipeline=pipeline,
                float32=self.float32,
                state=self.state,
                interface=self.interface,
            )
            conversion.model.save(str(path))
            return replace(_read(path, by_size, computed, self.module), front_end=conversion.front_end)

    def culprit(self, stand_ins: Mapping[int, StandIn]) -> StandIn | None:
        """A stand-in that makes the conversion fail, by halving; ``None`` where it fails without any."""
        keys = list(stand_ins)
        if not self._converts(stand_ins, []):
            return None
        good, bad = 0, len(keys)
        while bad - good > 1:
            middle = (good + bad) // 2
            good, bad = (middle, bad) if self._converts(stand_ins, keys[:middle]) else (good, middle)
        return stand_ins[keys[bad - 1]]

    def _converts(self, stand_ins: Mapping[int, StandIn], keys: list[int]) -> bool:
        try:
            self.convert({key: stand_ins[key] for key in keys})
        except ConversionError:
            return False
        return True


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


def _stand_ins(module: nn.Module, layers: Iterable[str]) -> dict[int, StandIn]:
    """A stand-in for each distinct weight, by ``id`` of the weight."""
    names: dict[int, list[str]] = {}
    shapes: dict[int, tuple[int, ...]] = {}
    for name in layers:
        weight = module.get_submodule(name).get_parameter("weight")
        names.setdefault(id(weight), []).append(name)
        shapes[id(weight)] = tuple(weight.shape)
    if len(names) > MOST:
        raise BaseProgramError(
            f"the model has {len(names)} layers, and at most {MOST} are supported: exclude some layers"
        )
    return {key: StandIn(tuple(names[key]), shapes[key], number) for number, key in enumerate(names)}


def _read(
    path: Path, by_size: Mapping[float, StandIn], computed: Mapping[float, str], module: nn.Module
) -> BaseProgram:
    nodes = program_nodes(path)
    places: dict[str, list[WeightPlace]] = {name: [] for stand_in in by_size.values() for name in stand_in.layers}
    refusals = {name: reason for size, reason in computed.items() for name in by_size[size].layers}
    entries: dict[tuple[str, int], int] = {}
    homes: dict[str, set[str]] = {name: set() for name in places}
    float32: set[str] = set()
    for place, operand in _operands(nodes):
        found = found_in(operand, by_size)
        if found is None or isinstance(operand, str):
            continue
        stand_in, transposed = found
        entries.update({part.offset: part.bytes for *_, part in operand.parts() if part.offset is not None})
        if _computes_in_float32(operand):
            float32.update(stand_in.layers)
        for name in stand_in.layers:
            places[name].append(place)
            homes[name].add(operand.name)
            reason = _refusal(nodes[place.node], place, transposed, isinstance(module, PackageModule))
            if reason is not None:
                refusals.setdefault(name, reason)
    for name, found_places in places.items():
        if not found_places:
            refusals.setdefault(name, "not in the converted program: unused, or replaced by a value computed from it")
        elif len(homes[name]) > 1:
            refusals.setdefault(name, "the program holds its weight more than once")
    rest, ends_with_layer = _rest(weight_bytes(path), entries)
    base = BaseProgram(rest, ends_with_layer, {name: tuple(found) for name, found in places.items()}, refusals, ())
    records = tuple(record(node, index, base.layer_at) for index, node in enumerate(nodes))
    floats = () if refusals else float_constants(nodes, base.layer_at, module)  # else it is converted once more
    return replace(base, records=records, constants=_constants(nodes, base), floats=floats, float32=frozenset(float32))


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


def _refusal(node: ProgramNode, place: WeightPlace, transposed: bool, package: bool) -> str | None:
    """Why a weight cannot be compressed where it is used; ``None`` where it can.

    A torch model's recurrent op holds rows in another order than its module, so no layer's weight as it is.
    """
    if transposed or place.operand not in WEIGHT_OPERANDS.get(node.kind, ()):
        how = "transposed" if transposed else "as it is"
        return f"its weight is used {how} by op {node.name!r} ({node.kind}), where it cannot be compressed"
    if node.kind in RECURRENT_OPS and not package:
        return f"op {node.name!r} ({node.kind}) holds its weight with the rows in another order"
    return None


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
