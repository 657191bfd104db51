"""The search's own run in MLflow, found again when the search is over."""

import pytest

from palettune.search.tracking.parent_run import log_review, parent_run
from palettune.search.tracking.tracking import Tracker
from palettune.search.tracking.tracking_store import TrackingError
from tests.search.tracking.test_tracking import log


@pytest.fixture
def folder(stored):
    """A search of one trial in the run folder's own store."""
    tracker = Tracker(stored, None, "search")
    log(tracker, range(1))
    tracker.finish("FINISHED", "done")
    return stored


def test_the_run_is_that_of_the_search_and_no_trials(folder):
    with parent_run(folder, None, "search") as (client, run):
        assert run.data.tags["search_id"] == "search"
        assert client.get_run(run.info.run_id).info.status == "FINISHED"


def test_another_search_has_none_there(folder):
    with pytest.raises(TrackingError, match="no run of this search there"), parent_run(folder, None, "other"):
        pass


def test_what_goes_wrong_meanwhile_names_the_store(folder):
    with pytest.raises(TrackingError, match=r"sqlite.*: the disk is full"), parent_run(folder, None, "search"):
        raise OSError("the disk is full")


def test_the_page_is_the_one_of_now(folder):
    for text in ("before", "now"):
        folder.review.write_text(text)
        log_review(folder, None, "search")
    with parent_run(folder, None, "search") as (client, run):
        (page,) = (item.path for item in client.list_artifacts(run.info.run_id) if item.path.endswith(".html"))
        with open(client.download_artifacts(run.info.run_id, page)) as held:
            assert held.read() == "now"
