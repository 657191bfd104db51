"""Workload files by their text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palettune.search.experiment.workload_file import workload_digest


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_files_have_the_same_digest_where_their_text_is_the_same_and_only_there(tmp_path_factory, one, other):
    folder = tmp_path_factory.mktemp("files")
    (folder / "one.py").write_bytes(one)
    (folder / "other.py").write_bytes(other)
    assert (workload_digest(folder / "one.py") == workload_digest(folder / "other.py")) == (one == other)


def test_it_is_the_one_that_studies_of_before_hold(tmp_path):
    (tmp_path / "workload.py").write_text("def model():\n    return None\n")
    assert workload_digest(tmp_path / "workload.py") == "a96d777d24cd5de46d6f8cd208e4f8c6"


def test_a_file_that_is_not_there_raises_what_the_system_says(tmp_path):
    with pytest.raises(FileNotFoundError):
        workload_digest(tmp_path / "nothing.py")
