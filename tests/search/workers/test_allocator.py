"""Freed memory: page faults of a process that allocates the same large tensors again and again."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from palettune.search.workers.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(32, 2**20).sum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(min(faults() for _ in range(10)))  # the heap needs a few rounds to grow to what is needed
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone gives freed memory back at once")
@pytest.mark.slow
def test_large_blocks_are_not_faulted_in_again():
    def faults(how):
        ended = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
        return int(ended.stdout)

    assert faults("keep") < faults("default") / 10
