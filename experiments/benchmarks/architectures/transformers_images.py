"""Image networks of transformers: detection, segmentation, super-resolution."""

from __future__ import annotations

import torch
import transformers

from experiments.benchmarks.architectures.architecture import Built, Called, image


def yolos() -> Built:
    config = transformers.YolosConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        image_size=[64, 96],
        num_detection_tokens=10,
        num_labels=5,
    )
    return Called(transformers.YolosForObjectDetection(config), ("pixel_values",), ("logits", "pred_boxes")), image(
        64, 96
    )


def detr() -> Built:
    backbone = transformers.ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32, 48, 64],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage4"],
    )
    config = transformers.DetrConfig(
        backbone_config=backbone,
        use_timm_backbone=False,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        num_queries=10,
        num_labels=5,
    )
    return Called(transformers.DetrForObjectDetection(config), ("pixel_values",), ("logits", "pred_boxes")), image(64)


def rt_detr() -> Built:
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 32, 48, 64],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = transformers.RTDetrConfig(
        backbone_config=backbone,
        encoder_hidden_dim=64,
        encoder_in_channels=[32, 48, 64],
        encoder_ffn_dim=128,
        encoder_attention_heads=4,
        d_model=64,
        num_queries=20,
        decoder_in_channels=[64, 64, 64],
        decoder_ffn_dim=128,
        decoder_layers=2,
        decoder_attention_heads=4,
        decoder_n_points=2,
        num_labels=5,
    )
    return Called(transformers.RTDetrForObjectDetection(config), ("pixel_values",), ("logits", "pred_boxes")), image(96)


def segformer() -> Built:
    config = transformers.SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[16, 32, 48, 64],
        num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=64,
        num_labels=5,
    )
    return Called(transformers.SegformerForSemanticSegmentation(config), ("pixel_values",), ("logits",)), image(64)


def sam() -> Built:
    config = transformers.SamConfig(
        vision_config={
            "hidden_size": 32,
            "output_channels": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 128,
            "window_size": 4,
            "global_attn_indexes": (1,),
            "mlp_dim": 64,
            "num_pos_feats": 16,
            "initializer_range": 0.1,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": 128},
        mask_decoder_config={
            "hidden_size": 32,
            "mlp_dim": 64,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 32,
        },
        initializer_range=0.1,
    )
    inputs = (*image(128), torch.rand(1, 1, 2, 2) * 128)
    return Called(transformers.SamModel(config), ("pixel_values", "input_points"), ("iou_scores", "pred_masks")), inputs


def swin2sr() -> Built:
    config = transformers.Swin2SRConfig(
        image_size=32, embed_dim=24, depths=[2, 2], num_heads=[2, 2], window_size=8, upscale=2
    )
    model = transformers.Swin2SRForImageSuperResolution(config)
    return Called(model, ("pixel_values",), ("reconstruction",)), image(32)
