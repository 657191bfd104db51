"""Keywords of an experiment made in code, turned into the values of an experiment file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

from pydantic import BaseModel

from palettune.space.target import DeploymentTarget

__all__ = ["ExperimentValues", "SectionValues"]

SectionValues = BaseModel | Mapping[str, object]
"""A section: an instance of its class, or a mapping with the keys that it has in a file."""


class ExperimentValues(TypedDict):
    """The keys of an experiment; ``workload`` is a path, a module or an object with a workload's functions."""

    name: str
    workload: object
    deployment_target: NotRequired[str | DeploymentTarget]
    seed: NotRequired[int]
    objectives: NotRequired[SectionValues]
    constraints: NotRequired[SectionValues]
    device: NotRequired[SectionValues | None]
    data: NotRequired[SectionValues]
    inputs: NotRequired[Mapping[str, SectionValues]]
    outputs: NotRequired[Mapping[str, str]]
    labels: NotRequired[SectionValues | None]
    space: NotRequired[SectionValues]
    search: NotRequired[SectionValues]
    budget: NotRequired[SectionValues]
    escalation: NotRequired[SectionValues]
    measure: NotRequired[SectionValues]
    package: NotRequired[SectionValues]
    compare: NotRequired[SectionValues]
    resources: NotRequired[Mapping[str, SectionValues]]
