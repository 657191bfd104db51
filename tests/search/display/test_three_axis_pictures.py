"""Pictures of a front with two costs."""

import pytest

from palettune.search.display.pictures import front_figure, front_png
from palettune.search.display.three_axis_pictures import solid_figure
from palettune.search.results.front import Front
from palettune.search.results.known_latency import KnownLatency
from tests.search.made_up import measured, timed, two_costs

RECORDS = [timed(0, 0.4, 2.0, 0.9), timed(1, 0.1, 4.0, 0.7), timed(2, 0.5, 4.0, 1.0)]
SERIES = {"tpe": ("#9aa5b1", RECORDS)}


def front_with(measurements):
    return Front(tuple(RECORDS[:2]), two_costs(), KnownLatency(None, measurements))


def test_a_front_of_two_costs_is_drawn_in_three_axes():
    figure = front_figure("tiny", RECORDS, front_with({}))
    solid = figure.axes[0]
    assert solid.name == "3d"
    assert solid.get_ylabel() == "predicted latency (ms)"
    assert {points.get_label(): len(points.get_offsets()) for points in solid.collections} == {"tpe": 3, "front": 2}


def test_a_measured_latency_is_drawn_apart_from_the_predicted_one():
    known = front_with({RECORDS[1].configuration.hash: measured(1.5)})
    _, _, by_latency, *_ = (
        axes for axes in solid_figure("tiny", SERIES, known).axes if axes.get_label() != "<colorbar>"
    )
    drawn = {points.get_label(): points.get_offsets().tolist() for points in by_latency.collections}
    assert drawn["measured latency"] == [[1.5, 0.1]]


@pytest.mark.parametrize("measurements", [{}, {RECORDS[1].configuration.hash: measured(1.5)}])
def test_the_figure_shows_the_front_whole_and_along_each_cost(measurements):
    figure = solid_figure("tiny", SERIES, front_with(measurements))
    solid, by_size, by_latency = (axes for axes in figure.axes if axes.get_label() != "<colorbar>")
    assert solid.get_title() == "tiny: 2 on the front"
    assert (by_size.get_xlabel(), by_latency.get_xlabel()) == ("weight file (MB)", "predicted latency (ms)")
    slowest = 1.5 if measurements else 0.9
    low, high = by_latency.get_xlim()
    assert low < 0.7 < slowest < high < slowest + 0.2
    assert by_latency.get_yscale() == "log"
    assert bool(by_latency.get_legend()) == bool(measurements)


def test_it_is_a_png_and_an_empty_front_can_be_drawn():
    assert front_png("tiny", RECORDS, front_with({})).startswith(b"\x89PNG")
    empty = Front((), two_costs())
    assert front_png("tiny", [], empty).startswith(b"\x89PNG")
