"""One case of the clustering benchmark, for a process of its own."""

from __future__ import annotations

import json
import sys

from experiments.benchmarks.clustering.run import measure

if __name__ == "__main__":
    width, bits, vector, weighted = map(int, sys.argv[2:])
    print(json.dumps(measure(sys.argv[1], width, bits, vector, bool(weighted))))
