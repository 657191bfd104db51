"""Fits the cost model to all published rows and writes the parameters into the chip files.

python -m experiments.benchmarks.latency_validation.write_devices
"""

from __future__ import annotations

from pathlib import Path

from experiments.benchmarks.latency_validation.published import observation, origin, rows
from experiments.benchmarks.latency_validation.validation import Case, cost_model, leave_out, spread
from palettune.device_bench.cost.fit import Fit, fit
from palettune.device_bench.cost.fitted import FittedModel
from palettune.device_bench.cost.observation import Observation
from palettune.device_bench.cost.priors import priors
from palettune.device_bench.devices import ChipFile, Mark, Sourced, chip_files
from palettune.device_bench.devices.unit import Unit

FOLDER = Path(__file__).parents[3] / "device_bench" / "devices"
DEVIATIONS = {"peak_tmacs": "compute", "stream_gbps": "stream", "activation_gbps": "activation"}
FAMILY_VALUES = ("op_us", "floor_ms", "host_ms")


def main() -> None:
    """Fit, write ``fit.json`` and every chip file."""
    cases = [Case(row, observation(row)) for row in rows()]
    observed = [case.observed for case in cases]
    fits = {unit: fit(unit, observed) for unit in Unit}
    spreads = {}
    for unit in Unit:
        same = [case for case in cases if case.observed.unit is unit]
        spreads[unit] = spread(same, leave_out(same, cost_model, origin))
    (FOLDER / "fit.json").write_text(FittedModel(fits, spreads).to_json(), "utf-8")
    for path in sorted(FOLDER.glob("*.toml")):
        chip = next(c for c in chip_files().values() if f'chip = "{c.chip}"\n' in path.read_text("utf-8"))
        path.write_text(chip_text(chip, fits, observed), "utf-8")


def chip_text(chip: ChipFile, fits: dict[Unit, Fit], observed: list[Observation]) -> str:
    """The chip file with the parameters of every unit."""
    lines = [f'chip = "{chip.chip}"', f'family = "{chip.family.value}"', "devices = ["]
    lines += [f'    "{device}",' for device in chip.devices] + ["]"]
    lines += ["", "[specification]", *(_line(name, value) for name, value in chip.specification.items())]
    for unit in Unit:
        lines += ["", f"[{unit.value}]"]
        lines += [_line(name, value) for name, value in _sourced(chip, fits[unit], observed).items()]
    return "\n".join(lines) + "\n"


def _sourced(chip: ChipFile, found: Fit, observed: list[Observation]) -> dict[str, Sourced]:
    rows_here = [o for o in observed if o.unit is found.unit and o.chip.name == chip.chip]
    rows_family = [o for o in observed if o.unit is found.unit and o.chip.family is chip.family]
    rows_unit = [o for o in observed if o.unit is found.unit]
    common, _ = priors(found.unit)
    values = {}
    for name, value in found.values(chip.published()).items():
        if name in DEVIATIONS and rows_here:
            mark, source = Mark.FITTED, _sources(rows_here)
        elif name == "peak_tmacs" and found.unit is not Unit.CPU:
            mark, source = Mark.INHERITED, "the specification"
        elif name in common and common[name].spread == 0:
            mark, source = Mark.INHERITED, "a constant: no published row tells"
        else:
            basis = rows_family if name in FAMILY_VALUES else rows_unit
            mark, source = Mark.INHERITED, _summary(basis) if basis else "the prior: no row tells"
        values[name] = Sourced(float(f"{value:.5g}"), mark, source)
    return values


def _sources(observed: list[Observation]) -> str:
    return f"{len(observed)} rows of {', '.join(sorted({o.source for o in observed}))}"


def _summary(observed: list[Observation]) -> str:
    return f"common fit to {len(observed)} rows of {len({o.source for o in observed})} sources"


def _line(name: str, value: Sourced) -> str:
    shown = str(value.value).lower() if isinstance(value.value, bool) else repr(value.value)
    return f'{name} = {{ value = {shown}, mark = "{value.mark.value}", source = "{value.source}" }}'


if __name__ == "__main__":
    main()
