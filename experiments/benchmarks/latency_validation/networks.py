"""Every network of the published rows, by its key in ``published_latency.csv``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from experiments.benchmarks.latency_validation import networks_diffusion as diffusion
from experiments.benchmarks.latency_validation import networks_sequence as sequence
from experiments.benchmarks.latency_validation import networks_vision as vision
from palettune.device_bench.cost.op import OpList

__all__ = ["network"]

_LLAMA_2_7B = partial(sequence.llama, 32, 4096, 11008, 4096, 32000, 32)
_LLAMA_3_8B = partial(sequence.llama, 32, 4096, 14336, 1024, 128256, 32)

_NETWORKS: dict[str, Callable[..., OpList]] = {
    "mobilenet_v2": vision.mobilenet_v2,
    "mobilenet_v3_small": vision.mobilenet_v3_small,
    "mobilenet_v4_conv_large": vision.mobilenet_v4_conv_large,
    "resnet50": vision.resnet50,
    "mobilevit_v2": vision.mobilevit_v2,
    "fastvit_t8": partial(vision.fastvit, (48, 96, 192, 384), (2, 2, 4, 2), 3, False),
    "fastvit_ma36": partial(vision.fastvit, (76, 152, 304, 608), (6, 6, 18, 6), 4, True),
    "depth_anything_small": vision.depth_anything_small,
    "yolo26n": vision.yolo26n,
    "yolo26n_segment": partial(vision.yolo26n, True),
    "distilbert": sequence.distilbert,
    "gpt2": partial(sequence.gpt2, 12, 768, 12),
    "gpt2-medium": partial(sequence.gpt2, 24, 1024, 16),
    "gpt2-large": partial(sequence.gpt2, 36, 1280, 20),
    "gpt2-xl": partial(sequence.gpt2, 48, 1600, 25),
    "pythia-70m": partial(sequence.pythia, 6, 512, 8),
    "pythia-160m": partial(sequence.pythia, 12, 768, 12),
    "pythia-410m": partial(sequence.pythia, 24, 1024, 16),
    "pythia-1b": partial(sequence.pythia, 16, 2048, 8),
    "pythia-1.4b": partial(sequence.pythia, 24, 2048, 16),
    "pythia-2.8b": partial(sequence.pythia, 32, 2560, 32),
    "opt-1.3b": sequence.opt_1_3b,
    "llama-2-7b-decode": partial(_LLAMA_2_7B, 1, 512),
    "whisper-turbo-encoder": sequence.whisper_encoder,
    "whisper-turbo-decoder": sequence.whisper_decoder,
    "parakeet-encoder": sequence.parakeet_encoder,
    "parakeet-mel-encoder": partial(sequence.parakeet_encoder, True),
    "parakeet-joint": sequence.parakeet_joint,
    "parakeet-joint-decision": partial(sequence.parakeet_joint, True),
    "silero-vad": sequence.silero_vad,
    "silero-vad-256ms": partial(sequence.silero_vad, 8),
    "lstm-25": sequence.lstm_25,
    "lm-head": sequence.lm_head,
    "parallel-matrices": sequence.parallel_matrices,
    "square-conv": sequence.square_conv,
    "conv-chain": sequence.conv_chain,
    "gemma-gate-64": partial(sequence.gemma_gate, 64),
    "gemma-gate-1024": partial(sequence.gemma_gate, 1024),
    "gemma-mlp-64": partial(sequence.gemma_mlp, 64),
    "gemma-mlp-1024": partial(sequence.gemma_mlp, 1024),
    "nanocodec": sequence.nanocodec,
    "sd-1.4-image": lambda: diffusion.pipeline(diffusion.sd_1_4(), 50, 64),
    "sd-2.1-step": diffusion.sd_2_1,
    "sdxl-768-step": partial(diffusion.sdxl, 96),
    "sdxl-1024-step": partial(diffusion.sdxl, 128),
}


@cache
def network(key: str) -> OpList:
    """The op list of a network; ``llama-3-8b-decode-N`` and ``llama-3-8b-full-N`` take their context from the key.

    Raises:
        KeyError: a network that nobody described here.
    """
    for prefix, full in (("llama-3-8b-decode-", False), ("llama-3-8b-full-", True)):
        if key.startswith(prefix):
            context = int(key.removeprefix(prefix))
            return _LLAMA_3_8B(context if full else 1, context)
    return _NETWORKS[key]()
