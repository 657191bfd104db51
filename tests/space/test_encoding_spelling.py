"""The grammar of encodings."""

from __future__ import annotations

import pickle

import pytest

from palettune.space.encoding import Encoding, EncodingError
from palettune.space.encoding_spelling import common_spellings


@pytest.mark.parametrize("spelling", list(common_spellings()))
def test_spelling_comes_back(spelling: str) -> None:
    encoding = Encoding.parse(spelling)
    assert str(encoding) == spelling
    assert pickle.loads(pickle.dumps(encoding)) == encoding
    assert hash(Encoding.parse(spelling.upper())) == hash(encoding)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("lut44", "bits of a table must be one of"),
        ("lutt4", "did you mean 'lut4'"),
        ("int5", "bits of an integer"),
        ("sparse100", "between 1 and 99"),
        ("sparse4:2", "0 < n < m"),
        ("sparse50+fp16", "write 'sparse50' alone"),
        ("lut4-v2-scaled", "with both '-v2' and '-scaled'"),
        ("lut4-v2-int8", "with both"),
        ("lut4-int8-scaled", "with both"),
        ("sparse50+lut4-v2", "no sparse weight with"),
        ("sparse50+lut4-int8", "no sparse weight with"),
        ("int4-b1x32", "written '-b32'"),
        ("lut4-g16in-v2", "same axis"),
        ("lut4-g0", "at least 1"),
        ("lut4+int8", "not an encoding"),
    ],
)
def test_misspelling_says_what_is_wrong(wrong: str, said: str) -> None:
    with pytest.raises(EncodingError, match=said):
        Encoding.parse(wrong)
