"""torchvision and torchaudio beside a torch without CUDA.

The wheels that both publish for Linux are built for CUDA: their compiled parts do not load where torch has none, and
importing them fails. The networks are plain torch and need nothing of the compiled parts.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import types

import torch

__all__ = ["make_importable"]


@functools.cache
def make_importable() -> torch.library.Library | None:
    """Make both packages importable where they are installed; returns what has to be kept."""
    kept = None
    if importlib.util.find_spec("torchvision") is not None:
        try:
            importlib.import_module("torchvision")
        except RuntimeError:  # it describes an op of its own that is not there
            forget("torchvision")
            kept = torch.library.Library("torchvision", "DEF")
            kept.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            kept.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    if importlib.util.find_spec("torchaudio") is not None:
        try:
            importlib.import_module("torchaudio")
        except OSError:
            forget("torchaudio")
            sys.modules["torchaudio._extension"] = empty_extension()
    return kept


def forget(package: str) -> None:
    """Forget a package that has been imported in part."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def empty_extension() -> types.ModuleType:
    extension = types.ModuleType("torchaudio._extension")
    found = {"_IS_TORCHAUDIO_EXT_AVAILABLE": False, "_IS_ALIGN_AVAILABLE": False, "fail_if_no_align": lambda call: call}
    extension.__dict__.update(found)
    return extension
