"""The comparer of frozen records: says where a run departs, and passes only what reproduces the record."""

import copy
import json
from pathlib import Path

import pytest

from tests.frozen.compare import differences, rows_of

FROZEN = Path(__file__).parent
RECORD = rows_of(FROZEN / "tiny" / "run_folders" / "tiny")


def changed(rung, place, **values):
    found = copy.deepcopy(RECORD)
    found[rung][place] |= values
    return found


def test_a_run_folder_is_read_rung_by_rung():
    assert {rung: len(rows) for rung, rows in RECORD.items()} == {"data_free": 10, "calibration": 1, "fine_tuning": 1}
    assert [row["origin"] for row in RECORD["data_free"]] == ["uniform"] * 5 + ["solved"] * 4 + ["guided"]
    (calibrated,) = RECORD["calibration"]
    source = RECORD["data_free"][2]
    assert calibrated["escalated_from"] == f"data_free {source['configuration']}"
    assert calibrated["size_mb"] == source["size_mb"]
    assert differences(RECORD, copy.deepcopy(RECORD)) == []


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (changed("data_free", 3, configuration="other"), ["data_free 3: configuration was"]),
        (
            changed("data_free", 3, divergence=RECORD["data_free"][3]["divergence"] * 1.0002),
            ["data_free 3: divergence"],
        ),
        (changed("calibration", 0, escalated_from="data_free other"), ["calibration 0: escalated_from was"]),
        ({**RECORD, "fine_tuning": []}, ["fine_tuning: 1 evaluations were made, 0 are"]),
        ({**RECORD, "new": []}, ["new: not in the record"]),
        (changed("data_free", 3, divergence=RECORD["data_free"][3]["divergence"] * 1.00001), []),
    ],
)
def test_what_departs_is_said(now, words):
    found = differences(RECORD, now)
    assert len(found) == len(words)
    assert all(said.startswith(expected) for said, expected in zip(found, words, strict=True))


@pytest.mark.parametrize(("name", "counts"), [("efficientnet_lite0", (48, 4)), ("fashion_mnist", (60, 24, 6))])
def test_the_records_of_the_demos_are_there(name, counts):
    record = json.loads((FROZEN / f"{name}_trials.json").read_text())
    assert tuple(len(rows) for rows in record.values()) == counts
    assert all("divergence" in row and "configuration" in row for rows in record.values() for row in rows)
