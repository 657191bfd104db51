"""Sections of an experiment file."""

import pytest
from pydantic import ValidationError

from palettune.search.experiment.section import Section


class Given(Section):
    """A section with one key."""

    count: int = 3


def test_unknown_keys_are_refused():
    assert Given.model_validate({"count": 4}).count == 4
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Given.model_validate({"counts": 4})


def test_nothing_changes_after_reading():
    section = Given()
    with pytest.raises(ValidationError, match="frozen"):
        section.count = 4
    assert section.count == 3
    assert {Given(): "a key"}[Given(count=3)] == "a key"
