"""Constants in a package's weight file and their bytes.

Measured on coremltools 9.0 (``converters/mil/backend/mil/load.py``, ``helper.py`` and the blob storage writer):

* the file opens with a header of 64 bytes; each constant is a metadata record of 64 bytes, then its data;
* every record and all data start at a multiple of 64 bytes, and nothing is padded after the last data;
* elements narrower than a byte are packed, the last byte filled up;
* a constant of fewer than 10 elements stays inside the program (``should_use_weight_file``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["ALIGNMENT", "FILE_HEADER", "Blob", "file_bytes"]

ALIGNMENT = 64
FILE_HEADER = 64
_RECORD = 64
_FEWEST_ELEMENTS = 10


@dataclass(frozen=True, slots=True)
class Blob:
    """One constant: a number of elements of a number of bits each."""

    elements: int
    bits: int

    @property
    def in_file(self) -> bool:
        """Whether the constant lies in the weight file; small ones stay inside the program."""
        return self.elements >= _FEWEST_ELEMENTS

    @property
    def data_bytes(self) -> int:
        """Bytes of the data alone; zero inside the program."""
        return math.ceil(self.elements * self.bits / 8) if self.in_file else 0

    @property
    def bytes(self) -> int:
        """Bytes with record and alignment; zero inside the program."""
        return _RECORD + math.ceil(self.data_bytes / ALIGNMENT) * ALIGNMENT if self.in_file else 0


def file_bytes(blobs: Iterable[Blob]) -> int:
    """Return the bytes of a weight file that holds these constants, in the order they are written; 0 without any."""
    written = [blob for blob in blobs if blob.in_file]
    if not written:
        return 0
    return FILE_HEADER + sum(blob.bytes for blob in written) - (-written[-1].data_bytes % ALIGNMENT)
