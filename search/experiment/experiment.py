"""An experiment: one TOML file, validated whole before anything expensive starts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Unpack

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PlainValidator,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.quality.evaluation import Workflow
from palettune.evaluators.workload.data_options import DataOptions
from palettune.evaluators.workload.workload_object import WorkloadObject, WorkloadSource
from palettune.search.experiment.compare_section import CompareSection
from palettune.search.experiment.experiment_values import ExperimentValues
from palettune.search.experiment.inputs_section import InputSection, InputsSection, LabelsSection, PackageName
from palettune.search.experiment.package_section import PackageSection
from palettune.search.experiment.renamed_keys import with_new_names
from palettune.search.experiment.rungs.registry import EscalationSettings
from palettune.search.experiment.rungs.rung import Wanted
from palettune.search.experiment.section import Section
from palettune.space.encoding import Encoding
from palettune.space.errors import UserError, suggestion
from palettune.space.target import DeploymentTarget

__all__ = [
    "Constraints",
    "EscalationSettings",
    "Experiment",
    "ExperimentError",
    "Measure",
    "MetricObjective",
    "Objectives",
    "load_experiment",
]

DEFAULT_ENCODINGS = (
    "fp16 lut8 lut6 lut4 lut3 lut2 lut4-g16 int8 int4-b32 sparse50 sparse75".split()  # noqa: SIM905 (read as one line)
)
Cost = Literal["size_mb", "latency_ms"]
SamplerName = Literal["guided", "tpe", "nsga2", "gp", "random"]


class ExperimentError(UserError):
    """An experiment file that cannot be used: names the file and the key."""


class MetricObjective(Section):
    """A metric of the workload's own as the quality objective."""

    metric: str
    direction: Literal["maximize", "minimize"]


class Objectives(Section):
    """Section ``[objectives]``: the quality, and the costs that are traded against it."""

    quality: Literal["divergence"] | MetricObjective = "divergence"
    divergence: Literal["auto"] | DivergenceKind = "auto"
    cost: Annotated[
        tuple[Cost, ...],
        Field(min_length=1),
        BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    ] = ("size_mb",)

    @field_validator("cost")
    @classmethod
    def _once(cls, value: tuple[Cost, ...]) -> tuple[Cost, ...]:
        if len(set(value)) != len(value):
            raise ValueError("names a cost twice")
        return value


class Bound(Section):
    """Bounds on one metric."""

    min: float | None = None
    max: float | None = None


class Constraints(Section):
    """Section ``[constraints]``: bounds that a feasible configuration meets."""

    max_size_mb: float | None = Field(default=None, gt=0)
    max_latency_ms: float | None = Field(default=None, gt=0)
    max_divergence: float | None = Field(default=None, gt=0)
    metrics: dict[str, Bound] = Field(default_factory=dict)


class Device(Section):
    """The device that latency is for."""

    name: str
    compute_unit: Literal["ALL", "CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY"] = "ALL"


class Space(Section):
    """Section ``[space]``: encodings, layers that stay fp16, and groups of layers that share an encoding."""

    encodings: tuple[str, ...] = Field(default=tuple(DEFAULT_ENCODINGS), min_length=1)
    keep: tuple[str, ...] = ()
    groups: Literal["auto", "none"] | tuple[tuple[str, ...], ...] = "auto"
    prune: bool = False
    float32: tuple[str, ...] = ()
    operands: bool = True
    free_scales: bool = True

    @field_validator("encodings")
    @classmethod
    def _spelt(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(Encoding.parse(spelling)) for spelling in value))

    @property
    def parsed(self) -> tuple[Encoding, ...]:
        """The encodings, parsed; ``fp16`` is always one of them."""
        spelt = self.encodings if "fp16" in self.encodings else ("fp16", *self.encodings)
        return tuple(Encoding.parse(spelling) for spelling in spelt)


class Search(Section):
    """Section ``[search]``: sampler, first trials, scores and confirmation."""

    sampler: SamplerName = "guided"
    confirm: int = Field(default=24, ge=0)
    screen: bool = False
    in_flight: int = Field(default=4, ge=1)
    solved_trials: int = Field(default=24, ge=0)
    scores: Literal["fisher", "isolated", "weight_error"] = "fisher"
    score_samples: int = Field(default=96, ge=1)


class Budget(Section):
    """Section ``[budget]``: the limits of a search; the first one reached ends it."""

    trials: int = Field(default=100, ge=1)
    minutes: float | None = Field(default=None, gt=0)


class Needs(Section):
    """Section ``[resources.WORKFLOW]``: number of workers, and the CPUs, GPUs and memory of each."""

    workers: int | None = Field(default=None, ge=1)
    cpus: float = Field(default=1, gt=0)
    gpus: float = Field(default=0, ge=0)
    memory_gb: float | None = Field(default=None, gt=0)


class Data(Section):
    """Section ``[data]``: sequences, the axis of samples, and samples that share a source."""

    sequence: int | None = Field(default=None, ge=1)
    batch_axis: Literal[0, 1, "none"] | None = None
    groups: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")

    @property
    def options(self) -> DataOptions:
        """Options of this section in the form that a workload takes."""
        return DataOptions(self.sequence, self.batch_axis, self.groups)


class Measure(Section):
    """Section ``[measure]``: which members a bench worker measures, and how long."""

    members: int = Field(default=8, ge=0)
    runs: int = Field(default=100, ge=8)
    timeout_s: float = Field(default=300, gt=0)


def _workload(value: object) -> WorkloadSource:
    """A path made absolute; or a module or an object, with its functions checked."""
    if isinstance(value, str | Path):
        return Path(value).resolve()
    if value is None or isinstance(value, int | float | list | dict):
        raise ValueError(
            f"expected the path of a Python file, or a module or object with its functions (got {value!r})"
        )
    return value if isinstance(value, WorkloadObject) else WorkloadObject.of(value)


@dataclass(frozen=True)
class _Source:
    """Where an experiment was read from, which is no part of what it is."""

    file: Path | None = field(default=None, compare=False)


def _registered_workflow(name: str) -> Workflow:
    known = EscalationSettings().workflows
    if name not in known:
        raise ValueError(f"no such workflow{suggestion(name, known)}; expected one of {', '.join(known)}")
    return Workflow(name)


class Experiment(Section):
    """One experiment, from a file (``Experiment.load``) or made in code.

    In code a section is a mapping or its class: ``Experiment(name="mine", workload=..., budget={"trials": 40})``.
    ``workload`` is the path of a file, which begins at the experiment file's folder, or at the working directory; or
    a module or an object that has a workload's functions.

    Raises:
        ExperimentError: naming the key, what was expected, and the nearest known key or value.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    workload: Annotated[WorkloadSource, PlainValidator(_workload)]
    deployment_target: DeploymentTarget = DeploymentTarget("iOS18")
    seed: int = Field(default=0, ge=0, lt=2**31)
    objectives: Objectives = Objectives()
    constraints: Constraints = Constraints()
    device: Device | None = None
    data: Data = Data()
    inputs: InputsSection = Field(default_factory=dict)
    outputs: dict[str, PackageName] = Field(default_factory=dict)
    labels: LabelsSection | None = None
    space: Space = Space()
    search: Search = Search()
    budget: Budget = Budget()
    escalation: EscalationSettings = EscalationSettings()
    measure: Measure = Measure()
    package: PackageSection = PackageSection()
    compare: CompareSection = CompareSection()
    resources: dict[Annotated[Workflow, PlainValidator(_registered_workflow)], Needs] = Field(default_factory=dict)
    _notes: tuple[str, ...] = PrivateAttr(default=())
    _source: _Source = PrivateAttr(default_factory=_Source)

    @model_validator(mode="wrap")
    @classmethod
    def _renamed(cls, values: Any, handler: ModelWrapValidatorHandler[Experiment]) -> Experiment:
        if not isinstance(values, Mapping):
            return handler(values)
        values, notes = with_new_names(values)
        experiment = handler(values)
        experiment._notes = notes
        return experiment

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user on keys that were given under their old names."""
        return self._notes

    @property
    def file(self) -> Path | None:
        """The file that it was read from, as its path was given; ``None`` where it was made in code."""
        return self._source.file

    def __init__(self, /, **values: Unpack[ExperimentValues]) -> None:
        try:
            BaseModel.__init__(self, **values)
        except ValidationError as error:
            problems = "\n".join(f"  {_problem(item)}" for item in error.errors())
            raise ExperimentError(f"not a valid experiment:\n{problems}") from None

    @classmethod
    def load(cls, path: str | Path) -> Experiment:
        """Read and validate one experiment file.

        Raises:
            ExperimentError: naming the file and key, what was expected, and the nearest known key or value.
        """
        return load_experiment(Path(path))

    @classmethod
    def of(cls, given: Experiment | str | Path) -> Experiment:
        """Load an experiment from its path; return one that is loaded already as it is."""
        return given if isinstance(given, Experiment) else load_experiment(Path(given))

    @field_validator("deployment_target", mode="before")
    @classmethod
    def _target(cls, value: Any) -> Any:
        return DeploymentTarget.parse(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        wants = "latency_ms" in self.objectives.cost or self.constraints.max_latency_ms is not None
        if wants and self.device is None:
            raise ValueError('latency_ms: needs to know for what: add [device] with name = "iPhone 15 Pro", say')
        asked = Wanted(self.deployment_target, self.objectives.cost, wants)
        for rung in self.escalation.asked:
            problem = rung.problem(asked)
            if problem is not None:
                raise ValueError(f"escalation.{problem}")
        return self

    @property
    def needs(self) -> Needs:
        """Resources of the data-free workers."""
        return self.resources.get(Workflow.DATA_FREE, Needs())

    def identity(self) -> dict[str, Any]:
        """Return the keys that decide what a search finds: all but budgets, resources, measurements and names."""
        left_out = {
            "budget",
            "resources",
            "workload",
            "escalation",
            "measure",
            "outputs",
            "labels",
            "package",
            "compare",
        }
        if (
            self.data.model_copy(update={"groups": None}) == Data()
        ):  # searches begun before there was such a section go on
            left_out.add("data")
        if not self.inputs:
            left_out.add("inputs")
        values = self.model_dump(mode="json", exclude=left_out)
        del values["space"]["operands"]  # the menus tell
        del values["space"]["free_scales"]  # the layers tell
        if not self.space.float32:  # searches from before there was this key go on
            del values["space"]["float32"]
        values.get("data", {}).pop("groups", None)  # they decide no trial, only how sure a figure is
        return values


def load_experiment(path: Path) -> Experiment:
    """Read and validate one experiment file.

    Raises:
        ExperimentError: naming the file and key, what was expected, and the nearest known key or value.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ExperimentError(f"{path}: no such experiment file; give the path of a .toml file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: not valid TOML: {error}") from error
    except OSError as error:
        raise ExperimentError(f"{path}: cannot be read: {error.strerror}") from error
    if isinstance(values.get("workload"), str):
        values["workload"] = path.parent / values["workload"]
    compare = values.get("compare")
    if isinstance(compare, dict) and isinstance(compare.get("recipes"), list):
        compare["recipes"] = [path.parent / str(recipe) for recipe in compare["recipes"]]
    labels = values.get("labels")
    if isinstance(labels, dict) and isinstance(labels.get("file"), str):
        labels["file"] = path.parent / labels["file"]
    try:
        experiment = Experiment(**values)
    except ExperimentError as error:
        raise ExperimentError(f"{path}: {error}") from None
    experiment._source = _Source(path)
    return experiment


def _problem(item: ErrorDetails) -> str:
    key = ".".join(str(part) for part in item["loc"] if part != "[key]") or "the file"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key{suggestion(str(item['loc'][-1]), _known_keys(item['loc'][:-1]))}"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] in ("value_error", "missing"):
        return f"{key}: {message if item['type'] == 'value_error' else 'this key is required'}"
    if item["type"] == "model_type":
        message = f"expected a table [{key}] with keys of its own"
    return f"{key}: {message} (got {item['input']!r})"


def _known_keys(section: tuple[int | str, ...]) -> list[str]:
    model: Any = Experiment
    for part in section:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:
            model = {"resources": Needs, "inputs": InputSection}.get(str(section[0]))
            continue
        annotation = field.annotation
        model = next(
            (
                a
                for a in (annotation, *getattr(annotation, "__args__", ()))
                if isinstance(a, type) and issubclass(a, BaseModel)
            ),
            None,
        )
    return list(model.model_fields) if model is not None and hasattr(model, "model_fields") else []
