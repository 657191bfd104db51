"""A configuration read from a file, with what the weights had that it was found for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from palettune.evaluators.quality.evaluation import Workflow
from palettune.search.experiment.objectives import MEGABYTE
from palettune.search.study.record import Record
from palettune.space.configuration import Configuration, ConfigurationError

__all__ = ["FormerResult", "StoredConfiguration", "read_configuration"]

_EXPECTED = (
    "expected a configuration (`configuration.json` of a trial in MLflow), a member of `palettune front --json`, an entry "
    "of manifest.json, or the answer of `palettune solve --json`"
)


@dataclass(frozen=True)
class FormerResult:
    """Result of a configuration with the weights that it was found for.

    Attributes:
        source: where that is recorded, in words.
        trial: its number in that search.
        workflow: how its weights were found.
        size_mb: of the weight file, in 10^6 bytes.
    """

    source: str
    divergence: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    trial: int | None = None
    workflow: Workflow = Workflow.DATA_FREE
    size_mb: float | None = None

    @classmethod
    def of_record(cls, record: Record, source: str) -> FormerResult | None:
        """Read an evaluation of a search; ``None`` where it gave no result."""
        found = record.evaluation
        if found is None:
            return None
        size = record.costs.get("size_mb")
        return cls(source, found.divergence, dict(found.metrics), record.trial, record.workflow, size)


@dataclass(frozen=True)
class StoredConfiguration:
    """A configuration as a file holds it; ``former`` is ``None`` where the file records no result."""

    configuration: Configuration
    former: FormerResult | None = None


def read_configuration(path: Path, trial: int | None = None) -> StoredConfiguration:
    """Read a configuration from any JSON that Palettune writes one into.

    Args:
        trial: which one, where the file holds several.

    Raises:
        ConfigurationError: naming the file, and what was expected.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}); {_EXPECTED}") from None
    except ValueError as error:
        raise ConfigurationError(f"{path}: not JSON ({error}); {_EXPECTED}") from None
    if isinstance(content, list):
        content = _chosen(path, content, trial)
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path}: {_EXPECTED}")
    try:
        return _stored(path, content)
    except (TypeError, AttributeError, KeyError) as error:
        raise ConfigurationError(f"{path}: not understood ({error}); {_EXPECTED}") from None
    except ValueError as error:  # no configuration, or an encoding or a workflow that there is not
        raise ConfigurationError(f"{path}: {error}") from None


def _chosen(path: Path, entries: Sequence[Any], trial: int | None) -> Any:
    """The entry asked for, or the only one."""
    by_trial = {entry.get("trial"): entry for entry in entries if isinstance(entry, dict)}
    if trial is not None and trial in by_trial:
        return by_trial[trial]
    if trial is None and len(entries) == 1:
        return entries[0]
    held = ", ".join(str(number) for number in by_trial) or "none"
    asked = f"trial {trial} is not there" if trial is not None else "say which trial is meant (--trial)"
    raise ConfigurationError(f"{path}: {asked}; the file holds the trials {held}")


def _stored(path: Path, content: Mapping[str, Any]) -> StoredConfiguration:
    if "configuration" not in content:
        return StoredConfiguration(Configuration.from_json(json.dumps(content)))
    held = content["configuration"]
    whole = held if "encodings" in held else {"encodings": held}  # `solve` writes the encodings alone
    configuration = Configuration.from_json(json.dumps(whole))
    if content.get("prediction") or content.get("divergence") is None:
        return StoredConfiguration(configuration)
    size = content.get("size_mb")
    if size is None and "weight_bytes" in content:
        size = content["weight_bytes"] / MEGABYTE
    former = FormerResult(
        str(path),
        float(content["divergence"]),
        dict(content.get("metrics", {})),
        content.get("trial"),
        Workflow(content.get("workflow", Workflow.DATA_FREE)),
        size,
    )
    return StoredConfiguration(configuration, former)
