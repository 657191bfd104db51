"""Content hashes of tensors and files."""

import torch

from palettune.evaluators.weights.content_hash import checksum, raw_bytes, tensors_digest
from palettune.evaluators.weights.weight_bank import weight_digest


def test_the_digest_sees_values_shape_and_type():
    weight = torch.arange(6.0)
    digests = {weight_digest(weight), weight_digest(weight.reshape(2, 3)), weight_digest(weight.half())}
    changed = weight.clone()
    changed[3] += 1e-6
    assert len({*digests, weight_digest(changed)}) == 4


def test_memory_layout_does_not_count():
    values = torch.randn(4, 6)
    transposed = values.t().contiguous().t()
    assert raw_bytes(values) == raw_bytes(transposed)
    assert tensors_digest([values]) == tensors_digest([transposed])
    assert tensors_digest([values, values[:2]]) != tensors_digest([values[:2], values])


def test_a_checksum_changes_with_any_byte_and_is_short_enough_for_a_name():
    data = bytes(range(256))
    assert checksum(data) == checksum(bytes(range(256)))
    assert checksum(data) != checksum(data[:-1] + b"\x00")
    assert len(checksum(data)) == 16
