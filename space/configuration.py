"""Configurations: an encoding and an activation precision for each layer."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from palettune.space.encoding import Encoding
from palettune.space.errors import UserError

__all__ = ["Configuration", "ConfigurationError", "Precision"]

_SHOWN = 4


class ConfigurationError(UserError):
    """A configuration that is not valid JSON, or that names unknown layers, encodings or precisions."""


class Precision(StrEnum):
    """Precision of the activations that enter a layer."""

    FP16 = "fp16"
    INT8 = "int8"


@dataclass(frozen=True)
class Configuration:
    """An encoding and an activation precision for each layer; equal content compares, hashes and prints alike.

    Attributes:
        encodings: layer name -> encoding, sorted by name.
        activations: layer name -> precision; fp16 is the default and is left out.
        in_order: the encodings in the order in which they were given, which is that of the model for whatever a search
            space makes; it is for people, and makes no difference otherwise.
    """

    encodings: Mapping[str, Encoding]
    activations: Mapping[str, Precision] = field(default_factory=dict)
    in_order: Mapping[str, Encoding] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        encodings = {name: self.encodings[name] for name in sorted(self.encodings)}
        activations = {n: p for n, p in sorted(self.activations.items()) if p is not Precision.FP16}
        strangers = sorted(set(activations) - set(encodings))
        if strangers:
            raise ConfigurationError(
                f"activation precision given for layer {strangers[0]!r}, which has no encoding here"
            )
        object.__setattr__(self, "in_order", MappingProxyType(dict(self.encodings)))
        object.__setattr__(self, "encodings", MappingProxyType(encodings))
        object.__setattr__(self, "activations", MappingProxyType(activations))

    def __hash__(self) -> int:
        return hash((tuple(self.encodings.items()), tuple(self.activations.items())))

    def __repr__(self) -> str:
        counts = Counter(str(encoding) for encoding in self.encodings.values()).most_common()
        shown = ", ".join(f"{count} {spelling}" for spelling, count in counts[:_SHOWN])
        more = f" and {len(counts) - _SHOWN} more encodings" if len(counts) > _SHOWN else ""
        rounded = f"; {len(self.activations)} inputs in 8 bits" if self.activations else ""
        return f"Configuration({self.hash}: {shown}{more}{rounded})"

    def __reduce__(self) -> tuple[type[Configuration], tuple[dict[str, Encoding], dict[str, Precision]]]:
        return Configuration, (dict(self.in_order), dict(self.activations))

    @property
    def hash(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def replace(self, encodings: Mapping[str, Encoding]) -> Configuration:
        """Return a copy with other encodings for some layers; raise ConfigurationError for an unknown layer."""
        strangers = sorted(set(encodings) - set(self.encodings))
        if strangers:
            raise ConfigurationError(f"this configuration has no layer {strangers[0]!r}")
        return Configuration({**self.in_order, **encodings}, self.activations)

    def to_json(self) -> str:
        """Return canonical JSON: sorted keys, no spaces, encodings as spelled."""
        content = {
            "activations": {name: precision.value for name, precision in self.activations.items()},
            "encodings": {name: str(encoding) for name, encoding in self.encodings.items()},
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    def to_values(self) -> dict[str, dict[str, str]]:
        """Return plain values with the same content, layers in order."""
        activations = {n: self.activations[n].value for n in self.in_order if n in self.activations}
        return {"activations": activations, "encodings": {n: str(e) for n, e in self.in_order.items()}}

    @classmethod
    def from_json(cls, text: str) -> Configuration:
        """Read the JSON of ``to_json``; raise ConfigurationError or EncodingError for anything else."""
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigurationError(f"expected a configuration as JSON: {error}") from error
        if not isinstance(content, dict) or set(content) - {"activations", "encodings"} or "encodings" not in content:
            raise ConfigurationError("a configuration is an object with the keys 'encodings' and 'activations'")
        encodings = {name: Encoding.parse(spelling) for name, spelling in content["encodings"].items()}
        try:
            activations = {name: Precision(value) for name, value in content.get("activations", {}).items()}
        except ValueError as error:
            raise ConfigurationError(f"expected activation precision fp16 or int8: {error}") from error
        return cls(encodings, activations)
