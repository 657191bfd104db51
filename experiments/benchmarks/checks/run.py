"""Seconds of the run in fp16 before a search, beside those of preparation, on the ready-made experiments.

python experiments/benchmarks/checks/run.py
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")
ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

EXPERIMENTS = ("efficientnet_lite0", "minilm")


def main() -> None:
    """Print and write the seconds and what was found."""
    from palettune.search.experiment.experiment import load_experiment
    from palettune.search.preparation.fp16_check import run_in_fp16
    from palettune.search.preparation.preparation import prepare

    results = {}
    for name in EXPERIMENTS:
        began = time.perf_counter()
        preparation = prepare(load_experiment(ROOT / "experiments" / name / "experiment.toml"))
        prepared = time.perf_counter() - began
        run = run_in_fp16(preparation)
        results[name] = {
            "preparation_s": round(prepared, 1),
            "fp16_run_s": round(run.seconds, 1),
            "ratio": round(run.seconds / prepared, 2),
            "samples": run.check.samples,
            "loss": run.check.loss,
        }
        print(name, results[name], flush=True)
    Path(__file__).with_name("result.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
