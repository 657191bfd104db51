"""The part of a package that no configuration changes: its graph, its other constants, and their bytes.

One conversion finds it. Every layer's weight is replaced by a stand-in of the same shape that takes no memory and
whose values say which layer it is and how it lies; where the stand-ins come out of the converter, the weights will.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor, nn

from device_bench.compressed_weight import clear
from device_bench.conversion import ConversionError, convert, shared_copy, unhindered
from device_bench.neutral_pipeline import WEIGHT_OPERANDS, neutral_pipeline
from device_bench.package import weight_bytes
from device_bench.program_graph import Operand, ProgramNode, fingerprint, program_nodes
from device_bench.recurrent_state import NO_STATE, RecurrentState
from device_bench.stand_in import AS_TABLES, MOST, StandIn, as_tables, found_in
from space.errors import UserError
from space.target import DeploymentTarget

__all__ = ["BaseProgram", "BaseProgramError", "NodeRecord", "Place", "base_program", "record"]

_ALIGNMENT = 64


class BaseProgramError(UserError):
    """A model whose layers cannot be told apart in its converted program."""


@dataclass(frozen=True)
class Place:
    """Where a layer's weight is used: an operand of one op.

    Attributes:
        node: index of the op in ``program_nodes``.
        operand: its parameter.
        position: among several values of that parameter.
        transposed: a matrix that the converter has turned over.
    """

    node: int
    operand: str
    position: int
    transposed: bool = False


@dataclass(frozen=True)
class NodeRecord:
    """A ``ProgramNode`` with its operands as words, comparable and without the constants themselves."""

    name: str
    kind: str
    operands: tuple[tuple[str, tuple[str, ...]], ...]
    types: tuple[bytes, ...]

    @property
    def content(self) -> tuple[object, ...]:
        """What must be equal: all but the name."""
        return (self.kind, self.operands, self.types)


@dataclass(frozen=True, eq=False)
class BaseProgram:
    """What stays the same in the package of every configuration.

    Attributes:
        rest_bytes: bytes in the weight file of everything that is not a layer's weight, header and padding included,
            so that ``rest_bytes`` and every layer's own bytes add up to the size of the file.
        ends_with_layer: no other constant is in the file, so that its last entry is a layer's and goes without its
            padding: the sum is then up to 63 bytes above the size.
        places: by layer name; layers with one tied weight have the same places.
        refusals: by layer name, why its weight cannot be compressed in this program.
        records: the ops; operands that hold a layer's weight name its first layer.
    """

    rest_bytes: int
    ends_with_layer: bool
    places: Mapping[str, tuple[Place, ...]]
    refusals: Mapping[str, str]
    records: tuple[NodeRecord, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the graph and of all constants that are no layer's."""
        return hashlib.sha256(repr([record.content for record in self.records]).encode()).hexdigest()

    @cached_property
    def layer_at(self) -> Mapping[tuple[int, str, int], str]:
        """First layer name by op, parameter and position."""
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
) -> BaseProgram:
    """Convert a module once, with stand-ins for its layers' weights.

    Args:
        module: float or assembled; of its layers only the shapes matter, all else is taken as it is.
        example_inputs: positional arguments of ``forward``.
        target: deployment target, as for ``convert``.
        layers: names of the submodules whose ``weight`` a configuration may compress.
        state: as for ``convert``.

    Raises:
        ConversionError: the module does not convert.
        BaseProgramError: more layers than stand-ins can tell apart.
    """
    stand_ins = _stand_ins(module, layers)
    parameters = {key: stand_in.parameter() for key, stand_in in stand_ins.items()}
    skeleton = shared_copy(module, parameters)
    replaced = {id(parameter) for parameter in parameters.values()}
    for part in skeleton.modules():
        for name, parameter in part.named_parameters(recurse=False):
            if id(parameter) in replaced:
                clear(part, name)
    by_size = {stand_in.size: stand_in for stand_in in stand_ins.values()}
    try:
        base = _convert(skeleton, example_inputs, target, by_size, by_size, state)
    except ConversionError:  # a weight that is computed with where a table cannot be
        return _convert(skeleton, example_inputs, target, by_size, {}, state)
    if not base.refusals:
        return base
    tables = {size: stand_in for size, stand_in in by_size.items() if stand_in.layers[0] not in base.refusals}
    plain = _convert(skeleton, example_inputs, target, by_size, tables, state)
    return replace(plain, refusals={**plain.refusals, **base.refusals})


def _convert(
    skeleton: nn.Module,
    example_inputs: tuple[Tensor, ...],
    target: DeploymentTarget,
    stand_ins: Mapping[float, StandIn],
    tables: Mapping[float, StandIn],
    state: RecurrentState,
) -> BaseProgram:
    """Convert a module full of stand-ins, some of them as tables, which is quicker, and read where they are."""
    with tempfile.TemporaryDirectory() as folder, as_tables(tables), unhindered():
        path = Path(folder) / "skeleton.mlpackage"
        convert(skeleton, example_inputs, target, pipeline=neutral_pipeline(AS_TABLES), state=state).save(str(path))
        return _read(path, stand_ins)


def record(node: ProgramNode, index: int, layer_at: Mapping[tuple[int, str, int], str]) -> NodeRecord:
    """A node with its operands as words."""
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
        raise BaseProgramError(f"{len(names)} layers; at most {MOST} can be told apart: exclude some layers")
    return {key: StandIn(tuple(names[key]), shapes[key], number) for number, key in enumerate(names)}


def _read(path: Path, by_size: Mapping[float, StandIn]) -> BaseProgram:
    nodes = program_nodes(path)
    places: dict[str, list[Place]] = {name: [] for stand_in in by_size.values() for name in stand_in.layers}
    refusals: dict[str, str] = {}
    entries: dict[tuple[str, int], int] = {}
    for place, operand in _operands(nodes):
        found = found_in(operand, by_size)
        if found is None or isinstance(operand, str):
            continue
        stand_in, transposed = found
        entries.update({part.offset: part.bytes for *_, part in operand.parts() if part.offset is not None})
        for name in stand_in.layers:
            places[name].append(replace(place, transposed=transposed))
            _refuse(refusals, name, nodes[place.node], places[name][-1])
    for name in (name for name, found_places in places.items() if not found_places):
        refusals[name] = "its weight does not appear in the converted program: unused, or computed with beforehand"
    rest, ends_with_layer = _rest(weight_bytes(path), entries)
    base = BaseProgram(rest, ends_with_layer, {name: tuple(found) for name, found in places.items()}, refusals, ())
    records = tuple(record(node, index, base.layer_at) for index, node in enumerate(nodes))
    return replace(base, records=records)


def _operands(nodes: tuple[ProgramNode, ...]) -> Iterator[tuple[Place, Operand]]:
    for index, node in enumerate(nodes):
        for name, values in node.operands.items():
            for position, operand in enumerate(values):
                yield Place(index, name, position), operand


def _rest(total: int, entries: Mapping[tuple[str, int], int]) -> tuple[int, bool]:
    """Bytes of all entries but these, and whether one of these is the last of the file."""
    if not entries:
        return total, False
    (_, start), size = max(entries.items())
    if start + size < total:
        return total - sum(entries.values()), False
    return _padded(total) - sum(map(_padded, entries.values())), True


def _refuse(refusals: dict[str, str], name: str, node: ProgramNode, place: Place) -> None:
    if place.transposed or place.operand not in WEIGHT_OPERANDS.get(node.kind, ()):
        how = "transposed" if place.transposed else "as it is"
        refusals[name] = f"its weight is used {how} by op {node.name!r} ({node.kind}), where it cannot be compressed"


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
