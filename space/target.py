"""Deployment targets: the oldest system a package must run on, which decides the ops it can use."""

from __future__ import annotations

from enum import StrEnum

from palettune.space.errors import UserError, suggestion

__all__ = ["DeploymentTarget", "TargetError"]


class TargetError(UserError):
    """An unknown deployment target."""


class DeploymentTarget(StrEnum):
    """Minimum deployment target of a package.

    A macOS release and its iOS twin share one Core ML specification version
    (https://apple.github.io/coremltools/docs-guides/source/target-conversion-formats.html).
    """

    IOS16 = "iOS16"
    IOS17 = "iOS17"
    IOS18 = "iOS18"
    MACOS13 = "macOS13"
    MACOS14 = "macOS14"
    MACOS15 = "macOS15"

    @property
    def generation(self) -> int:
        """iOS release whose operations the package can use: 16, 17 or 18."""
        return {"13": 16, "14": 17, "15": 18}.get(self.value[-2:], int(self.value[-2:]))

    @property
    def rounds_activations(self) -> bool:
        """Whether packages for this target can hold activations in 8 bits."""
        return self.generation >= 17

    @classmethod
    def parse(cls, text: str) -> DeploymentTarget:
        """Read a target, in any case; raise TargetError with the nearest known one."""
        known = {target.value.lower(): target for target in cls}
        found = known.get(text.strip().lower())
        if found is None:
            raise TargetError(
                f"deployment target {text!r} is not known{suggestion(text, [target.value for target in cls])}; "
                f"use one of {', '.join(target.value for target in cls)}"
            )
        return found
