"""What every test begins with: torch's random stream at the same place, whichever tests ran before it.

`make test` runs what is not marked slow. Of a large matrix, marked ``@pytest.mark.matrix(few)``, it runs a few cases.
"""

from __future__ import annotations

import gc
import sys

import pytest
import torch
from hypothesis import settings

settings.register_profile("palettune", deadline=None)  # no test is a measurement of time
settings.load_profile("palettune")

#: Fixtures that start Ray clusters: who uses one is marked ``ray``.
CLUSTERS = {"cluster", "finished_on_ray", "nodes"}
#: Fixtures that start an MLflow server, which takes many seconds: who uses one is marked ``slow``.
SERVERS = {"server"}


@pytest.fixture(autouse=True, scope="module")
def _seeded_module() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a Ray cluster or a server; mark as slow what a matrix holds beyond its few cases, which are spread over it.

    What takes minutes begins first, lest it is all that is left at the end."""
    matrices: dict[str, list[pytest.Item]] = {}
    for item in items:
        if CLUSTERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.ray)
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("matrix"):
            matrices.setdefault(item.nodeid.partition("[")[0], []).append(item)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    for cases in matrices.values():
        few = cases[0].get_closest_marker("matrix").args[0]
        kept = {round(case * (len(cases) - 1) / max(few - 1, 1)) for case in range(few)}
        for number, item in enumerate(cases):
            if number not in kept:
                item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Leave out what every test would pay for again.

    That is garbage collection of all that was imported, which coremltools asks for in each conversion and which the
    many small objects of tracing and conversion bring about, and the migrations of MLflow's databases.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    if "mlflow" in sys.modules:
        from tests.mlflow_tables import copy_tables

        copy_tables()
