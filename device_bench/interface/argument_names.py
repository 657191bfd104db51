"""Names of a module's inputs."""

from __future__ import annotations

import inspect

from torch import nn

__all__ = ["argument_names"]


def argument_names(module: nn.Module, count: int) -> tuple[str, ...]:
    """Return the names of the first ``count`` arguments of ``forward``, fewer where it has fewer.

    Those of a ``*args`` are numbered.
    """
    names: list[str] = []
    for name, parameter in inspect.signature(module.forward).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            names += [f"{name}_{i}" for i in range(count - len(names))]
        elif parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            names.append(name)
    return tuple(names[:count])
