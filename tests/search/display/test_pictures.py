"""Pictures of fronts and of their encodings: what is drawn, read back from the page."""

import base64
import io
import json
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.display.pictures import front_page, front_png, layer_map_page, layer_map_png
from palettune.search.results.front import Front, front_of
from palettune.space.configuration import Precision
from tests.search.made_up import LAYERS, OBJECTIVES, TARGET, front, record


def plotted(page):
    """The traces of a page by name, those without one by their number, and the layout."""
    start = page.index("[", page.rindex("Plotly.newPlot("))
    decoder = json.JSONDecoder()
    traces, end = decoder.raw_decode(page, start)
    layout, _ = decoder.raw_decode(page, page.index("{", end))
    return {trace.get("name", number): trace for number, trace in enumerate(traces)}, layout


def figures(values):
    """A sequence, as plotly spells it: a list, or numbers in base 64."""
    if isinstance(values, list):
        return values
    found = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return found.reshape([int(size) for size in values.get("shape", str(len(found))).split(",")]).tolist()


def pixels(png):
    return matplotlib.image.imread(io.BytesIO(png))


RECORDS = [
    record(0, 0.4, 2.0, origin="uniform lut8"),
    record(1, 0.1, 4.0, origin="solved 4.000 MB"),
    record(2, 0.5, 4.0),
    record(3, 0.2, 2.0, origin="escalated from 0", rung="calibration", escalated_from=0),
    record(4, 0.4, 2.0, answered_from=0),
]


def test_every_trial_is_drawn_once_by_what_proposed_it_and_the_front_over_them():
    members = front_of(RECORDS, OBJECTIVES)
    traces, layout = plotted(front_page("tiny", RECORDS, members))
    drawn = {name: figures(trace["y"]) for name, trace in traces.items() if isinstance(name, str)}
    assert drawn == {"uniform": [0.4], "solved": [0.1], "tpe": [0.5], "calibration": [0.2], "front": [0.2, 0.1]}
    assert figures(traces["front"]["x"]) == [2.0, 4.0]
    assert layout["title"]["text"] == "tiny: 2 configurations on the front"
    assert layout["yaxis"]["type"] == "log"
    assert "trial 3" in traces["front"]["text"][0]
    assert f"configuration {RECORDS[3].configuration.hash}" in traces["front"]["text"][0]


def test_an_escalation_is_joined_to_what_it_began_from():
    traces, _ = plotted(front_page("tiny", RECORDS, front_of(RECORDS, OBJECTIVES)))
    (joined,) = (trace for trace in traces.values() if trace["mode"] == "lines")
    assert (figures(joined["x"]), figures(joined["y"])) == ([2.0, 2.0], [0.4, 0.2])
    assert joined["line"]["color"] == traces["calibration"]["marker"]["color"]
    plain, _ = plotted(front_page("tiny", RECORDS[:3], front_of(RECORDS[:3], OBJECTIVES)))
    assert not [trace for trace in plain.values() if trace["mode"] == "lines"]


def test_what_unseen_data_gave_is_drawn_apart():
    members = front()
    seen = members.members[1]
    confirmed = {seen.key: Evaluation(seen.configuration.hash, Workflow.DATA_FREE, 0.6, (0.6,))}
    assert {member.key for member in members} == {seen.key}  # five trials of one configuration
    traces, _ = plotted(front_page("tiny", list(members), members, confirmed))
    assert set(figures(traces["front, on unseen data"]["y"])) == {0.6}
    assert "front, on unseen data" not in plotted(front_page("tiny", list(members), members))[0]


@pytest.mark.parametrize("draw", [front_png, lambda *args: layer_map_png(args[0], LAYERS, args[2], TARGET)])
def test_a_png_is_a_picture_and_follows_what_it_shows(draw):
    members = front()
    other = Front(members.members[:2], OBJECTIVES)
    one, same, changed = (pixels(draw("tiny", list(some), some)) for some in (members, members, other))
    assert one.ndim == 3
    assert min(one.shape[:2]) > 300
    assert np.array_equal(one, same)
    assert one.shape != changed.shape or not np.array_equal(one, changed)


def test_the_layer_map_has_a_row_for_each_layer_and_a_column_for_each_member_in_bits_per_weight():
    first, second = record(0, 0.4, 1.0, encodings=("lut2", "fp16")), record(1, 0.1, 2.0, encodings=("lut8", "fp16"))
    traces, layout = plotted(layer_map_page("tiny", LAYERS, Front((first, second), OBJECTIVES), TARGET))
    (heat,) = traces.values()
    bits = np.array(figures(heat["z"]))
    assert bits.shape == (2, 2)
    assert 2 < bits[0, 0] < 3
    assert 8 < bits[0, 1] < 10
    assert bits[1].tolist() == [16, 16]
    assert heat["y"] == ["l0 (64, 64)", "l1 (64, 64)"]
    assert heat["x"][1].endswith("trial 1")
    assert layout["yaxis"]["autorange"] == "reversed"


def test_inputs_in_8_bits_are_in_the_map():
    member = record(0, 0.4, 1.0)
    rounded = type(member.configuration)(member.configuration.encodings, {"l0": Precision.INT8})
    members = Front((replace(member, configuration=rounded),), OBJECTIVES)
    traces, _ = plotted(layer_map_page("tiny", LAYERS, members, TARGET))
    assert traces[0]["text"] == [["lut8, input in 8 bits"], ["lut4"]]
