"""Whether a run reproduces a frozen record: ``python -m tests.frozen.compare RUN_FOLDER [--data-free]``.

A record holds every evaluation of a search, rung by rung and in the order in which they were proposed or decided: what
proposed it, its configuration, size and divergence, and what it was escalated from. Trial numbers are no part of it.
It was written from a run of the time by ``--write``. The experiments are those of ``experiments/``.

Divergences without data are reproduced on any machine. Calibration adds up in the order that the processor and the number
of threads make, and chooses between candidates by it: figures of another machine differ by one or two percent. On one machine
two versions are compared by a run of each.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

RECORDS = Path(__file__).parent
TOLERANCE = 1e-4
DATA_FREE = "data_free"


def rows_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What a run folder of today's or of the former format holds, by rung."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    study = optuna.load_study(study_name=folder.name, storage=storage)
    found: dict[str, list[dict[str, Any]]] = {}
    names: dict[int, str] = {}  # by trial: rung and configuration
    sizes: dict[int, float] = {}
    for number, values in [*_trials(study), *_former(study)]:
        source = values.pop("source", None)
        key = values["configuration"] if "configuration" in values else names[source].split()[1]
        names[number] = f"{values['rung']} {key}"
        size = sizes.get(source) if values["size_mb"] is None else values["size_mb"]
        values["size_mb"] = sizes[number] = (size or 0.0) + values.pop("added_bytes", 0) / 1e6
        row = {"configuration": key, **{k: values.get(k) for k in ("origin", "size_mb", "divergence", "failure")}}
        if source is not None:
            row["escalated_from"] = names[source]
            row["origin"] = "escalated"
        rung = found.setdefault(values["rung"], [])
        rung.append({name: value for name, value in row.items() if value is not None})
    return found


def _trials(study: optuna.Study) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for trial in study.trials:
        told = trial.user_attrs
        if "answered_from" in told or not trial.state.is_finished():
            continue
        rows.append(
            (
                trial.number,
                {
                    "rung": told.get("rung", DATA_FREE),
                    "source": told.get("escalated_from"),
                    "origin": told["origin"].split()[0],
                    "configuration": told["configuration_hash"],
                    "size_mb": told.get("costs", {}).get("size_mb"),
                    "added_bytes": told.get("added_bytes", 0),
                    "divergence": told.get("evaluation", {}).get("divergence"),
                    "failure": told.get("failure", {}).get("stage"),
                },
            )
        )
    return rows


def _former(study: optuna.Study) -> list[tuple[int, dict[str, Any]]]:
    """Escalations from before they were trials; where they tell no size, it is that of what they came from."""
    numbered = {int(key[6:]): value for key, value in study.user_attrs.items() if key.startswith("climb:")}
    rows = []
    for number, values in sorted(numbered.items()):
        row = {
            "rung": "int8_activations" if "configuration" in values else values["workflow"],
            "source": values["source"],
            "size_mb": values.get("costs", {}).get("size_mb"),
            "added_bytes": values.get("added_bytes", 0),
            "divergence": values.get("evaluation", {}).get("divergence"),
            "failure": values.get("failure", {}).get("stage"),
        }
        if "evaluation" in values:
            row["configuration"] = values["evaluation"]["configuration_hash"]
        rows.append((100_000 + number, row))
    return rows


def differences(was: dict[str, list[dict[str, Any]]], now: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Where a run departs from a record, in words, by rung the first place alone."""
    found = []
    for rung, rows in was.items():
        others = now.get(rung, [])
        for place, (a, b) in enumerate(zip(rows, others, strict=False)):
            keys = [key for key in a if not _same(key, a[key], b.get(key))]
            if keys:
                found.append(f"{rung} {place}: " + "; ".join(f"{k} was {a[k]}, is {b.get(k)}" for k in keys))
                break
        if len(rows) != len(others):
            found.append(f"{rung}: {len(rows)} evaluations were made, {len(others)} are")
    return found + [f"{rung}: not in the record" for rung in now if rung not in was]


def _same(key: str, was: object, now: object) -> bool:
    if key == "size_mb" and now is not None and was is not None:
        return bool(math.isclose(float(str(was)), float(str(now)), rel_tol=1e-9))
    if key == "divergence" and isinstance(was, float) and isinstance(now, float):
        return math.isclose(was, now, rel_tol=TOLERANCE, abs_tol=1e-9)
    return was == now


def main() -> int:
    """Compare or write, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="of a run, as runs/efficientnet_lite0")
    parser.add_argument("--data-free", action="store_true", help="leave escalations out")
    parser.add_argument("--write", action="store_true", help="write the record from the run")
    arguments = parser.parse_args()
    record = RECORDS / f"{arguments.folder.name}_trials.json"
    now = rows_of(arguments.folder)
    if arguments.write:
        lines = {rung: [json.dumps(row) for row in rows] for rung, rows in now.items()}
        text = ",\n".join(f'"{rung}": [\n' + ",\n".join(rows) + "\n]" for rung, rows in lines.items())
        record.write_text("{\n" + text + "\n}\n")
        return 0
    was = json.loads(record.read_text())
    if arguments.data_free:
        was, now = ({DATA_FREE: rows[DATA_FREE]} for rows in (was, now))
    found = differences(was, now)
    counts = ", ".join(f"{len(rows)} {rung}" for rung, rows in now.items())
    print("\n".join(found) if found else f"{arguments.folder}: reproduces {record.name} ({counts})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
