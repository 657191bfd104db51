"""Sound networks of transformers: speech recognition and vocoders."""

from __future__ import annotations

import torch
import transformers
from torch import Tensor, nn

from experiments.benchmarks.architectures.architecture import Built, Called, tokens


class Decoded(nn.Module):
    """The half of EnCodec that makes sound of codes (quantizers, 1, frames)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.quantizer, self.decoder = model.quantizer, model.decoder

    def forward(self, codes: Tensor) -> Tensor:
        return self.decoder(self.quantizer.decode(codes))


def encodec() -> Built:
    config = transformers.EncodecConfig(num_filters=8, hidden_size=32, codebook_size=64, upsampling_ratios=[8, 4])
    model = transformers.EncodecModel(config)
    for layer in model.quantizer.layers:  # zeros, until they are trained or loaded
        layer.codebook.embed.normal_()
    return Decoded(model), (torch.randint(0, 64, (len(model.quantizer.layers), 1, 20)),)


def wav2vec2() -> Built:
    config = transformers.Wav2Vec2Config(
        vocab_size=32,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        conv_dim=(32,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    return Called(transformers.Wav2Vec2ForCTC(config), ("input_values",), ("logits",)), (torch.randn(1, 4000),)


def whisper() -> Built:
    config = transformers.WhisperConfig(
        vocab_size=200,
        num_mel_bins=40,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        max_source_positions=50,
        max_target_positions=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    model = transformers.WhisperForConditionalGeneration(config)
    inputs = (torch.randn(1, 40, 100), *tokens(8))
    return Called(model, ("input_features", "decoder_input_ids"), ("logits",), use_cache=False), inputs


def hifigan() -> Built:
    config = transformers.SpeechT5HifiGanConfig(
        model_in_dim=40,
        upsample_initial_channel=64,
        upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8],
        initializer_range=0.1,
    )
    return transformers.SpeechT5HifiGan(config), (torch.randn(1, 20, 40),)


def univnet() -> Built:
    config = transformers.UnivNetConfig(
        model_in_channels=32,
        model_hidden_channels=8,
        num_mel_bins=40,
        kernel_predictor_num_blocks=1,
        kernel_predictor_hidden_channels=32,
    )
    inputs = (torch.randn(1, 10, 40), torch.randn(1, 10, 32))
    return Called(transformers.UnivNetModel(config), ("input_features", "noise_sequence"), ("waveforms",)), inputs
