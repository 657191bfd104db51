"""Plants faults in random small networks and counts those that are found by their name, and sound ones refused.

python experiments/benchmarks/planted_faults/run.py --count 200
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[3]))

from experiments.benchmarks.planted_faults.networks import Fault

HERE = Path(__file__).parent
FAULTS = [fault for fault in Fault if fault is not Fault.NONE]


def one(case: tuple[int, str]) -> tuple[str, int, str | None]:
    """One network: its fault, its seed and what went wrong, if anything did."""
    import logging

    import torch

    from experiments.benchmarks.planted_faults.faults import look

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    seed, fault = case
    try:
        return fault, seed, look(seed, Fault(fault))
    except Exception:
        return fault, seed, traceback.format_exc()[-800:]


def main() -> None:
    """Look at ``--count`` networks with a fault and as many without; write and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    faulty = [(seed, FAULTS[seed % len(FAULTS)].value) for seed in range(arguments.count)]
    cases = [*faulty, *((seed, Fault.NONE.value) for seed in range(arguments.count))]
    began, tried, wrong = time.monotonic(), Counter[str](), []
    with ProcessPoolExecutor(arguments.processes) as pool:
        for fault, seed, problem in pool.map(one, cases):
            tried[fault] += 1
            if problem is not None:
                wrong.append({"fault": fault, "seed": seed, "problem": problem})
                print(f"{fault}, seed {seed}: {problem}", flush=True)
    missed = Counter(item["fault"] for item in wrong)
    found = {fault: {"networks": count, "right": count - missed[fault]} for fault, count in sorted(tried.items())}
    result = {"faults": found, "wrong": wrong, "seconds": round(time.monotonic() - began)}
    (HERE / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    for fault, counts in found.items():
        print(f"{fault}: {counts['right']} of {counts['networks']}")


if __name__ == "__main__":
    main()
