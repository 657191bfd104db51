"""What the pages hold: fenced blocks, inline code, links and headings.

A block that cannot run carries a comment on the line before it, which readers of the rendered page do not see::

    <!-- not run: needs a Mac -->
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(?P<fence>`{3,}) ?(?P<info>.*)$")
_MARK = re.compile(r"^<!-- not run: (?P<reason>.+) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it is, its language, its file name (``title="..."``), and why it is not run."""

    page: Path
    line: int
    language: str
    title: str
    text: str
    not_run: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page for readers: those at the top, the site's, and the READMEs of experiments and field tests."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "experiments").rglob("README.md")]
    return sorted([*found, ROOT / "tests" / "field" / "README.md"])


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    found: list[Block] = []
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        if opened is None:
            number += 1
            continue
        end = next(i for i in range(number + 1, len(lines)) if lines[i] == opened["fence"])
        language, _, rest = opened["info"].partition(" ")
        title = re.search(r'title="([^"]+)"', rest)
        mark = _MARK.match(lines[number - 1]) if number else None
        text = "\n".join(lines[number + 1 : end]) + "\n"
        reason = mark["reason"] if mark else ""
        found.append(Block(page, number + 1, language, title[1] if title else "", text, reason))
        number = end + 1
    return found


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    kept, fence = [], ""
    for line in page.read_text(encoding="utf-8").splitlines():
        opened = _FENCE.match(line)
        if fence:
            fence = "" if line == fence else fence
        elif opened:
            fence = opened["fence"]
        else:
            kept.append(line)
    return "\n".join(kept)


def spans(page: Path) -> list[str]:
    """All inline code of a page, on one line each; ``\\|``, as tables need it, is ``|``."""
    paragraphs = re.split(r"\n\n|\n(?=[|#-])", prose(page))
    found = [span for text in paragraphs for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
    return [" ".join(span.split()).replace("\\|", "|") for span in found]


def links(page: Path) -> list[tuple[str, str]]:
    """Target and anchor of every link to a file."""
    found = re.findall(r"\]\(([^)\s#]*)(?:#([^)\s]*))?\)", prose(page))
    return [(target, anchor) for target, anchor in found if "://" not in target]


def anchors(page: Path) -> set[str]:
    """The anchors that headings of a page have, on code hosts and on the site alike."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()).strip() for heading in headings]
    return {re.sub(r"[ ]", "-", word) for word in words}
