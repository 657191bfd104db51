"""Op lists of the published vision networks, from the shapes in their papers and reference implementations."""

from __future__ import annotations

from palettune.device_bench.cost.op import OpKind, OpList
from palettune.device_bench.cost.shapes import ShapeBuilder

Size = tuple[int, int]


def _inverted(b: ShapeBuilder, n: str, cin: int, mid: int, cout: int, k: int, s: int, size: Size, se: int = 0) -> Size:
    if mid != cin:
        b.conv(f"{n}.expand", (cin, mid), size)
    out = b.conv(f"{n}.depthwise", (mid, mid), size, k, s, mid)
    if se:
        b.pointwise(f"{n}.se.pool", mid * out[0] * out[1] // 2, kind=OpKind.POOL)
        b.conv(f"{n}.se.reduce", (mid, se), (1, 1))
        b.conv(f"{n}.se.expand", (se, mid), (1, 1))
        b.pointwise(f"{n}.se.scale", mid * out[0] * out[1])
    b.conv(f"{n}.project", (mid, cout), out)
    if s == 1 and cin == cout:
        b.pointwise(f"{n}.add", cout * out[0] * out[1], 2)
    return out


def mobilenet_v2() -> OpList:
    """MobileNetV2 1.0 at 224 (arXiv 1801.04381)."""
    b = ShapeBuilder()
    size = b.conv("stem", (3, 32), (224, 224), 3, 2)
    cin = 32
    for stage, (t, c, n, s) in enumerate(
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    ):
        for i in range(n):
            size = _inverted(b, f"s{stage}.{i}", cin, cin * t, c, 3, s if i == 0 else 1, size)
            cin = c
    b.conv("head", (320, 1280), size)
    b.pointwise("pool", 1280 * 49 // 2, kind=OpKind.POOL)
    b.linear("classifier", (1280, 1000), 1)
    return b.build()


def mobilenet_v3_small() -> OpList:
    """MobileNetV3-small 1.0 at 224 (arXiv 1905.02244)."""
    b = ShapeBuilder()
    size = b.conv("stem", (3, 16), (224, 224), 3, 2)
    cin = 16
    rows = [
        (3, 16, 16, 8, 2), (3, 72, 24, 0, 2), (3, 88, 24, 0, 1), (5, 96, 40, 24, 2), (5, 240, 40, 64, 1),
        (5, 240, 40, 64, 1), (5, 120, 48, 32, 1), (5, 144, 48, 40, 1), (5, 288, 96, 72, 2), (5, 576, 96, 144, 1),
        (5, 576, 96, 144, 1),
    ]  # fmt: skip
    for i, (k, mid, c, se, s) in enumerate(rows):
        size = _inverted(b, f"b{i}", cin, mid, c, k, s, size, se)
        cin = c
    b.conv("head", (96, 576), size)
    b.pointwise("pool", 576 * 49 // 2, kind=OpKind.POOL)
    b.linear("classifier.0", (576, 1024), 1)
    b.linear("classifier.1", (1024, 1000), 1)
    return b.build()


def resnet50() -> OpList:
    """ResNet-50 v1.5 at 224 (arXiv 1512.03385)."""
    b = ShapeBuilder()
    size = b.conv("stem", (3, 64), (224, 224), 7, 2)
    b.pointwise("stem.pool", 64 * 112 * 112 * 5 // 8, kind=OpKind.POOL)
    size, cin = (56, 56), 64
    for stage, (width, n, stride) in enumerate([(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]):
        for i in range(n):
            s = stride if i == 0 else 1
            b.conv(f"l{stage}.{i}.1", (cin, width), size)
            out = b.conv(f"l{stage}.{i}.2", (width, width), size, 3, s)
            b.conv(f"l{stage}.{i}.3", (width, width * 4), out)
            if i == 0:
                b.conv(f"l{stage}.{i}.down", (cin, width * 4), size, 1, s)
            b.pointwise(f"l{stage}.{i}.add", width * 4 * out[0] * out[1], 2)
            size, cin = out, width * 4
    b.pointwise("pool", 2048 * 49 // 2, kind=OpKind.POOL)
    b.linear("classifier", (2048, 1000), 1)
    return b.build()


def mobilevit_v2() -> OpList:
    """MobileViTv2-1.0 at 256 (arXiv 2206.02680): inverted residuals and separable attention."""
    b = ShapeBuilder()
    size = b.conv("stem", (3, 32), (256, 256), 3, 2)
    size = _inverted(b, "l1", 32, 64, 64, 3, 1, size)
    for i in range(2):
        size = _inverted(b, f"l2.{i}", 64 if i == 0 else 128, 128 if i == 0 else 256, 128, 3, 2 - i, size)
    cin = 128
    for stage, (c, d, n) in enumerate([(256, 128, 2), (384, 192, 4), (512, 256, 3)]):
        size = _inverted(b, f"v{stage}.mv2", cin, cin * 2, c, 3, 2, size)
        _mobilevit_block(b, f"v{stage}", c, d, n, size)
        cin = c
    b.pointwise("pool", 512 * 64 // 2, kind=OpKind.POOL)
    b.linear("classifier", (512, 1000), 1)
    return b.build()


def _mobilevit_block(b: ShapeBuilder, name: str, c: int, d: int, n: int, size: Size) -> None:
    area = size[0] * size[1]
    b.conv(f"{name}.local", (c, c), size, 3, 1, c)
    b.conv(f"{name}.in", (c, d), size)
    b.pointwise(f"{name}.unfold", d * area, kind=OpKind.MOVE)
    for i in range(n):
        b.norm(f"{name}.{i}.norm1", d * area)
        b.conv(f"{name}.{i}.qkv", (d, 2 * d + 1), size)
        b.pointwise(f"{name}.{i}.softmax", area, kind=OpKind.SOFTMAX)
        b.pointwise(f"{name}.{i}.context", d * area, 2)
        b.pointwise(f"{name}.{i}.value", d * area, 2)
        b.conv(f"{name}.{i}.out", (d, d), size)
        b.norm(f"{name}.{i}.norm2", d * area)
        b.conv(f"{name}.{i}.ffn1", (d, 2 * d), size)
        b.conv(f"{name}.{i}.ffn2", (2 * d, d), size)
    b.norm(f"{name}.norm", d * area)
    b.pointwise(f"{name}.fold", d * area, kind=OpKind.MOVE)
    b.conv(f"{name}.outp", (d, c), size)


def fastvit(
    widths: tuple[int, ...], depths: tuple[int, ...], ratio: int, attention: bool, classes: int = 1000
) -> OpList:
    """FastViT, reparameterized for inference, at 256 (arXiv 2303.14189)."""
    b = ShapeBuilder()
    c = widths[0]
    size = b.conv("stem.0", (3, c), (256, 256), 3, 2)
    size = b.conv("stem.1", (c, c), size, 3, 2, c)
    b.conv("stem.2", (c, c), size)
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            size = b.conv(f"{stage}.patch", (c, width), size, 7, 2, c)
            b.conv(f"{stage}.point", (width, width), size)
            c = width
        for i in range(depth):
            _fastvit_block(b, f"{stage}.{i}", c, ratio, size, attention and stage == len(widths) - 1)
    b.conv("head.depthwise", (c, 2 * c), size, 3, 1, c)
    b.pointwise("head.se", 2 * c * size[0] * size[1])
    b.linear("head", (2 * c, classes), 1)
    return b.build()


def _fastvit_block(b: ShapeBuilder, name: str, c: int, ratio: int, size: Size, attention: bool) -> None:
    area = size[0] * size[1]
    if attention:
        b.norm(f"{name}.norm", c * area)
        b.linear(f"{name}.qkv", (c, 3 * c), area)
        b.attention(f"{name}.attention", c // 32, 32, area)
        b.linear(f"{name}.proj", (c, c), area)
    else:
        b.conv(f"{name}.mixer", (c, c), size, 3, 1, c)
    b.conv(f"{name}.ffn.depthwise", (c, c), size, 7, 1, c)
    b.conv(f"{name}.ffn.1", (c, ratio * c), size)
    b.conv(f"{name}.ffn.2", (ratio * c, c), size)
    b.pointwise(f"{name}.add", c * area, 2)


def mobilenet_v4_conv_large() -> OpList:
    """MobileNetV4-Conv-Large at 384 (arXiv 2404.10518)."""
    b = ShapeBuilder()
    size = b.conv("stem", (3, 24), (384, 384), 3, 2)
    size = b.conv("fused.0", (24, 96), size, 3, 2)
    b.conv("fused.1", (96, 48), size)
    blocks = [
        (48, 96, 3, 5, 2), (96, 96, 3, 3, 1), (96, 192, 3, 5, 2), *[(192, 192, 3, 3, 1)] * 3, (192, 192, 3, 5, 1),
        *[(192, 192, 5, 3, 1)] * 5, (192, 192, 3, 0, 1), (192, 512, 5, 5, 2), *[(512, 512, 5, 5, 1)] * 3,
        (512, 512, 5, 0, 1), (512, 512, 5, 3, 1), *[(512, 512, 5, 0, 1)] * 2, (512, 512, 5, 3, 1), (512, 512, 5, 5, 1),
        *[(512, 512, 5, 0, 1)] * 3,
    ]  # fmt: skip
    for i, (cin, cout, start, middle, stride) in enumerate(blocks):
        b.conv(f"u{i}.start", (cin, cin), size, start, 1 if middle else stride, cin)
        b.conv(f"u{i}.expand", (cin, 4 * cin), size)
        if middle:
            size = b.conv(f"u{i}.middle", (4 * cin, 4 * cin), size, middle, stride, 4 * cin)
        b.conv(f"u{i}.project", (4 * cin, cout), size)
        b.pointwise(f"u{i}.add", cout * size[0] * size[1], 2)
    b.conv("head.0", (512, 960), size)
    b.conv("head.1", (960, 1280), (1, 1))
    b.linear("classifier", (1280, 1000), 1)
    return b.build()


def depth_anything_small(size: Size = (392, 518)) -> OpList:
    """Depth Anything small: DINOv2 ViT-S/14 and a DPT head (arXiv 2401.10891)."""
    b = ShapeBuilder()
    grid = b.conv("patch", (3, 384), size, 14, 14)
    tokens = grid[0] * grid[1] + 1
    for i in range(12):
        b.norm(f"{i}.norm1", 384 * tokens)
        b.linear(f"{i}.qkv", (384, 1152), tokens)
        b.attention(f"{i}.attention", 6, 64, tokens)
        b.linear(f"{i}.proj", (384, 384), tokens)
        b.norm(f"{i}.norm2", 384 * tokens)
        b.linear(f"{i}.ffn1", (384, 1536), tokens)
        b.linear(f"{i}.ffn2", (1536, 384), tokens)
        b.pointwise(f"{i}.add", 384 * tokens, 2, count=2)
    scales = [(48, 4.0), (96, 2.0), (192, 1.0), (384, 0.5)]
    for i, (c, scale) in enumerate(scales):
        level = (round(grid[0] * scale), round(grid[1] * scale))
        b.conv(f"dpt.project{i}", (384, c), grid)
        b.conv(f"dpt.resize{i}", (c, c), level, 3)
        b.conv(f"dpt.scratch{i}", (c, 64), level, 3)
        b.conv(f"dpt.refine{i}", (64, 64), level, 3, count=4 if i < 3 else 2)
        b.conv(f"dpt.out{i}", (64, 64), (level[0] * 2, level[1] * 2))
    b.conv("dpt.head1", (64, 32), (grid[0] * 8, grid[1] * 8), 3)
    b.conv("dpt.head2", (32, 32), size, 3)
    b.conv("dpt.head3", (32, 1), size)
    return b.build()


def yolo26n(segment: bool = False) -> OpList:
    """A stand-in for YOLO26n at 640: a CSP backbone and neck of the published size (2.4 M weights, 2.7 GMAC)."""
    b = ShapeBuilder()
    size, cin = (640, 640), 3
    for i, c in enumerate((16, 32, 64, 128, 256)):
        size = b.conv(f"down{i}", (cin, c), size, 3, 2)
        if i:
            _csp(b, f"csp{i}", c, size)
        cin = c
    _neck(b)
    if segment:
        b.conv("proto", (64, 64), (160, 160), 3)
    for c, side in ((64, 80), (128, 40), (256, 20)):
        b.conv(f"head{side}.box", (c, 32), (side, side), 3)
        b.conv(f"head{side}.class", (c, 80), (side, side))
    b.host("topk", 8400)
    return b.build()


def _neck(b: ShapeBuilder) -> None:
    for i, (c, side) in enumerate(((128, 40), (64, 80), (128, 40), (256, 20))):
        b.pointwise(f"neck{i}.concat", 2 * c * side * side, kind=OpKind.MOVE)
        b.conv(f"neck{i}.in", (2 * c, c), (side, side))
        _csp(b, f"neck{i}", c, (side, side))


def _csp(b: ShapeBuilder, name: str, c: int, size: Size) -> None:
    b.conv(f"{name}.in", (c, c), size)
    b.conv(f"{name}.a", (c // 2, c // 4), size, 3)
    b.conv(f"{name}.b", (c // 4, c // 2), size, 3)
    b.conv(f"{name}.out", (3 * c // 2, c), size)
