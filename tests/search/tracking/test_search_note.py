"""The note of a search."""

from palettune.search.results.front import front_of
from palettune.search.tracking.search_note import search_note
from tests.search.studies import evaluated, evaluation, study_of

RUNGS = {
    "calibration": {"escalations": 4, "loss_taken_away": 0.214, "hypervolume_growth": 0.012, "pays": 1.0},
    "fine_tuning": {"escalations": 5, "loss_taken_away": -0.1, "hypervolume_growth": 0.0, "pays": 0.0},
}


def searched(count=12):
    study = study_of()
    records = [evaluated(study) for _ in range(count)]
    return records, front_of(records, study.objectives)


def test_it_has_the_knee_three_picks_and_their_commands():
    records, front = searched()
    confirmations = {front.knee().key: evaluation(front.knee().configuration, share=9.0)}
    note = search_note(front, len(records), RUNGS, confirmations)
    rows = [line for line in note.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3
    assert rows[0] == "| trial | size | divergence | on unseen data |"
    knee = front.knee().trial
    assert sum(f"| {knee} \\* |" in row for row in rows) == 1
    assert sum("| - |" in row for row in rows) == 2  # not looked at
    assert "palettune export EXPERIMENT.toml --out packages --pick knee" in note
    assert note.count("--pick") == 3
    assert "palettune review EXPERIMENT.toml" in note
    assert f"**{len(front)} members of the front** after {len(records)} evaluations" in note
    assert len(note) < 5000  # MLflow's bound of a tag


def test_it_says_in_sentences_what_each_rung_brought():
    note = search_note(searched()[1], 12, RUNGS, {})
    assert (
        "- calibration: 4 escalations, which took away 21% of the scaled loss on average and grew the hypervolume by 0.012."
        in note
    )
    assert "- fine_tuning: 5 escalations, without a gain: it does not pay here." in note
    assert "on unseen data" not in note


def test_its_commands_are_those_of_the_search():
    note = search_note(searched()[1], 12, {}, {}, "models/x.toml --root 'my runs'")
    assert "palettune review models/x.toml --root 'my runs'    #" in note
    assert "palettune export models/x.toml --root 'my runs' --out packages --pick knee" in note
    assert "EXPERIMENT" not in note


def test_an_empty_front_is_said():
    front = front_of([], study_of().objectives)
    assert search_note(front, 3, {}, {}) == "3 evaluations; none meets the constraints yet."
