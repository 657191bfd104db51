"""Tables of scores: predictions, errors, files and merging."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from palettune.evaluators.sensitivity.scores import Scores, ScoresError
from palettune.space.configuration import Configuration
from palettune.space.encoding import Encoding

MENU = [Encoding.parse(name) for name in ("fp16", "lut4")]


def test_scores_are_kept_and_read_back(tmp_path):
    columns = (("a", MENU[0]), ("a", MENU[1]), ("b.c", MENU[0]), ("b.c", MENU[1]))
    table = np.array([[0.0, 1.0, 0.5, 2.0], [0.0, 3.0, 0.5, 2.0]])
    scores = Scores("fisher", columns, table, np.sqrt(table), 1.5)
    scores.save(tmp_path / "s" / "scores.safetensors")
    again = Scores.load(tmp_path / "s" / "scores.safetensors")
    assert again.columns == columns
    assert np.array_equal(again.by_sample, table)
    assert again.seconds == 1.5
    configuration = Configuration({"a": MENU[1], "b.c": MENU[0]})
    assert again.predict(configuration) == pytest.approx(2.5)
    assert again.standard_error(configuration) == pytest.approx(np.std([1.5, 3.5], ddof=1) / np.sqrt(2))


@pytest.mark.parametrize("text", [None, b"", b"no scores"])
def test_a_file_that_cannot_be_read_is_named_with_what_to_do(tmp_path, text):
    path = tmp_path / "scores.safetensors"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ScoresError, match=r"scores\.safetensors: .*palettune search EXPERIMENT\.toml"):
        Scores.load(path)


def test_a_score_that_is_not_finite_names_its_layer():
    with pytest.raises(ValueError, match=r"layer 'b' in lut4 is not finite"):
        Scores("fisher", (("a", MENU[0]), ("b", MENU[1])), np.array([[0.0, np.nan]]))


def test_rows_of_another_count_keep_their_means():
    columns = tuple((name, encoding) for name in "ab" for encoding in MENU)
    scores = Scores("fisher", columns, np.zeros((6, 4)), np.zeros((6, 4)), 1.0, ("b",))
    for rows in (2, 4):
        other = Scores("isolated", columns[2:], np.arange(2.0 * rows).reshape(rows, 2))
        found = scores.replaced(other)
        assert found.by_sample[:, 2:].mean(0) == pytest.approx(other.by_sample.mean(0))
        assert not found.by_sample[:, :2].any()


def test_methods_survive_the_disk_and_older_files_tell_what_was_never_reached(tmp_path):
    columns = tuple((name, encoding) for name in "ab" for encoding in MENU)
    table = np.array([[0.0, 0.1, 0.0, 0.0]])
    path = tmp_path / "scores.safetensors"
    whole = Scores("fisher", columns, table, None, 1.0, ("b",))
    whole.replaced(Scores("isolated", columns[2:], np.ones((1, 2)))).save(path)
    again = Scores.load(path)
    assert (again.method_of("a"), again.method_of("b"), again.unreached) == ("fisher", "isolated", ())
    whole.save(path)
    assert Scores.load(path).unreached == ("b",)
    for method, unreached in (("fisher", ("b",)), ("isolated", ())):  # as files were before
        names = "\n".join(f"{encoding}\t{layer}" for layer, encoding in columns)
        save_file({"by_sample": table}, path, {"method": method, "columns": names, "seconds": "1.0"})
        assert Scores.load(path).unreached == unreached
