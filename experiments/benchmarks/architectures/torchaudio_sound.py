"""Sound networks of torchaudio."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchaudio.models import Conformer, DeepSpeech, WaveRNN

from experiments.benchmarks.architectures.architecture import Built


def deepspeech() -> Built:
    return DeepSpeech(n_feature=40, n_hidden=128, n_class=29), (torch.randn(1, 1, 50, 40),)


def wavernn() -> Built:
    model = WaveRNN(
        [4, 4], 64, 16, n_res_block=2, n_rnn=64, n_fc=64, kernel_size=5, n_freq=40, n_hidden=32, n_output=32
    )
    return model, (torch.rand(1, 1, 96) * 2 - 1, torch.randn(1, 1, 40, 10))


class Recognized(nn.Module):
    """A Conformer whose input has no padding."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> Tensor:
        return self.model(frames, torch.tensor([frames.shape[1]]))[0]


def conformer() -> Built:
    model = Conformer(input_dim=80, num_heads=4, ffn_dim=128, num_layers=2, depthwise_conv_kernel_size=31)
    return Recognized(model), (torch.randn(1, 64, 80),)
