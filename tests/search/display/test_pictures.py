"""Pictures of fronts and of their encodings: what is drawn, read back from the figure."""

import io

import matplotlib.image
import numpy as np
import pytest

from palettune.evaluators.quality.evaluation import Evaluation, Workflow
from palettune.search.display.pictures import front_figure, front_png, layer_map_png
from palettune.search.results.front import Front, front_of
from tests.search.made_up import LAYERS, OBJECTIVES, TARGET, front, record

RECORDS = [
    record(0, 0.4, 2.0, origin="uniform lut8"),
    record(1, 0.1, 4.0, origin="solved 4.000 MB"),
    record(2, 0.5, 4.0),
    record(3, 0.2, 2.0, origin="escalated from 0", rung="calibration", escalated_from=0),
    record(4, 0.4, 2.0, answered_from=0),
]


def drawn(figure):
    """The points of a figure by their name."""
    (axes,) = figure.axes
    return {points.get_label(): points.get_offsets().tolist() for points in axes.collections}


def pixels(png):
    return matplotlib.image.imread(io.BytesIO(png))


def test_every_trial_is_drawn_once_by_what_proposed_it_and_the_front_over_them():
    figure = front_figure("tiny", RECORDS, front_of(RECORDS, OBJECTIVES))
    points = drawn(figure)
    assert points["uniform"] == [[2.0, 0.4]]
    assert points["solved"] == [[4.0, 0.1]]
    assert points["tpe"] == [[4.0, 0.5]]
    assert points["calibration"] == [[2.0, 0.2]]
    assert points["front"] == [[2.0, 0.2], [4.0, 0.1]]
    assert points["knee"] in ([[2.0, 0.2]], [[4.0, 0.1]])
    (axes,) = figure.axes
    assert axes.get_yscale() == "log"
    assert axes.get_title() == "tiny"
    assert [text.get_text() for text in axes.texts] == ["lut8"]


def test_an_escalation_is_joined_to_what_it_began_from():
    (axes,) = front_figure("tiny", RECORDS, front_of(RECORDS, OBJECTIVES)).axes
    joined = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [line.get_xydata().tolist() for line in joined] == [[[2.0, 0.4], [2.0, 0.2]]]
    (plain,) = front_figure("tiny", RECORDS[:3], front_of(RECORDS[:3], OBJECTIVES)).axes
    assert not [line for line in plain.lines if line.get_linestyle() == ":"]


def test_what_unseen_data_gave_is_drawn_apart():
    members = front()
    seen = members.members[1]
    confirmed = {seen.key: Evaluation(seen.configuration.hash, Workflow.DATA_FREE, 0.6, (0.6,))}
    assert {member.key for member in members} == {seen.key}  # five trials of one configuration
    apart = drawn(front_figure("tiny", list(members), members, confirmed))["front, on unseen data"]
    assert {y for _, y in apart} == {0.6}
    assert "front, on unseen data" not in drawn(front_figure("tiny", list(members), members))


@pytest.mark.parametrize("draw", [front_png, lambda *args: layer_map_png(args[0], LAYERS, args[2], TARGET)])
def test_a_png_is_a_picture_and_follows_what_it_shows(draw):
    members = front()
    other = Front(members.members[:2], OBJECTIVES)
    one, same, changed = (pixels(draw("tiny", list(some), some)) for some in (members, members, other))
    assert one.ndim == 3
    assert min(one.shape[:2]) > 300
    assert np.array_equal(one, same)
    assert one.shape != changed.shape or not np.array_equal(one, changed)


def test_the_layer_map_follows_the_bits_of_its_members():
    first, second = record(0, 0.4, 1.0, encodings=("lut2", "fp16")), record(1, 0.1, 2.0, encodings=("lut8", "fp16"))
    one, other = (
        pixels(layer_map_png("tiny", LAYERS, Front(members, OBJECTIVES), TARGET))
        for members in ((first, second), (first, record(1, 0.1, 2.0, encodings=("lut4", "fp16"))))
    )
    assert one.shape == other.shape
    assert not np.array_equal(one, other)
