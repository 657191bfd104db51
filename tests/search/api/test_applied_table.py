"""What applying a configuration gave, in a terminal."""

import io

from rich.console import Console

from palettune.search.api.applied_table import applied_table
from tests.search.api.made_up_applied import applied


def lines_of(found):
    printed = io.StringIO()
    Console(file=printed, width=70).print(applied_table(found), soft_wrap=True)
    return [line.replace("│", " ").split() for line in printed.getvalue().splitlines()]


def test_each_figure_has_a_row_with_both_weights_and_the_difference():
    lines = lines_of(applied())
    assert ["divergence", "0.2500", "0.5000", "+0.25"] in lines
    assert ["size_mb", "2.0000", "2.0000", "+0"] in lines
    assert ["top1", "0.8000", "0.7500", "-0.05"] in lines
    assert ["former:", "trial", "3", "of", "runs/old,", "data_free"] in lines


def test_what_is_not_known_is_a_dash():
    lines = lines_of(applied(former=None))
    assert ["divergence", "-", "0.5000", "-"] in lines
    assert not any("former:" in line for line in lines)
