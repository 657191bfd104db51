"""Blobs: records, alignment and the end of a file."""

from __future__ import annotations

import pytest

from palettune.space.blob import Blob, file_bytes


@pytest.mark.parametrize(
    ("elements", "bits", "size"),
    [
        (9, 16, 0),
        (10, 16, 128),
        (32, 16, 128),
        (33, 16, 192),
        (10, 1, 128),
        (512, 1, 128),
        (513, 1, 192),
        (171, 3, 192),
    ],
)
def test_a_blob_has_a_record_and_is_aligned(elements: int, bits: int, size: int) -> None:
    assert Blob(elements, bits).bytes == size


def test_a_file_has_a_header_and_does_not_pad_its_end() -> None:
    assert file_bytes([Blob(10, 16), Blob(3, 16), Blob(10, 16)]) == 64 + 128 + 64 + 20
    assert file_bytes([Blob(3, 16)]) == 0
