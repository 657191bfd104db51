"""The section ``[package]``: what exported packages say of themselves in Xcode."""

from __future__ import annotations

from palettune.search.experiment.section import Section

__all__ = ["PackageSection"]


class PackageSection(Section):
    """Texts for people; a text left out is the model's own where it is a package, else a sensible one or none.

    Attributes:
        description: what the model is; figures of the package are added to it.
        author: who made it.
        version: of the package; the number of its trial unless given.
        licence: under which it may be used.
    """

    description: str | None = None
    author: str | None = None
    version: str | None = None
    licence: str | None = None
