"""Op lists of Stable Diffusion's networks, both halves of the guidance in one batch of two."""

from __future__ import annotations

from palettune.device_bench.cost.op import CostOp, OpKind, OpList
from palettune.device_bench.cost.shapes import ShapeBuilder

Size = tuple[int, int]


class UNetBuilder(ShapeBuilder):
    """The blocks that the UNets share.

    Args:
        context: width of the text embedding.
        head: features of one attention head, or None for eight heads everywhere.
    """

    def __init__(self, context: int, head: int | None) -> None:
        super().__init__(2)
        self._context, self._head = context, head

    def residual(self, name: str, cin: int, cout: int, size: Size) -> None:
        """Two convolutions, the time embedding and a shortcut."""
        area = size[0] * size[1]
        self.norm(f"{name}.norm1", cin * area)
        self.conv(f"{name}.conv1", (cin, cout), size, 3)
        self.linear(f"{name}.time", (1280, cout), 1)
        self.norm(f"{name}.norm2", cout * area)
        self.conv(f"{name}.conv2", (cout, cout), size, 3)
        if cin != cout:
            self.conv(f"{name}.shortcut", (cin, cout), size)
        self.pointwise(f"{name}.add", cout * area, 2)

    def transformer(self, name: str, c: int, depth: int, size: Size) -> None:
        """Self-attention, attention to the text and a gated feed-forward, ``depth`` times."""
        area = size[0] * size[1]
        heads = c // self._head if self._head else 8
        self.norm(f"{name}.norm", c * area)
        self.conv(f"{name}.in", (c, c), size)
        self.norm(f"{name}.norms", c * area, 3 * depth)
        self.conv(f"{name}.self", (c, c), size, count=4 * depth)
        self.attention(f"{name}.self", heads, c // heads, area, count=depth)
        self.conv(f"{name}.cross", (c, c), size, count=2 * depth)
        self.linear(f"{name}.text", (self._context, c), 77, count=2 * depth)
        self.attention(f"{name}.cross", heads, c // heads, area, 77, count=depth)
        self.conv(f"{name}.ffn1", (c, 8 * c), size, count=depth)
        self.pointwise(f"{name}.gelu", 4 * c * area, 2, count=depth)
        self.conv(f"{name}.ffn2", (4 * c, c), size, count=depth)
        self.pointwise(f"{name}.add", c * area, 2, count=3 * depth)
        self.conv(f"{name}.out", (c, c), size)


def unet(latent: int, widths: tuple[int, ...], depths: tuple[int, ...], context: int, head: int | None) -> OpList:
    """A Stable Diffusion UNet on ``latent`` by ``latent``; ``depths`` are transformer blocks at each level."""
    b = UNetBuilder(context, head)
    size, c = (latent, latent), widths[0]
    b.conv("in", (4, c), size, 3)
    skips = [c]
    for level, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for i in range(2):
            b.residual(f"down{level}.{i}", c, width, size)
            c = width
            if depth:
                b.transformer(f"down{level}.{i}.t", c, depth, size)
            skips.append(c)
        if level < len(widths) - 1:
            size = b.conv(f"down{level}.sample", (c, c), size, 3, 2)
            skips.append(c)
    b.residual("mid.0", c, c, size)
    b.transformer("mid.t", c, max(depths[-1], 1), size)
    b.residual("mid.1", c, c, size)
    _up(b, widths, depths, skips, size, c)
    return b.build()


def _up(b: UNetBuilder, widths: tuple[int, ...], depths: tuple[int, ...], skips: list[int], size: Size, c: int) -> None:
    for level in reversed(range(len(widths))):
        width = widths[level]
        for i in range(3):
            skip = skips.pop()
            b.pointwise(f"up{level}.{i}.concat", (c + skip) * size[0] * size[1], kind=OpKind.MOVE)
            b.residual(f"up{level}.{i}", c + skip, width, size)
            c = width
            if depths[level]:
                b.transformer(f"up{level}.{i}.t", c, depths[level], size)
        if level:
            size = (size[0] * 2, size[1] * 2)
            b.conv(f"up{level}.sample", (c, c), size, 3)
    b.conv("out", (c, 4), size, 3)


def vae_decoder(latent: int) -> OpList:
    """The decoder that turns latents into an image."""
    b = ShapeBuilder()
    size, c = (latent, latent), 512
    b.conv("in", (4, c), size, 3)
    b.conv("mid", (c, c), size, 3, count=4)
    b.attention("mid", 1, c, latent * latent)
    for level, width in enumerate((512, 512, 256, 128)):
        b.conv(f"{level}.first", (c, width), size, 3)
        b.conv(f"{level}.rest", (width, width), size, 3, count=5)
        b.norm(f"{level}.norm", width * size[0] * size[1], 6)
        c = width
        if level < 3:
            size = (size[0] * 2, size[1] * 2)
            b.conv(f"{level}.sample", (c, c), size, 3)
    b.conv("out", (c, 3), size, 3)
    return b.build()


def pipeline(step: OpList, steps: int, latent: int) -> OpList:
    """``steps`` UNet calls and one decoding."""
    repeated = [_times(op, steps) for op in step]
    return OpList([*repeated, *vae_decoder(latent)])


def _times(op: CostOp, n: int) -> CostOp:
    return CostOp(
        op.name, op.kind, op.macs, op.weight_shape, op.read_bytes, op.written_bytes, op.layer, op.matrix_bytes,
        op.count * n,
    )  # fmt: skip


def sd_1_4() -> OpList:
    """Stable Diffusion 1.4's UNet at 512 (arXiv 2112.10752)."""
    return unet(64, (320, 640, 1280, 1280), (1, 1, 1, 0), 768, None)


def sd_2_1() -> OpList:
    """Stable Diffusion 2.1-base's UNet at 512."""
    return unet(64, (320, 640, 1280, 1280), (1, 1, 1, 0), 1024, 64)


def sdxl(latent: int) -> OpList:
    """Stable Diffusion XL's UNet (arXiv 2307.01952)."""
    return unet(latent, (320, 640, 1280), (0, 2, 10), 2048, 64)
