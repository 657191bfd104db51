"""The section ``[compare]``: what a search is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from palettune.search.experiment.section import Section

__all__ = ["CompareSection"]


class CompareSection(Section):
    """Recipes that are evaluated beside the search.

    Attributes:
        recipes: files; a path begins at the experiment file's folder, or at the working directory.
    """

    recipes: tuple[Annotated[Path, AfterValidator(Path.resolve)], ...] = ()
