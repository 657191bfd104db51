"""Description of a package for people: Xcode shows description, author, version and licence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from palettune.search.experiment.package_section import PackageSection
from palettune.search.results.formatting import digits, encoding_summary
from palettune.search.study.record import Record

if TYPE_CHECKING:
    from coremltools.proto.Model_pb2 import Metadata

__all__ = ["PackageDescription"]


@dataclass(frozen=True)
class PackageDescription:
    """The texts of one package.

    Attributes:
        texts: what the experiment says.
        figures: size, encodings and divergence, in a sentence.
        version: of this package, where the experiment says none.
    """

    texts: PackageSection
    figures: str
    version: str

    @classmethod
    def of(cls, texts: PackageSection, record: Record, *, name: str, float_mb: float, label: str) -> PackageDescription:
        """Describe the package of a record.

        Args:
            name: of the experiment.
            float_mb: size of the uniform fp16 package's weight file.
            label: what sets the package apart, such as the number of its trial.
        """
        size, evaluation = record.costs["size_mb"], record.evaluation
        smaller = f"{size:.2f} MB, {float_mb / size:.1f} times smaller than in fp16 ({float_mb:.2f} MB)"
        quality = f"; divergence from the float model {digits(evaluation.divergence)}" if evaluation else ""
        metrics = "".join(
            f", {key} {digits(value)}" for key, value in (evaluation.metrics if evaluation else {}).items()
        )
        layers = " ".join(encoding_summary(record.configuration).split())
        found = f"{name}, compressed by Palettune: {smaller}{quality}{metrics}; layers: {layers}."
        return cls(texts, found, label)

    def write(self, metadata: Metadata) -> None:
        """Put the texts into a model's metadata, over what the model's own says only where there is something to say."""
        own = self.texts.description or metadata.shortDescription
        metadata.shortDescription = f"{own.rstrip('. ')}. {self.figures}" if own else self.figures
        metadata.author = self.texts.author or metadata.author
        metadata.license = self.texts.licence or metadata.license
        metadata.versionString = self.texts.version or metadata.versionString or self.version
