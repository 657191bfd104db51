"""What the journeys of all cases leave out."""

import pytest


@pytest.fixture(autouse=True)
def _without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no pictures: they have tests of their own, and would take a second in each of 75 cases."""
    monkeypatch.setattr("palettune.search.loop.session.artifacts", lambda history: {})
