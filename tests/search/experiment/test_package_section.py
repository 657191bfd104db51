"""The section of texts for people."""

import pytest

from palettune.search.experiment.experiment import Experiment, ExperimentError


def test_texts_are_optional_and_decide_nothing_that_is_searched():
    plain = Experiment(name="x", workload="w.py")
    named = Experiment(name="x", workload="w.py", package={"author": "Ada", "licence": "MIT"})
    assert (plain.package.author, named.package.author) == (None, "Ada")
    assert named.identity() == plain.identity()


def test_a_misspelt_key_is_said_with_the_nearest():
    with pytest.raises(ExperimentError, match=r"package\.license: unknown key; did you mean 'licence'"):
        Experiment(name="x", workload="w.py", package={"license": "MIT"})
