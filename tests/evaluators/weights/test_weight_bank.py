"""The bank keeps what it is given, shares it, and notices damage."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.space.encoding import Encoding
from palettune.space.layer import Layer, LayerKind

LAYER = Layer("fc", LayerKind.LINEAR, (4, 6))
LUT4 = Encoding.parse("lut4")


def entry(seed=0, half=True):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(4, 6, generator=generator)
    return CompressedWeight(
        weight.half().float() if half else weight, {"lut": torch.randn(1, 1, 16, 1), "n": torch.tensor([3])}
    )


def same(a, b):
    return (
        torch.equal(a.weight, b.weight)
        and a.buffers.keys() == b.buffers.keys()
        and all(torch.equal(a.buffers[k], b.buffers[k]) for k in a.buffers)
    )


@pytest.mark.parametrize("half", [True, False])
def test_entries_come_back_as_they_were_also_in_another_run(tmp_path, half):
    bank = WeightBank(tmp_path / "a")
    key = bank.key("digest", LAYER, LUT4, "data_free")
    assert bank.get(key) is None
    kept = entry(half=half)
    bank.put(key, kept)
    assert same(bank.get(key), kept)
    assert same(WeightBank(tmp_path / "a").get(key), kept)
    other = WeightBank(tmp_path / "b", [tmp_path / "a"])
    assert key in other
    assert same(other.obtain(key, lambda: pytest.fail("built again")), kept)


def test_an_entry_written_by_another_worker_is_seen(tmp_path):
    first, second = WeightBank(tmp_path), WeightBank(tmp_path)
    key = first.key("digest", LAYER, LUT4, "data_free")
    first.put(key, entry())
    assert same(second.get(key), entry()) or second.get(key) is not None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_any_flipped_byte_is_noticed_and_the_entry_built_again(tmp_path_factory, position, flip):
    bank = WeightBank(tmp_path_factory.mktemp("bank"))
    key = bank.key("digest", LAYER, LUT4, "data_free")
    bank.put(key, entry())
    path = next(bank.folder.glob("??/*.safetensors"))
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= flip
    path.write_bytes(bytes(data))
    assert bank.verify([key]) == [key]
    assert bank.damaged == [path]
    rebuilt = bank.obtain(key, entry)
    assert torch.equal(rebuilt.weight, entry().weight)
    assert bank.verify([key]) == []


def test_everything_that_determines_a_weight_is_in_the_key(tmp_path):
    bank = WeightBank(tmp_path)
    keys = {
        bank.key("digest", LAYER, LUT4, "data_free"),
        bank.key("other", LAYER, LUT4, "data_free"),
        bank.key("digest", LAYER, Encoding.parse("lut6"), "data_free"),
        bank.key("digest", LAYER, LUT4, "calibration"),
        bank.key("digest", LAYER, LUT4, "data_free", {"seed": 1}),
        bank.key("digest", Layer("fc", LayerKind.EMBEDDING, (4, 6)), LUT4, "data_free"),
    }
    assert len(keys) == 6
    renamed = Layer("elsewhere", LayerKind.LINEAR, (4, 6))
    assert bank.key("digest", renamed, LUT4, "data_free") in keys  # the same weight under another name is shared


@pytest.mark.parametrize("read", ["get", "verify", "obtain"])
@pytest.mark.parametrize("loss", ["file", "folder"])
def test_a_file_that_another_process_removed_is_built_again_and_not_called_damaged(tmp_path, read, loss):
    bank = WeightBank(tmp_path / "b", [tmp_path / "a"])
    other = WeightBank(tmp_path / "a")
    key = bank.key("digest", LAYER, LUT4, "data_free")
    other.put(key, entry())
    bank = WeightBank(tmp_path / "b", [tmp_path / "a"])
    (path,) = other.folder.glob("??/*.safetensors")
    shutil.rmtree(other.folder) if loss == "folder" else path.unlink()
    if read == "get":
        assert bank.get(key) is None
    if read == "verify":
        assert bank.verify([key]) == [key]
    assert bank.damaged == []
    assert torch.equal(bank.obtain(key, entry).weight, entry().weight)
    assert bank.verify([key]) == []


@pytest.mark.parametrize("read", ["get", "verify"])
@pytest.mark.parametrize("content", [b"", b"not safetensors"])
def test_a_damaged_file_of_another_run_is_listed_and_left_to_it(tmp_path, read, content):
    other = WeightBank(tmp_path / "a")
    key = other.key("digest", LAYER, LUT4, "data_free")
    other.put(key, entry())
    (path,) = other.folder.glob("??/*.safetensors")
    path.write_bytes(content)
    bank = WeightBank(tmp_path / "b", [tmp_path / "a"])
    assert (bank.get(key) is None) if read == "get" else (bank.verify([key]) == [key])
    assert bank.damaged == [path]
    assert path.read_bytes() == content  # its own run finds it, says it, and mends it
    assert torch.equal(bank.obtain(key, entry).weight, entry().weight)
    assert [p.parent.parent for p in bank.folder.glob("??/*.safetensors")] == [bank.folder]
    again = WeightBank(tmp_path / "b", [tmp_path / "a"])  # the good one of this run comes first
    assert again.verify([key]) == []
    assert again.damaged == []


def test_an_entry_rebuilt_by_another_worker_after_damage_is_found(tmp_path):
    first = WeightBank(tmp_path)
    key = first.key("digest", LAYER, LUT4, "data_free")
    first.put(key, entry())
    (path,) = first.folder.glob("??/*.safetensors")
    good = path.read_bytes()
    path.write_bytes(good[:-3])
    assert first.get(key) is None
    assert not path.exists()
    path.write_bytes(good)  # under the same name: it is named by its content
    assert first.verify([key]) == []


def test_a_bank_that_loses_a_part_while_it_is_listed_opens(tmp_path, monkeypatch):
    bank = WeightBank(tmp_path / "a")
    keys = [bank.key(str(n), LAYER, LUT4, "data_free") for n in range(6)]
    for key in keys:
        bank.put(key, entry())
    listdir = os.listdir

    def racing(folder):
        names = listdir(folder)
        if Path(folder) == bank.folder:
            shutil.rmtree(bank.folder / sorted(names)[0])
        return names

    monkeypatch.setattr(os, "listdir", racing)
    found = WeightBank(tmp_path / "b", [tmp_path / "a"])
    monkeypatch.undo()
    assert 0 < len(found.verify(keys)) < len(keys)
    assert found.damaged == []
