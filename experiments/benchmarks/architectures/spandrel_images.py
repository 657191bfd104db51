"""Super-resolution networks of spandrel."""

from __future__ import annotations

from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet
from spandrel.architectures.SPAN.__arch.span import SPAN
from spandrel.architectures.SwinIR.__arch.SwinIR import SwinIR

from experiments.benchmarks.architectures.architecture import Built, image


def esrgan() -> Built:
    return RRDBNet(num_filters=32, num_blocks=2, scale=2), image(32)


def swinir() -> Built:
    size = {"img_size": 32, "embed_dim": 24, "depths": [2, 2], "num_heads": [2, 2], "window_size": 8}
    return SwinIR(**size, upscale=2, upsampler="pixelshuffledirect"), image(32)


def span() -> Built:
    return SPAN(num_in_ch=3, num_out_ch=3, feature_channels=32, upscale=2), image(32)
