"""What a package says of itself to people."""

from dataclasses import replace

from coremltools.proto.Model_pb2 import Metadata

from palettune.search.experiment.package_section import PackageSection
from palettune.search.results.packages.package_description import PackageDescription
from tests.search.made_up import record

MADE = record(3, 0.125, 2.5)
FIGURES = (
    "net, compressed by Palettune: 2.50 MB, 4.0 times smaller than in fp16 (10.00 MB); divergence from the float model "
    "0.1250, top1 0.7100; layers: 1 lut8 1 lut4."
)


def described(**texts):
    with_metric = replace(MADE, evaluation=replace(MADE.evaluation, metrics={"top1": 0.71}))
    section = PackageSection(**texts)
    return PackageDescription.of(section, with_metric, name="net", float_mb=10.0, label="trial3")


def test_without_texts_the_figures_and_the_trial_are_said():
    metadata = Metadata()
    described().write(metadata)
    assert (metadata.shortDescription, metadata.versionString) == (FIGURES, "trial3")
    assert (metadata.author, metadata.license) == ("", "")


def test_the_experiments_texts_come_before_the_models_own():
    metadata = Metadata(shortDescription="Old.", author="Ada", license="MIT", versionString="1")
    described().write(metadata)
    assert (metadata.shortDescription, metadata.author) == (f"Old. {FIGURES}", "Ada")
    assert (metadata.license, metadata.versionString) == ("MIT", "1")
    metadata = Metadata(shortDescription="Old.", author="Ada", license="MIT", versionString="1")
    described(description="Names flowers", author="Bea", version="2.0", licence="Apache-2.0").write(metadata)
    assert metadata.shortDescription == f"Names flowers. {FIGURES}"
    assert (metadata.author, metadata.license, metadata.versionString) == ("Bea", "Apache-2.0", "2.0")
