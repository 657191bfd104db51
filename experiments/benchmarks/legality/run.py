"""Legality against what coremltools really does, on random (layer, encoding, target) pairs.

    python -m experiments.benchmarks.legality.run --pairs 2000

Legal pairs must come out of a saved package encoded as asked, with the decoded values that were computed. Pairs that
coremltools is said to refuse must be skipped, refused or stored otherwise by it. Pairs that Palettune refuses for
reasons of its own are counted apart. Writes ``result.json`` beside this file; exits with 1 on a disagreement.
"""

from __future__ import annotations

import argparse
import collections
import json
import logging
import random
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch

from experiments.benchmarks.random_layers import Sample, layer_of, package, random_encoding, random_module
from palettune.device_bench.conversion.conversion import ConversionError
from palettune.device_bench.model.compressed_weight import CompressedWeight
from palettune.device_bench.package.package import PackageWeight
from palettune.device_bench.proof.package_encoding import differences
from palettune.evaluators.compression.compression import compress
from palettune.evaluators.compression.errors import CompressionError
from palettune.space.footprint import layer_bytes
from palettune.space.legality import Authority, refusals
from palettune.space.target import DeploymentTarget

BATCH = 16
log = logging.getLogger("legality")


class Outcome(StrEnum):
    """What became of a pair."""

    AS_ASKED = "encoded as asked"
    SKIPPED = "skipped, or an error while compressing"
    NOT_CONVERTED = "refused by the converter"
    OTHERWISE = "stored otherwise"


@dataclass(frozen=True)
class Verdict:
    """A pair, who refuses it, and what became of it."""

    sample: Sample
    authority: Authority | None
    reason: str
    outcome: Outcome
    detail: str
    bytes_off: int | None = None

    @property
    def agrees(self) -> bool:
        """Whether legality and coremltools say the same; our own refusals are no claim about coremltools."""
        if self.authority is None:
            return self.outcome is Outcome.AS_ASKED
        return self.authority is Authority.PALETTUNE or self.outcome is not Outcome.AS_ASKED


def samples(seed: int) -> Iterator[Sample]:
    """Random pairs without end; two targets in three have the newest operations, for the old ones refuse most."""
    rng = random.Random(seed)
    old = [target for target in DeploymentTarget if target.generation < 18]
    new = [target for target in DeploymentTarget if target.generation == 18]
    while True:
        module = random_module(rng)
        target = rng.choice(new) if rng.random() < 2 / 3 else rng.choice(old)
        yield Sample(module, layer_of(module), random_encoding(rng), target)


def judge(batch: Sequence[Sample]) -> Iterator[Verdict]:
    """Verdicts on pairs of one target."""
    ready: list[tuple[Sample, CompressedWeight]] = []
    for sample in batch:
        first = next(refusals(sample.layer, sample.encoding, sample.target), None)
        try:
            compressed = compress(sample.module.weight, sample.layer, sample.encoding)
        except CompressionError as error:
            yield verdict(sample, Outcome.SKIPPED, error.reason)
            continue
        if first is None:
            ready.append((sample, compressed))
        else:
            yield from converted([(sample, compressed)])
    yield from converted(ready)


def converted(ready: Sequence[tuple[Sample, CompressedWeight]]) -> Iterator[Verdict]:
    """Verdicts read from one package of several layers; from one package each where that fails."""
    if not ready:
        return
    try:
        found = package([s.module for s, _ in ready], [c for _, c in ready], ready[0][0].target)
    except ConversionError as error:
        if len(ready) == 1:
            yield verdict(ready[0][0], Outcome.NOT_CONVERTED, str(error))
        else:
            for one in ready:
                yield from converted([one])
        return
    for (sample, compressed), weight in zip(ready, found.weights, strict=True):
        yield read(sample, compressed, weight)


def read(sample: Sample, compressed: CompressedWeight, weight: PackageWeight) -> Verdict:
    """The verdict on one weight of a package."""
    wrong = list(differences(weight, sample.layer, sample.encoding))
    decoded, expected = np.asarray(weight.value, np.float32), compressed.weight.numpy()
    if decoded.shape != expected.shape or not np.allclose(decoded, expected, rtol=2**-10, atol=2**-24):
        wrong.append("the decoded values are others")
    if wrong:
        return verdict(sample, Outcome.OTHERWISE, "; ".join(wrong))
    real, kept = -(-weight.bytes // 64) * 64, int(compressed.weight.count_nonzero())
    predicted = layer_bytes(sample.layer, sample.encoding, sample.target, kept)
    return verdict(sample, Outcome.AS_ASKED, "", real - predicted)


def verdict(sample: Sample, outcome: Outcome, detail: str, bytes_off: int | None = None) -> Verdict:
    """What became of a pair, beside what legality says of it."""
    found = list(refusals(sample.layer, sample.encoding, sample.target))
    by_coremltools = next((refusal for refusal in found if refusal.authority is Authority.COREMLTOOLS), None)
    first = by_coremltools or next(iter(found), None)
    if first is None:
        return Verdict(sample, None, "", outcome, detail, bytes_off)
    return Verdict(sample, first.authority, first.reason, outcome, detail, bytes_off)


def batches(seed: int, pairs: int) -> Iterator[list[Sample]]:
    """Random pairs, sorted into batches of one target."""
    waiting: dict[DeploymentTarget, list[Sample]] = collections.defaultdict(list)
    for _, sample in zip(range(pairs), samples(seed), strict=False):
        waiting[sample.target].append(sample)
        if len(waiting[sample.target]) == BATCH:
            yield waiting.pop(sample.target)
    yield from waiting.values()


def summary(verdicts: Sequence[Verdict], seconds: float) -> dict[str, object]:
    """Counts, and every disagreement in full."""
    counts = collections.Counter(
        (f"refused by {v.authority}" if v.authority else "legal", v.outcome.value) for v in verdicts
    )
    legal = [v for v in verdicts if v.authority is None]
    return {
        "pairs": len(verdicts),
        "agreements": sum(v.agrees for v in verdicts),
        "counts": {f"{said}: {outcome}": count for (said, outcome), count in sorted(counts.items())},
        "encodings": len({str(v.sample.encoding) for v in verdicts}),
        "kinds": dict(sorted(collections.Counter(v.sample.layer.kind.value for v in legal).items())),
        "families": dict(sorted(collections.Counter(v.sample.encoding.family.value for v in legal).items())),
        "footprints_compared": sum(v.bytes_off is not None for v in legal),
        "footprints_exact": sum(v.bytes_off == 0 for v in legal),
        "seconds": round(seconds),
        "disagreements": [describe(v) for v in verdicts if not v.agrees],
        "footprints_off": [describe(v) for v in legal if v.bytes_off],
    }


def describe(found: Verdict) -> str:
    """One verdict in one line."""
    sample = found.sample
    return (
        f"{sample.layer.kind} {sample.layer.shape} groups {sample.layer.groups}, {sample.encoding}, {sample.target}: "
        f"{found.reason or 'legal'} / {found.outcome}: {found.detail} {found.bytes_off or ''}"
    )


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("result.json"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    started, verdicts = time.monotonic(), []
    for batch in batches(options.seed, options.pairs):
        verdicts += judge(batch)
        wrong = [v for v in verdicts if not v.agrees]
        log.info("%d pairs, %d disagreements; %s", len(verdicts), len(wrong), describe(wrong[-1]) if wrong else "")
    result = summary(verdicts, time.monotonic() - started)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if result["agreements"] == result["pairs"] else 1


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    log.setLevel(logging.INFO)
    sys.exit(main())
