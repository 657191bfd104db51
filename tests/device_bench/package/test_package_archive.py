import pytest
import torch
from torch import nn

from palettune.device_bench.conversion.conversion import convert
from palettune.device_bench.package.package import PackageError, weights
from palettune.device_bench.package.package_archive import pack, unpack
from palettune.space.target import DeploymentTarget


def test_a_package_arrives_as_it_left_and_damage_is_said(tmp_path):
    sent = tmp_path / "sent.mlpackage"
    convert(nn.Linear(16, 8).eval(), (torch.zeros(1, 16),), DeploymentTarget("iOS18")).save(str(sent))
    data = pack(sent)
    received = unpack(data, tmp_path / "received.mlpackage")
    files = sorted(path.relative_to(sent) for path in sent.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(received) for path in received.rglob("*") if path.is_file())
    assert all((sent / file).read_bytes() == (received / file).read_bytes() for file in files)
    assert [w.name for w in weights(received)] == [w.name for w in weights(sent)]
    for damaged in (data[: len(data) // 2], b"", data[:200] + b"x" + data[201:]):
        with pytest.raises(PackageError, match="no whole package"):
            unpack(damaged, tmp_path / "damaged.mlpackage")
