"""Op lists of the published language, speech and micro-benchmark networks."""

from __future__ import annotations

from palettune.device_bench.cost.op import OpKind, OpList
from palettune.device_bench.cost.shapes import ShapeBuilder


def _encoder_block(b: ShapeBuilder, n: str, d: int, ffn: int, heads: int, tokens: int, keys: int | None = None) -> None:
    b.norm(f"{n}.norm1", d * tokens)
    for p in ("q", "k", "v"):
        b.linear(f"{n}.{p}", (d, d), tokens)
    b.attention(f"{n}.attention", heads, d // heads, tokens, keys)
    b.linear(f"{n}.o", (d, d), tokens)
    b.norm(f"{n}.norm2", d * tokens)
    b.linear(f"{n}.ffn1", (d, ffn), tokens)
    b.pointwise(f"{n}.gelu", ffn * tokens)
    b.linear(f"{n}.ffn2", (ffn, d), tokens)
    b.pointwise(f"{n}.add", d * tokens, 2, count=2)


def distilbert() -> OpList:
    """DistilBERT-base with a classifier, 128 tokens."""
    b = ShapeBuilder()
    b.embedding("embedding", 30522, 768, 128)
    for i in range(6):
        _encoder_block(b, str(i), 768, 3072, 12, 128)
    b.linear("classifier", (768, 2), 1)
    return b.build()


def gpt2(layers: int, width: int, heads: int) -> OpList:
    """GPT-2 over 512 tokens, logits of all of them in the published export's four slices of the vocabulary."""
    b = ShapeBuilder()
    b.embedding("embedding", 50257, width, 512)
    for i in range(layers):
        _encoder_block(b, str(i), width, 4 * width, heads, 512)
    b.linear("lm_head", (width, 50257), 1)
    return b.build()


def pythia(layers: int, width: int, heads: int) -> OpList:
    """Pythia (GPT-NeoX with rotary embeddings) over 512 tokens, logits of the last one."""
    b = ShapeBuilder()
    b.embedding("embedding", 50304, width, 512)
    for i in range(layers):
        _encoder_block(b, str(i), width, 4 * width, heads, 512)
        b.pointwise(f"{i}.rotary", width * 512 // 2, 2, OpKind.MOVE, 4)
    b.linear("lm_head", (width, 50304), 1)
    return b.build()


def opt_1_3b() -> OpList:
    """OPT-1.3B over 64 tokens without a key-value cache; the embedding is tied to the head."""
    b = ShapeBuilder()
    b.embedding("embedding", 50272, 2048, 64)
    for i in range(24):
        _encoder_block(b, str(i), 2048, 8192, 32, 64)
    b.linear("lm_head", (2048, 50272), 64)
    return b.build()


def llama(
    layers: int, width: int, ffn: int, key_width: int, vocabulary: int, heads: int, tokens: int, keys: int
) -> OpList:
    """A Llama step: ``tokens`` new tokens attend to ``keys``; logits of the last one."""
    b = ShapeBuilder()
    b.embedding("embedding", vocabulary, width, tokens)
    for i in range(layers):
        b.norm(f"{i}.norm1", width * tokens)
        b.linear(f"{i}.q", (width, width), tokens)
        b.linear(f"{i}.kv", (width, 2 * key_width), tokens)
        b.pointwise(f"{i}.rotary", width * tokens, 2, OpKind.MOVE)
        if tokens == 1:
            b.pointwise(f"{i}.cache", 2 * key_width * keys // 2, kind=OpKind.MOVE)
        b.attention(f"{i}.attention", heads, width // heads, tokens, keys)
        b.linear(f"{i}.o", (width, width), tokens)
        b.norm(f"{i}.norm2", width * tokens)
        b.linear(f"{i}.gate_up", (width, 2 * ffn), tokens)
        b.pointwise(f"{i}.silu", ffn * tokens, 2)
        b.linear(f"{i}.down", (ffn, width), tokens)
        b.pointwise(f"{i}.add", width * tokens, 2, count=2)
    b.linear("lm_head", (width, vocabulary), 1)
    return b.build()


def whisper_encoder(layers: int = 32, width: int = 1280, heads: int = 20) -> OpList:
    """Whisper encoder over 30 s (arXiv 2212.04356)."""
    b = ShapeBuilder()
    b.conv("stem.0", (128, width), (1, 3000), (1, 3))
    b.conv("stem.1", (width, width), (1, 3000), (1, 3), (1, 2))
    for i in range(layers):
        _encoder_block(b, str(i), width, 4 * width, heads, 1500)
    return b.build()


def whisper_decoder(layers: int = 4, width: int = 1280, heads: int = 20) -> OpList:
    """Whisper decoder, one token, with a cache of 448 and 1500 encoder positions."""
    b = ShapeBuilder()
    b.embedding("embedding", 51866, width, 1)
    for i in range(layers):
        _encoder_block(b, str(i), width, 4 * width, heads, 1, 448)
        b.linear(f"{i}.cross.q", (width, width), 1)
        b.attention(f"{i}.cross", heads, width // heads, 1, 1500)
        b.linear(f"{i}.cross.o", (width, width), 1)
    b.linear("lm_head", (width, 51866), 1)
    return b.build()


def parakeet_encoder(mel: bool = False) -> OpList:
    """FastConformer of Parakeet-TDT-0.6B over 15 s: 8-fold subsampling, 24 blocks of width 1024 (arXiv 2305.05084)."""
    b = ShapeBuilder()
    if mel:
        b.host("mel.frames", 240_000)
        b.conv("mel.stft", (1, 514), (1, 240_000), (1, 512), (1, 160))
        b.conv("mel.filters", (257, 128), (1, 1501))
    size = b.conv("sub.0", (1, 256), (1501, 128), 3, 2)
    for i in (1, 2):
        size = b.conv(f"sub.{i}.depthwise", (256, 256), size, 3, 2, 256)
        b.conv(f"sub.{i}.point", (256, 256), size)
    frames, d = size[0], 1024
    b.linear("sub.out", (256 * size[1], d), frames)
    for i in range(24):
        _conformer_block(b, str(i), d, frames)
    return b.build()


def _conformer_block(b: ShapeBuilder, n: str, d: int, frames: int) -> None:
    for half in ("a", "b"):
        b.norm(f"{n}.{half}.norm", d * frames)
        b.linear(f"{n}.{half}.ffn1", (d, 4 * d), frames)
        b.pointwise(f"{n}.{half}.silu", 4 * d * frames)
        b.linear(f"{n}.{half}.ffn2", (4 * d, d), frames)
    for p in ("q", "k", "v", "position", "o"):
        b.linear(f"{n}.{p}", (d, d), frames)
    b.attention(f"{n}.attention", 8, d // 8, frames)
    b.pointwise(f"{n}.shift", 8 * frames * frames, 2, OpKind.MOVE)
    b.conv(f"{n}.conv1", (d, 2 * d), (1, frames))
    b.conv(f"{n}.depthwise", (d, d), (1, frames), (1, 9), 1, d)
    b.conv(f"{n}.conv2", (d, d), (1, frames))
    b.norm(f"{n}.norm", d * frames, 3)


def parakeet_joint(decision: bool = False) -> OpList:
    """The joint network of Parakeet-TDT for one frame and one token, with the choice of token on the CPU."""
    b = ShapeBuilder()
    b.linear("encoder", (1024, 640), 1)
    b.linear("decoder", (640, 640), 1)
    b.linear("output", (640, 8198), 1)
    if decision:
        b.pointwise("softmax", 8198, kind=OpKind.SOFTMAX)
        b.host("argmax", 8198)
        b.pointwise("probability", 8198)
        b.host("topk", 8198)
    return b.build()


def silero_vad(chunks: int = 1) -> OpList:
    """Silero VAD: a short-time transform, four small convolutions and an LSTM, for each chunk of 32 ms."""
    b = ShapeBuilder()
    b.conv("stft", (1, 258), (1, 576 * chunks), (1, 256), (1, 128))
    for i, (cin, cout) in enumerate(((129, 128), (128, 64), (64, 64), (64, 128))):
        b.conv(f"conv{i}", (cin, cout), (1, 4 * chunks), (1, 3))
    b.recurrent("lstm", (128, 128), chunks)
    b.conv("out", (128, 1), (1, chunks))
    return b.build()


def lstm_25() -> OpList:
    """LSTM of 25 units over 5 steps and a dense layer of 10."""
    b = ShapeBuilder()
    b.recurrent("lstm", (25, 25), 5)
    b.linear("dense", (25, 10), 1)
    return b.build()


def lm_head() -> OpList:
    """The output layer of Llama 3 8B for one token: 4096 to 128256."""
    b = ShapeBuilder()
    b.linear("lm_head", (4096, 128256), 1)
    return b.build()


def parallel_matrices() -> OpList:
    """32 parallel layers of 2048 by 2048 on one position."""
    b = ShapeBuilder()
    b.conv("layer", (2048, 2048), (1, 1), count=32)
    return b.build()


def square_conv() -> OpList:
    """One 1x1 convolution, 4096 to 4096, on one position."""
    b = ShapeBuilder()
    b.conv("layer", (4096, 4096), (1, 1))
    return b.build()


def conv_chain() -> OpList:
    """128 1x1 convolutions, 512 to 512, on 4096 positions."""
    b = ShapeBuilder()
    b.conv("layer", (512, 512), (64, 64), count=128)
    return b.build()


def gemma_gate(positions: int) -> OpList:
    """The gate projection of Gemma 4 E4B, 2560 to 10240."""
    b = ShapeBuilder()
    b.conv("gate", (2560, 10240), (1, positions))
    return b.build()


def gemma_mlp(positions: int) -> OpList:
    """The gated MLP of Gemma 4 E4B."""
    b = ShapeBuilder()
    b.conv("gate", (2560, 10240), (1, positions))
    b.conv("up", (2560, 10240), (1, positions))
    b.pointwise("gelu", 10240 * positions, 2)
    b.conv("down", (10240, 2560), (1, positions))
    return b.build()


def nanocodec() -> OpList:
    """A stand-in for the Magpie codec's decoder: transposed convolutions of 30 M weights over 24 frames."""
    b = ShapeBuilder()
    frames, c = 24, 1536
    b.conv("in", (32, c), (1, frames), (1, 7))
    for i, rate in enumerate((7, 7, 6, 3)):
        frames *= rate
        b.conv(f"up{i}", (c, c // 2), (1, frames), (1, 2))
        c //= 2
        b.conv(f"res{i}", (c, c), (1, frames), (1, 7), count=6 if i else 2)
    return b.build()
