"""A run as a notebook shows it: the picture of its front, and the members in a table."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from palettune.search.display.pictures import front_png
from palettune.search.results.front import Front
from palettune.search.study.record import Record

__all__ = ["front_image", "run_html"]


def front_image(name: str, records: Sequence[Record], front: Front) -> str:
    """Return the picture of the front as an HTML image; empty while there is nothing to draw."""
    if not front.members:
        return ""
    data = base64.b64encode(front_png(name, records, front, front.confirmations)).decode()
    return f'<img alt="front of {escape(name)}" style="max-width: 720px" src="data:image/png;base64,{data}">'


def run_html(name: str, records: Sequence[Record], front: Front) -> str:
    """Return a picture and a table of a front, as HTML."""
    return f"<p>{escape(name)}: {len(records)} evaluations</p>{front_image(name, records, front)}{front._repr_html_()}"
