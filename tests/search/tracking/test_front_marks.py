"""Who is marked as a member of the front."""

from palettune.search.results.front import front_of
from palettune.search.tracking.front_marks import FrontMarks
from tests.search.studies import evaluated, study_of


def test_members_and_the_knee_are_marked_and_nobody_else():
    study = study_of()
    records = [evaluated(study) for _ in range(6)]
    front = front_of(records, study.objectives)
    marks = FrontMarks.of(front, "note")
    assert marks.members == {record.trial for record in front.members}
    assert marks.note == "note"
    knee = front.knee().trial
    assert marks.tags(knee) == {"front", "knee"}
    for record in records:
        assert ("front" in marks.tags(record.trial)) == (record.trial in marks.members)
        assert ("knee" in marks.tags(record.trial)) == (record.trial == knee)


def test_an_empty_front_marks_nobody_and_other_tags_are_not_its():
    marks = FrontMarks.of(front_of([], study_of().objectives))
    assert (marks.members, marks.knee, marks.tags(0)) == (frozenset(), None, frozenset())
    assert FrontMarks.held({"front": "true", "exported": "true", "trial": "3"}) == {"front"}
