"""Every module of this folder that registers operations with coremltools' torch front end."""

from __future__ import annotations

import importlib

__all__ = ["register_missing_ops"]

_MODULES = ("bicubic", "wider_arguments", "complex_numbers", "recurrent", "windows")


def register_missing_ops() -> None:
    """Register the operations that coremltools lacks; doing so again changes nothing."""
    for name in _MODULES:
        importlib.import_module(f"palettune.device_bench.conversion.ops.{name}")
