"""Hooks of the documentation site: files of the repository that are not under ``docs/`` become part of it.

README, CONTRIBUTING and CHANGELOG are pages of their own. Any other file that a page links to (an experiment's README,
a script, a picture) is copied under ``repository/``. Links are written for readers of the repository, relative to the
page's own file, and are turned into links of the site here.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
OUTSIDE = "repository/"


def in_site(path: str) -> str:
    """The place in the site of a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return PAGES.get(path, OUTSIDE + path)


def in_repository(uri: str) -> str:
    """The file of the repository that a page of the site was made from."""
    if uri.startswith(OUTSIDE):
        return uri.removeprefix(OUTSIDE)
    return {site: path for path, site in PAGES.items()}.get(uri, f"docs/{uri}")


def linked(path: str) -> set[str]:
    """The files of the repository that a page links to."""
    text = (ROOT / path).read_text(encoding="utf-8")
    targets = (posixpath.normpath(posixpath.join(posixpath.dirname(path), found[2])) for found in LINK.finditer(text))
    return {target for target in targets if (ROOT / target).is_file()}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages at the top of the repository, and what any page links to outside ``docs/``."""
    waiting = [*PAGES, *(in_repository(file.src_uri) for file in files if file.is_documentation_page())]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        if not path.startswith("docs/"):
            files.append(File.generated(config, in_site(path), abs_src_path=str(ROOT / path)))
        new = linked(path) - seen if path.endswith(".md") else set()
        seen |= new
        waiting += new
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links of the repository into links of the site."""
    here = in_repository(page.file.src_uri)

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), found[2]))
        if "://" in found[2] or not (ROOT / target).is_file():
            return found[0]
        site = posixpath.relpath(in_site(target), posixpath.dirname(page.file.src_uri) or ".")
        return f"{found[1]}{site}{found[3] or ''}{found[4]}"

    return LINK.sub(link, markdown)
