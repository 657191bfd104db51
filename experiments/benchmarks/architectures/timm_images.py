"""Image networks of timm."""

from __future__ import annotations

import timm
from timm.models.nfnet import NfCfg, NormFreeNet

from experiments.benchmarks.architectures.architecture import Built, image


def convnext() -> Built:
    return timm.create_model("convnext_atto", depths=(1, 1, 2, 1), dims=(32, 64, 96, 128), num_classes=10), image(64)


def nfnet() -> Built:
    settings = NfCfg(
        depths=(1, 1, 1, 1),
        channels=(32, 64, 96, 96),
        stem_type="deep_quad",
        stem_chs=32,
        group_size=16,
        extra_conv=True,
        attn_layer="se",
        attn_kwargs={"rd_ratio": 0.5},
    )
    return NormFreeNet(settings, num_classes=10), image(64)


def eva() -> Built:
    size = {"img_size": 56, "embed_dim": 96, "depth": 2, "num_heads": 3, "ref_feat_shape": (4, 4)}
    return timm.create_model("eva02_tiny_patch14_224", num_classes=10, **size), image(56)


def sequencer() -> Built:
    size = {"layers": [1, 1, 1, 1], "embed_dims": [48, 96, 96, 96], "hidden_sizes": [12, 24, 24, 24]}
    return timm.create_model("sequencer2d_s", num_classes=10, img_size=56, **size), image(56)


def efficientvim() -> Built:
    size = {"embed_dim": (32, 48, 80), "depths": (1, 1, 1)}
    return timm.create_model("efficientvim_m1", num_classes=10, **size), image(224)
