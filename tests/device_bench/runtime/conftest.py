"""A saved network beside its module, for the tests that compare the two."""

import pytest
import torch

from tests.device_bench.runtime.support.architectures import ARCHITECTURES, randomized, save_module


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    torch.manual_seed(0)
    make, example = ARCHITECTURES["branches"]
    module = randomized(make())
    path = save_module(module, example(), tmp_path_factory.mktemp("pair") / "net.mlpackage")
    return path, module, [(torch.cat([example(), example()]),), (example(),)]
