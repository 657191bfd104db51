"""Model outputs in any nesting: one order of tensors for quality, conversion, proof and verification.

Mappings (``OrderedDict``, a Hugging Face ``ModelOutput``, ``UserDict``), dataclasses, attrs classes, named tuples,
tuples, lists, ``SimpleNamespace`` and types registered with torch's pytree nest freely. ``None``, numbers, strings and
other plain values are no outputs of a package: they are left out of it.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import numbers
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from palettune.device_bench.library_internals import SUPPORTED_NODES
from palettune.space.errors import UserError

__all__ = [
    "OutputError",
    "children",
    "flatten",
    "identifiers",
    "leaves",
    "map_tensors",
    "named_as",
    "rebuild",
    "replace_tensors",
    "tensors",
]

_PLAIN = (
    str,
    bytes,
    numbers.Number,
    enum.Enum,
    np.generic,
    torch.SymInt,
    torch.SymFloat,
    torch.SymBool,
    torch.dtype,
    torch.device,
    type(None),
)
Path = tuple[str, ...]


class OutputError(UserError):
    """A model output in which tensors cannot be found, or that cannot be rebuilt with other tensors."""


def flatten(outputs: Any, name: str = "output") -> list[tuple[str, Tensor]]:
    """Return every tensor of a model's outputs with a readable name (``output.logits``, ``output.2.best``), in order.

    Raises:
        OutputError: something is neither a tensor, nor plain, nor a structure of them; it is named.
    """
    return [(".".join((name, *path)), value) for path, value in leaves(outputs, name)]


def leaves(outputs: Any, name: str = "output") -> list[tuple[Path, Tensor]]:
    """Return every tensor with its path of keys, field names and positions; raises as ``flatten``."""
    return list(_walk(outputs, (), name))


def tensors(value: Any) -> list[Tensor]:
    """Return every tensor in a value, in the same order; values of unknown types are skipped."""
    return [leaf for _, leaf in _walk(value, (), None)]


def _walk(value: Any, path: Path, name: str | None) -> Iterator[tuple[Path, Tensor]]:
    if isinstance(value, Tensor):
        yield path, value
        return
    found = children(value)
    if found is not None:
        for key, child in found:
            yield from _walk(child, (*path, key), name)
    elif name is not None and not isinstance(value, _PLAIN):
        raise OutputError(
            f"{'.'.join((name, *path))} is a {type(value).__module__}.{type(value).__qualname__}; expected tensors, or "
            "dicts, dataclasses, tuples or lists of tensors: return the tensors in it as a dict"
        )


def children(value: Any) -> list[tuple[str, Any]] | None:
    """Return a structure's items by key, field name or position; ``None`` for a value that is no structure."""
    if isinstance(value, (Tensor, *_PLAIN, type)):
        return None
    if isinstance(value, Mapping):
        return [(str(key), value[key]) for key in value]
    names = _field_names(value)
    if names is not None:
        return [(name, getattr(value, name)) for name in names]
    if isinstance(value, Sequence):
        return [(str(index), child) for index, child in enumerate(value)]
    if type(value) in SUPPORTED_NODES:
        return [(str(i), child) for i, child in enumerate(SUPPORTED_NODES[type(value)].flatten_fn(value)[0])]
    return None


def rebuild(like: Any, values: Sequence[Any]) -> Any:
    """Return a structure of the same type with other values, in the order of ``children``; ``like`` is not changed.

    Raises:
        OutputError: the type cannot be made again; it is named.
    """
    try:
        made = _made(like, values)
    except Exception as error:
        raise _unbuildable(like, f"{type(error).__name__}: {error}") from error
    found = [child for _, child in children(made) or ()]
    if len(found) != len(values) or any(a is not b for a, b in zip(found, values, strict=True)):
        raise _unbuildable(like, "it changes the values given to it")
    return made


def map_tensors(function: Callable[[Tensor], Any], value: Any) -> Any:
    """Apply a function to every tensor of a structure; values of unknown types are kept."""
    if isinstance(value, Tensor):
        return function(value)
    found = children(value)
    if not found:
        return value
    values = [map_tensors(function, child) for _, child in found]
    unchanged = all(new is old for new, (_, old) in zip(values, found, strict=True))
    return value if unchanged else rebuild(value, values)


def replace_tensors(like: Any, values: Iterable[Tensor]) -> Any:
    """Return a model's outputs with other tensors in the order of ``flatten``; other values are kept."""
    remaining = iter(values)
    return map_tensors(lambda _: next(remaining), like)


def identifiers(paths: Iterable[Path], taken: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of outputs in a package by their paths: ``output``, ``output_0``, ``logits``, ``hidden_0`` ...

    Args:
        taken: names of the package's inputs, which no output may have.
    """
    names: list[str] = []
    used = set(taken)
    for path in paths:
        name = _spell(path)
        while name in used:
            name += "_"
        used.add(name)
        names.append(name)
    return tuple(names)


def named_as(values: Mapping[str, Tensor], outputs: Any, inputs: Iterable[str] = ()) -> list[str]:
    """Return the names of a package's outputs in the order of ``flatten``.

    They are matched by name where the names are those that ``convert`` gives, else by position.

    Args:
        values: the package's outputs.
        outputs: what the model returns; as many tensors.
        inputs: names of the package's inputs.
    """
    names = identifiers((path for path, _ in leaves(outputs)), inputs)
    return list(names) if set(names) == set(values) else list(values)


def _spell(path: Path) -> str:
    keys = list(path)
    if not keys or keys[0].isdigit():
        keys.insert(0, "output")
    name = re.sub(r"\W", "_", "_".join(keys))
    return name if name[:1].isalpha() else f"output_{name}"


def _field_names(value: Any) -> list[str] | None:
    """Names under which a value's parts are attributes of it."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    if isinstance(value, tuple):
        if hasattr(value, "_fields"):
            return list(value._fields)
        # torch.return_types, what max(dim) and sort give
        return list(getattr(value, "__match_args__", ())) if hasattr(value, "n_sequence_fields") else None
    if hasattr(type(value), "__attrs_attrs__"):
        return [attribute.name for attribute in type(value).__attrs_attrs__]
    return list(vars(value)) if isinstance(value, SimpleNamespace) else None


def _made(like: Any, values: Sequence[Any]) -> Any:
    if isinstance(like, Mapping):
        return _mapping(like, values)
    if isinstance(like, tuple) and hasattr(like, "_make"):
        return like._make(values)
    names = _field_names(like)
    if names is not None and not isinstance(like, tuple):
        return _with_attributes(like, dict(zip(names, values, strict=True)))
    if isinstance(like, list):
        made = copy.copy(like)
        made[:] = values
        return made
    if type(like) in SUPPORTED_NODES and not isinstance(like, Sequence):
        node = SUPPORTED_NODES[type(like)]
        return node.unflatten_fn(list(values), node.flatten_fn(like)[1])
    return type(like)(values)


def _mapping(like: Mapping[Any, Any], values: Sequence[Any]) -> Any:
    new = dict(zip(like, values, strict=True))
    if not hasattr(like, "__setitem__"):
        return type(like)(new)  # type: ignore[call-arg]
    made: Any = copy.copy(like)
    for key, value in new.items():
        made[key] = value
        # entries that are attributes, too, whichever way the type does that
        if isinstance(key, str) and _attribute(like, key) is like[key] and _attribute(made, key) is not value:
            setattr(made, key, value)
    return made


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except KeyError:
        return None


def _with_attributes(like: Any, values: Mapping[str, Any]) -> Any:
    try:  # its own __init__ also makes what it derives from its fields
        made = dataclasses.replace(like, **{f.name: values[f.name] for f in dataclasses.fields(like) if f.init})
    except Exception:
        made = copy.copy(like)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def _unbuildable(like: Any, reason: str) -> OutputError:
    kind = f"{type(like).__module__}.{type(like).__qualname__}"
    return OutputError(f"a {kind} cannot be rebuilt with other tensors ({reason}); return a dict or a tuple instead")
