"""What SparseGPT is tried on."""

from torch import nn

from palettune.device_bench.model.module_layers import layers_of
from palettune.evaluators.calibration.sparse_gpt import SparseGPTMethod
from palettune.space.encoding import Encoding


def test_sparse_gpt_knows_what_it_cannot_do():
    grouped, spatial = (layers_of(nn.Sequential(m))[0] for m in (nn.Conv1d(8, 8, 3, groups=2), nn.Conv1d(8, 8, 3)))
    assert not SparseGPTMethod.applies(grouped, Encoding.parse("sparse50"))
    assert SparseGPTMethod.applies(spatial, Encoding.parse("sparse50"))
