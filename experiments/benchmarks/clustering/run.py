"""Time, memory and error of clustering one layer: coremltools' own code and ours, each in a process of its own.

``python -m experiments.benchmarks.clustering.run [--largest WIDTH]`` writes ``result.json`` beside this file. Seconds
are of the processor, on one thread; memory is the growth of the peak over the process with the layer and its
importance loaded; the error is the squared one, weighted where importance is.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CASES = (
    (2048, 6, 1, True),
    (2048, 4, 1, True),
    (1024, 4, 2, False),
    (1024, 4, 2, True),
    (512, 4, 2, False),
    (512, 6, 2, True),
    (512, 8, 4, False),
    (256, 3, 2, False),
)
SIDES = ("coremltools", "ours")


def main() -> None:
    """All cases, side by side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--largest", type=int, default=2048)
    rows = []
    for case in CASES:
        if case[0] <= parser.parse_args().largest:
            theirs, ours = (_in_a_process(side, case) for side in SIDES)
            ratios = {key: round(ours[key] / max(theirs[key], 1e-9), 4) for key in theirs}
            width, bits, vector, weighted = case
            rows.append({
                "layer": f"{width} x {width}", "bits": bits, "vector": vector, "sensitive": weighted,
                "coremltools": theirs, "ours": ours, "ratio": ratios,
            })  # fmt: skip
            print(json.dumps(rows[-1]), flush=True)
    Path(__file__).with_name("result.json").write_text(json.dumps(rows, indent=1) + "\n")


def _in_a_process(side: str, case: tuple[int, int, int, bool]) -> dict[str, float]:
    words = [sys.executable, "-m", "experiments.benchmarks.clustering.run_one", side, *(str(int(x)) for x in case)]
    answer = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def measure(side: str, width: int, bits: int, vector: int, weighted: bool) -> dict[str, Any]:
    """One case in this process."""
    import torch
    from coremltools.optimize.torch._utils.k_means import KMeansConfig, SequentialKMeans
    from torch import nn

    from palettune.evaluators.compression.clustering import BoundedKMeans

    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    weight = torch.randn(width, width) * 0.02 * torch.rand(width, 1)
    importance = None
    if weighted:
        importance = torch.randn(width, width).square_() * torch.rand(1, width) * torch.rand(width, 1)
        importance = (importance / importance.max()).clamp_(min=1e-2)
    module = nn.Sequential(nn.Linear(width, width, bias=False))
    module[0].weight.data = weight.clone()
    config = KMeansConfig(n_bits=bits, cluster_dim=vector if vector > 1 else None, importance=importance)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    {"coremltools": SequentialKMeans, "ours": BoundedKMeans}[side].cluster_weights(module, {"0": {"weight": config}})
    seconds = time.process_time() - began
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    change = (module[0].weight.data - weight).double().square()
    error = float((change if importance is None else change * importance).sum())
    return {"seconds": round(seconds, 2), "megabytes": round(megabytes, 1), "error": error}


if __name__ == "__main__":
    main()
