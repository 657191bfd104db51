"""Settings of one compressor, as coremltools and coreai-opt call them, as an encoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from palettune.search.experiment.recipes.recipe_rules import RecipeError
from palettune.space.encoding import Encoding, EncodingError

__all__ = ["Settings"]

_TYPES = {"int8", "uint8", "int4", "uint4"}
_SYMMETRIC = {"symmetric", "linear_symmetric", "symmetric_with_clipping"}


class Settings:
    """The settings of one entry, each read once; what is left when the encoding is known cannot be expressed.

    Args:
        where: the entry's place in the recipe, for messages.
    """

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        self._left = dict(values)
        self.given = frozenset(values)

    def take(self, name: str, default: Any = None) -> Any:
        """Return a setting and mark it as read."""
        value = self._left.pop(name, default)
        return default if value is None else value

    def add(self, name: str, value: object) -> None:
        """Set a setting that the recipe's form implies."""
        self._left[name] = value

    def ignore(self, *names: str) -> None:
        """Drop settings that change the work, not the encoding."""
        for name in names:
            self._left.pop(name, None)

    def fail(self, name: str, value: object, expected: str) -> RecipeError:
        """Return the error for a setting that no encoding of Palettune has."""
        return RecipeError(f"{self.where}.{name}: {value!r} cannot be expressed; expected {expected}")

    def done(self, spelling: str) -> Encoding:
        """Return the encoding of a spelling, after a check that every setting was read.

        Raises:
            RecipeError: there is none, or a setting was not read.
        """
        for name, value in self._left.items():
            raise self.fail(name, value, "to be left out")
        try:
            return Encoding.parse(spelling)
        except EncodingError as error:
            raise RecipeError(f"{self.where}: {error}") from None

    def table(self, bits: str) -> Encoding:
        """Return the encoding of a palettization.

        Args:
            bits: what the form calls the bits of an index.
        """
        along = {0: "", 1: "in"}[self._axis()]
        group = self._group()
        vector = int(self.take("cluster_dim", 1))
        entries = str(self.take("lut_dtype", "")).removeprefix("torch.")
        if entries not in ("", "int8", "uint8"):
            raise self.fail("lut_dtype", entries, "int8, uint8 or none")
        parts = [f"lut{self.take(bits, 4)}"]
        parts += [f"g{group}{along}"] if group else []
        parts += [f"v{vector}{along}"] if vector > 1 else []
        parts += [entries] if entries else []
        parts += ["scaled"] if self.take("enable_per_channel_scale", False) else []
        return self.done("-".join(parts))

    def linear(self, kind: str, scheme: str) -> Encoding:
        """Return the encoding of a linear quantization.

        Args:
            kind, scheme: what the form calls the type of an integer, and where its zero lies.
        """
        stored = str(self.take(kind, "int8")).removeprefix("torch.")
        if stored in ("float32", "float16"):
            self._left.clear()
            return Encoding()
        if stored not in _TYPES:
            raise self.fail(kind, stored, f"one of {', '.join(sorted(_TYPES))}")
        zero = "" if str(self.take(scheme, "symmetric")) in _SYMMETRIC else "-asym"
        granularity, block = str(self.take("granularity", "per_channel")), self.take("block_size")
        if granularity == "per_block":
            return self.done(f"{stored}{zero}-b{self._block(block)}")
        if granularity not in ("per_channel", "per_tensor"):
            raise self.fail("granularity", granularity, "per_tensor, per_channel or per_block")
        self.ignore("axis")
        return self.done(f"{stored}{zero}{'-tensor' if granularity == 'per_tensor' else ''}")

    def sparse(self) -> Encoding:
        """Return the encoding of a pruning by magnitude."""
        share, ratio = self.take("target_sparsity"), self.take("n_m_ratio")
        block, unit = int(self.take("block_size", 1)), str(self.take("granularity", "per_scalar"))
        if ratio is not None:
            return self.done(f"sparse{ratio[0]}:{ratio[1]}{'out' if self.take('dim', 1) == 0 else ''}")
        percent = 100 * (0.5 if share is None else float(share))
        if abs(percent - round(percent)) > 1e-9:
            raise self.fail("target_sparsity", share, "a share in whole percent")
        self.ignore("dim")
        tail = f"-b{block}" if block > 1 else {"per_kernel": "-kernel", "per_channel": "-channel"}.get(unit, "")
        return self.done(f"sparse{round(percent)}{tail}")

    def _axis(self) -> int:
        axis = self.take("channel_axis", 0)
        if axis not in (0, 1):
            raise self.fail("channel_axis", axis, "0 or 1")
        return int(axis)

    def _group(self) -> int | None:
        granularity, group = str(self.take("granularity", "per_tensor")), self.take("group_size")
        if granularity == "per_grouped_channel":
            return int(group) if group else None
        if granularity != "per_tensor":
            raise self.fail("granularity", granularity, "per_tensor or per_grouped_channel")
        return None

    def _block(self, block: Any) -> str:
        """``32`` for blocks along the input channels, ``8x32`` where output channels share them, too."""
        sizes = list(block) if isinstance(block, list | tuple) else [1, block]
        if len(sizes) == 1:
            sizes = [1, *sizes]
        if any(size not in (0, 1, -1) for size in sizes[2:]) or not sizes[1]:
            raise self.fail("block_size", block, "a number of input channels, or (output channels, input channels)")
        rows = int(sizes[0] or 1)
        return f"{sizes[1]}" if rows == 1 else f"{rows}x{sizes[1]}"
