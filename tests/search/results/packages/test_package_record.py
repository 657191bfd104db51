"""What a package says of itself, written and read back."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import coremltools
import pytest
from coremltools.proto import Model_pb2

from palettune.device_bench.runtime.features import Feature
from palettune.evaluators.quality.divergence_kind import DivergenceKind
from palettune.evaluators.weights.model_state import model_digest
from palettune.evaluators.workload.workload import Split
from palettune.search.experiment.versions import tool_versions
from palettune.search.results.packages.package_record import PackageRecord, record_values, weights_digest, write_record
from tests.search.made_up import record
from tests.search.workloads import workload_of


@pytest.fixture
def package(tmp_path):
    """A package of a program that computes nothing."""
    specification = Model_pb2.Model()
    specification.specificationVersion = 9
    specification.mlProgram.version = 1
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "weight.bin").write_bytes(b"weights")
    path = tmp_path / "model.mlpackage"
    coremltools.models.utils.save_spec(specification, str(path), weights_dir=str(weights))
    return path


def weight_file(package: Path) -> Path:
    (file,) = package.rglob("weight.bin")
    return file


def test_a_record_is_read_back_with_the_digest_of_the_weights(package):
    write_record(package, {"divergence": "0.25", "divergence_fitting": "0.5", "divergence_kind": "kl", "data": "d"})
    assert PackageRecord.read(package) == PackageRecord(0.25, 0.5, "kl", "d", None, weights_digest(package))


def test_a_second_record_takes_the_place_of_the_first_and_leaves_what_others_wrote(package):
    write_record(package, {"divergence": "0.25", "model": "m"})
    specification = coremltools.utils.load_spec(str(package))
    specification.description.metadata.userDefined["theirs"] = "kept"
    (package / "Data/com.apple.CoreML/model.mlmodel").write_bytes(specification.SerializeToString())
    write_record(package, {"data": "d"})
    found = PackageRecord.read(package)
    assert (found.divergence, found.model, found.data) == (None, None, "d")
    assert coremltools.utils.load_spec(str(package)).description.metadata.userDefined["theirs"] == "kept"


def test_a_package_without_a_record_or_with_a_broken_figure_says_nothing(package):
    assert PackageRecord.read(package) == PackageRecord()
    write_record(package, {"divergence": "none", "data": ""})
    assert PackageRecord.read(package) == PackageRecord(weights=weights_digest(package))


def test_the_digest_follows_every_byte_and_every_name_of_the_weights(package):
    file = weight_file(package)
    first = weights_digest(package)
    assert weights_digest(package) == first
    file.write_bytes(b"weightS")
    changed = weights_digest(package)
    file.rename(file.with_name("other.bin"))
    assert len({first, changed, weights_digest(package)}) == 3


def values_of(shapes, by_sample=(0.1, 0.2, 0.3, 0.4), evaluated=True):
    """What the package of a record says, whose program takes some shapes."""
    workload = workload_of()
    preparation = SimpleNamespace(
        workload=workload, experiment=SimpleNamespace(name="tiny"), kind=DivergenceKind.SQUARED_ERROR
    )
    made = record(7, sum(by_sample) / len(by_sample), 5.0)
    evaluation = replace(made.evaluation, by_sample=tuple(by_sample), metrics={"top1": 0.5})
    choices = tuple(tuple((size, size) for size in shape) for shape in shapes)
    program = SimpleNamespace(path=Path("x"), inputs={"x": Feature("x", shapes[0], choices)})
    return record_values(preparation, replace(made, evaluation=evaluation if evaluated else None), program), workload


def test_it_names_what_was_measured_on_what_and_with_which_tools():
    values, workload = values_of([(1, 3, 4), (1, 5, 4)])
    assert (values["experiment"], values["trial"], values["workflow"]) == ("tiny", "7", "data_free")
    assert (values["divergence"], values["metric.top1"]) == ("0.25", "0.5")
    assert values["data"] == workload.digest(Split.EVALUATION)
    assert values["model"] == model_digest(workload.model)
    assert {key for key in values if key.startswith("version.")} == {f"version.{name}" for name in tool_versions()}
    assert "divergence_fitting" not in values  # the program takes all samples


def test_where_some_samples_fit_their_own_divergence_is_said():
    assert values_of([(1, 3, 4)])[0]["divergence_fitting"] == "0.15"
    assert values_of([(1, 5, 4)])[0]["divergence_fitting"] == "0.35"
    assert "divergence_fitting" not in values_of([(1, 9, 4)])[0]
    assert "divergence_fitting" not in values_of([(1, 3, 4)], by_sample=(0.1, 0.2))[0]  # samples lie otherwise


def test_a_record_without_an_evaluation_claims_no_divergence():
    values, _ = values_of([(1, 3, 4)], evaluated=False)
    assert values["divergence"] == ""
    assert not [key for key in values if key.startswith("metric.")]
