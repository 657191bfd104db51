"""The folder of a package, checked before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from palettune.space.errors import UserError

__all__ = ["require_package"]


def require_package(path: Path) -> None:
    """Raise UserError where there is no package folder at a path."""
    if not path.is_dir():
        raise UserError(f"{path}: no such package; expected the path of an .mlpackage folder")
