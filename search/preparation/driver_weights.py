"""The compressed weights of a prepared experiment as the driver sees them, and menus pruned by them."""

from __future__ import annotations

from dataclasses import replace

from palettune.evaluators.compression.compression_time import compression_seconds
from palettune.evaluators.sensitivity.base import ScoringSetting
from palettune.evaluators.sensitivity.registry import registered_scores as registry
from palettune.evaluators.weights.assembly import LayerWeights
from palettune.evaluators.weights.weight_bank import WeightBank
from palettune.search.experiment.reporter import Reporter
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.preparation.preparation import Preparation
from palettune.space.encoding import Encoding
from palettune.space.footprint import layer_bytes
from palettune.space.pruning import prune_menus

__all__ = ["LONG", "layer_weights", "prune_search_space", "say_calibration_minutes"]

LONG = 60.0
"""Seconds; what takes longer is said beforehand."""


def layer_weights(preparation: Preparation, folder: RunFolder) -> LayerWeights:
    """Return the compressed weights that the driver reads from the bank."""
    bank = WeightBank(folder.bank, folder.other_banks)
    return LayerWeights(preparation.workload.model, preparation.layers, bank, preparation.experiment.seed)


def prune_search_space(preparation: Preparation, folder: RunFolder, reporter: Reporter) -> Preparation:
    """Drop dominated encodings from each menu: those that another one beats in bytes and in weight error."""
    weights = layer_weights(preparation, folder)
    errors = registry()["weight_error"](ScoringSetting(preparation.workload.model, weights, preparation.kind))
    scores = errors.score(preparation.columns(), ())
    target = preparation.experiment.deployment_target

    def costs(layer: str, encoding: Encoding) -> tuple[float, float]:
        size = layer_bytes(preparation.space.menus[layer].layer, encoding, target)
        return float(size), scores.score(layer, encoding)

    pruned = prune_menus(preparation.space, costs)
    before = sum(len(preparation.space.menus[group[0]].encodings) for group in preparation.space.groups)
    reporter.warn(f"menus pruned: {pruned.count} of {before} choices are beaten in bytes and weight error, and dropped")
    return replace(preparation, space=pruned.space)


def say_calibration_minutes(preparation: Preparation, reporter: Reporter) -> None:
    """Say beforehand how long one calibration clusters weights by importance, where it is long."""
    calibrations = preparation.experiment.escalation.calibration.count
    menus = ((layer, preparation.space.menus[layer.name].encodings) for layer in preparation.layers)
    tables = ((layer, [e for e in encodings if e.table is not None]) for layer, encodings in menus)
    seconds = [max(compression_seconds(layer, e) for e in found) for layer, found in tables if found]
    if calibrations and sum(seconds) > LONG:
        reporter.warn(
            f"clustering the tables of {len(seconds)} layers by importance takes up to {sum(seconds) / 60:.0f} minute(s) in "
            f"each of {calibrations} calibration(s); escalation.calibration says how many there are"
        )
