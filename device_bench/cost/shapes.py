"""Op lists from shapes alone, for networks too large to build or known from their papers only."""

from __future__ import annotations

import math

from palettune.device_bench.cost.op import FP16_BYTES, CostOp, OpKind, OpList

__all__ = ["ShapeBuilder"]


class ShapeBuilder:
    """Writes an op list one op at a time; every weighted op is a layer of its own name.

    Elementwise activations that follow a convolution or linear layer are fused by Core ML's compilers and need no op.

    Args:
        batch: examples computed in one prediction.
    """

    def __init__(self, batch: int = 1) -> None:
        self._batch = batch
        self._ops: list[CostOp] = []
        self._names: dict[str, int] = {}

    def build(self) -> OpList:
        """Return the ops added so far."""
        return OpList(self._ops)

    def conv(
        self,
        name: str,
        channels: tuple[int, int],
        size: tuple[int, int],
        kernel: int | tuple[int, int] = 1,
        stride: int | tuple[int, int] = 1,
        groups: int = 1,
        count: int = 1,
    ) -> tuple[int, int]:
        """Add a convolution with padding that keeps ``size / stride``; return the output's (height, width).

        Args:
            name: name of the op and of its layer.
            channels: input and output channels.
            size: input height and width.
            kernel: kernel side, or height and width.
            stride: stride, or one for each axis.
            groups: convolution groups; as many as channels makes it depthwise.
            count: identical ones.
        """
        kernels = (kernel, kernel) if isinstance(kernel, int) else kernel
        strides = (stride, stride) if isinstance(stride, int) else stride
        out = (math.ceil(size[0] / strides[0]), math.ceil(size[1] / strides[1]))
        shape = (channels[1], channels[0] // groups, *kernels)
        kind = OpKind.DEPTHWISE if groups > 1 and groups == channels[0] else OpKind.CONV
        self._weighted(name, kind, shape, (channels[0] * math.prod(size), channels[1] * math.prod(out)), count)
        return out

    def linear(self, name: str, features: tuple[int, int], positions: int, count: int = 1) -> None:
        """Add a linear layer from ``features[0]`` to ``features[1]`` on each of ``positions`` tokens."""
        shape = (features[1], features[0])
        self._weighted(name, OpKind.LINEAR, shape, (features[0] * positions, features[1] * positions), count)

    def attention(
        self, name: str, heads: int, width: int, queries: int, keys: int | None = None, count: int = 1
    ) -> None:
        """Add scores, softmax and weighted sum of an attention, without its projections.

        Args:
            name: prefix of the op names.
            heads: attention heads.
            width: features of one head.
            queries: query positions.
            keys: key positions; as many as queries by default.
            count: identical ones.
        """
        length = keys or queries
        matrix = queries * length * FP16_BYTES
        scores = self._batch * heads * queries * length * FP16_BYTES
        values = self._batch * heads * width * FP16_BYTES
        macs = self._batch * heads * queries * length * width
        self._add(
            CostOp(f"{name}.scores", OpKind.MATMUL, macs, (), values * (queries + length), scores, None, matrix, count)
        )
        self._add(CostOp(f"{name}.softmax", OpKind.SOFTMAX, 0, (), scores, scores, None, matrix, count))
        self._add(
            CostOp(
                f"{name}.sum", OpKind.MATMUL, macs, (), scores + values * length, values * queries, None, matrix, count
            )
        )

    def pointwise(
        self, name: str, elements: int, inputs: int = 1, kind: OpKind = OpKind.ELEMENTWISE, count: int = 1
    ) -> None:
        """Add an op without a weight that reads ``inputs`` tensors of ``elements`` and writes one."""
        size = self._batch * elements * FP16_BYTES
        self._add(CostOp(name, kind, 0, (), size * inputs, size, None, 0, count))

    def norm(self, name: str, elements: int, count: int = 1) -> None:
        """Add a normalization that cannot be folded into its neighbour."""
        self.pointwise(name, elements, 1, OpKind.NORM, count)

    def embedding(self, name: str, vocabulary: int, width: int, positions: int) -> None:
        """Add a table look-up of ``positions`` rows of ``width``."""
        moved = self._batch * positions * width * FP16_BYTES
        self._add(CostOp(name, OpKind.EMBEDDING, 0, (vocabulary, width), moved, moved, self._unique(name)))

    def recurrent(self, name: str, features: tuple[int, int], steps: int, gates: int = 4) -> None:
        """Add a recurrent layer (an LSTM with four gates) over ``steps``."""
        shape = (gates * features[1], features[0] + features[1])
        self._weighted(name, OpKind.RECURRENT, shape, (features[0] * steps, features[1] * steps), 1, steps)

    def host(self, name: str, elements: int) -> None:
        """Add an op that only the CPU runs: integer arithmetic, top-k and the like."""
        self.pointwise(name, elements, 1, OpKind.HOST)

    def _weighted(
        self,
        name: str,
        kind: OpKind,
        shape: tuple[int, ...],
        elements: tuple[int, int],
        count: int,
        steps: int | None = None,
    ) -> None:
        positions = steps if steps is not None else elements[1] // shape[0]
        moved = [self._batch * n * FP16_BYTES for n in elements]
        macs = self._batch * positions * math.prod(shape)
        self._add(CostOp(name, kind, macs, shape, moved[0], moved[1], self._unique(name), 0, count))

    def _unique(self, name: str) -> str:
        seen = self._names.get(name, 0)
        self._names[name] = seen + 1
        return name if not seen else f"{name}.{seen}"

    def _add(self, op: CostOp) -> None:
        self._ops.append(op)
