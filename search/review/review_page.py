"""The page of a review: its parts and its data as one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import tempfile
from collections.abc import Mapping
from html import escape
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from palettune.search.review.review_data import review_data
from palettune.search.review.review_source import ReviewSource
from palettune.space.errors import UserError

__all__ = ["review_html", "write_review"]

_PAGE = "page.html"
_TITLE = "<title>Palettune</title>"
_DATA = '<script id="data" type="application/gzip;base64"></script>'
_STYLE = re.compile(r'<link\b(?=[^>]*\brel="stylesheet")[^>]*\bhref="(?P<file>[^"]+)"[^>]*>')
_SCRIPT = re.compile(r'<script\b(?P<before>[^>]*?)\s+src="(?P<file>[^"]+)"(?P<after>[^>]*)></script>')


def write_review(source: ReviewSource, path: Path) -> None:
    """Write the page of a search, atomically: who has it open reads the former one or the new one.

    Raises:
        UserError: it cannot be written there.
    """
    text = review_html(review_data(source))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(
            f"{path}: the review cannot be written there ({error.strerror}); --out names another file"
        ) from error


def review_html(data: Mapping[str, Any], parts: Traversable | None = None) -> str:
    """Join the page's parts and its data.

    Args:
        data: of ``review_data``.
        parts: the folder of ``page.html`` and of what it refers to; the one that ships with the package unless given.
    """
    folder = parts or resources.files("palettune.search.review") / "page"
    text = (folder / _PAGE).read_text(encoding="utf-8")
    text = _STYLE.sub(lambda found: f"<style>\n{_part(folder, found['file'], '</style')}\n</style>", text)
    text = _SCRIPT.sub(lambda found: _script(folder, found), text)
    for place in (_TITLE, _DATA):
        if text.count(place) != 1:
            raise ValueError(f"{_PAGE}: expected {place} once, found it {text.count(place)} times")
    text = text.replace(_TITLE, f"<title>{escape(str(data['name']))} · Palettune</title>")
    return text.replace(_DATA, _DATA.replace("></", f">{_packed(data)}</"))


def _packed(data: Mapping[str, Any]) -> str:
    plain = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return base64.b64encode(gzip.compress(plain.encode(), 9, mtime=0)).decode()


def _script(folder: Traversable, found: re.Match[str]) -> str:
    body = _part(folder, found["file"], "</script")
    return f"<script{found['before']}{found['after']}>\n{body}\n</script>"


def _part(folder: Traversable, name: str, forbidden: str) -> str:
    """The text of one part, which may not end the element that it is put into."""
    text = folder.joinpath(*name.split("/")).read_text(encoding="utf-8")
    if forbidden in text.lower():
        raise ValueError(f"{name}: holds {forbidden!r}, which would end it within the page")
    return text
