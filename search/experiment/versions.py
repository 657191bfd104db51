"""Versions of the tools that a result depends on."""

from __future__ import annotations

import platform
from importlib.metadata import version

__all__ = ["tool_versions"]


def tool_versions() -> dict[str, str]:
    """Return the versions of all libraries that can change a result."""
    names = ("coremltools", "torch", "numpy", "optuna", "scikit-learn")
    return {name: version(name) for name in names} | {"python": ".".join(platform.python_version_tuple()[:2])}
