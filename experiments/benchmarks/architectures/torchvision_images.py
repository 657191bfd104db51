"""Image networks of torchvision."""

from __future__ import annotations

import torchvision
from torch import Tensor, nn
from torchvision.models import VisionTransformer
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.models.segmentation.deeplabv3 import DeepLabHead, DeepLabV3

from experiments.benchmarks.architectures.architecture import Built, image


def small_resnet() -> ResNet:
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)


def resnet() -> Built:
    return small_resnet(), image(64)


def vit() -> Built:
    return VisionTransformer(64, 16, num_layers=2, num_heads=4, hidden_dim=96, mlp_dim=192, num_classes=10), image(64)


class RawDetections(nn.Module):
    """A detector up to the raw classes and boxes of its anchors, as it is deployed before non-maximum suppression."""

    def __init__(self, detector: RetinaNet) -> None:
        super().__init__()
        self.backbone, self.head = detector.backbone, detector.head

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.head(list(self.backbone(images).values()))


def retinanet() -> Built:
    layers = {"layer2": "0", "layer3": "1", "layer4": "2"}
    backbone = BackboneWithFPN(small_resnet(), layers, [128, 256, 512], out_channels=64)
    return RawDetections(RetinaNet(backbone, num_classes=5)), image(64)


class Segmented(nn.Module):
    """A segmentation network of torchvision, of which the one output is returned."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)["out"]


def deeplabv3() -> Built:
    backbone = IntermediateLayerGetter(small_resnet(), {"layer3": "out"})
    return Segmented(DeepLabV3(backbone, DeepLabHead(256, 5))), image(64)


def lraspp() -> Built:
    network = torchvision.models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=5
    )
    return Segmented(network), image(64)
