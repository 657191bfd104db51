"""Skeletons: a model converted with stand-ins for its weights."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from palettune.device_bench.conversion.conversion import converted, unhindered
from palettune.device_bench.conversion.front_end import FrontEnd
from palettune.device_bench.conversion.weights.stand_in import MOST, StandIn
from palettune.device_bench.interface.program_interface import PLAIN, ProgramInterface
from palettune.device_bench.model.recurrent_state import RecurrentState
from palettune.device_bench.package.package import weight_bytes
from palettune.device_bench.package.program_graph import ProgramNode, program_nodes
from palettune.space.errors import UserError
from palettune.space.layer import Layer
from palettune.space.target import DeploymentTarget

__all__ = ["NO_PLACE", "Setting", "Skeleton", "SkeletonError", "check_count", "skeleton_of"]


#: Why a layer has no place in a program.
NO_PLACE = "not in the converted program: unused, or replaced by a value computed from it"


class SkeletonError(UserError):
    """A model with more layers than stand-ins can tell apart in its converted program."""


@dataclass(frozen=True)
class Setting:
    """Module to convert, and how; see ``conversion.convert`` and ``base_program``."""

    module: nn.Module
    inputs: tuple[Tensor, ...]
    target: DeploymentTarget
    state: RecurrentState
    float32: tuple[str, ...]
    interface: ProgramInterface = PLAIN
    operands: bool = True


@dataclass(frozen=True)
class Skeleton:
    """A converted program with stand-ins.

    Attributes:
        nodes: its ops.
        weight_bytes: of its weight file.
        front_end: what read the module.
        layers: those that have a stand-in, in the order of the model.
        by_size: their stand-ins.
        refusals: by layer name, why a layer has none.
        reasons: by tensor, why it is no layer.
    """

    nodes: tuple[ProgramNode, ...]
    weight_bytes: int
    front_end: FrontEnd
    layers: tuple[Layer, ...] = ()
    by_size: Mapping[float, StandIn] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


def skeleton_of(module: nn.Module, setting: Setting) -> Skeleton:
    """Convert a module that holds stand-ins; what layers these are is the caller's to add."""
    with tempfile.TemporaryDirectory() as folder, unhindered():
        path = Path(folder) / "skeleton.mlpackage"
        conversion = converted(
            module,
            setting.inputs,
            setting.target,
            float32=setting.float32,
            state=setting.state,
            interface=setting.interface,
        )
        conversion.model.save(str(path))
        return Skeleton(program_nodes(path), weight_bytes(path), conversion.front_end)


def check_count(count: int) -> None:
    """Raise SkeletonError for more layers than stand-ins can tell apart."""
    if count > MOST:
        raise SkeletonError(f"the model has {count} layers, and at most {MOST} are supported: exclude some layers")
