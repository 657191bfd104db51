"""The door: its names, where they come from, and what importing it costs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import palettune as pt

ROOT = Path(__file__).parents[2]
ROOMS = {"search", "space", "evaluators", "device_bench", "testing"}
HEAVY = {
    "torch",
    "coremltools",
    "optuna",
    "matplotlib",
    "mlflow",
    "ray",
    "pandas",
    "numpy",
    "rich",
    "IPython",
    "pydantic",
}


def loaded_after(statement):
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(m.partition('.')[0] for m in sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_it_imports_no_other_package():
    assert not loaded_after("import palettune\npalettune.__version__\ndir(palettune)") & HEAVY


def test_a_name_imports_what_it_needs_and_no_more():
    assert not loaded_after("import palettune\npalettune.Configuration") & {
        "torch",
        "coremltools",
        "optuna",
        "mlflow",
        "ray",
    }


@pytest.mark.parametrize("name", pt.__all__)
def test_every_name_is_there_and_documented(name):
    value = getattr(pt, name)
    assert value.__name__ == name
    assert value.__doc__
    assert getattr(pt, name) is value


def test_names_are_few_sorted_and_no_rooms():
    assert pt.__all__ == sorted(pt.__all__)
    assert len(pt.__all__) <= 27
    assert not ROOMS & set(pt.__all__)
    assert set(pt.__all__) < set(dir(pt))
    assert set(pt.__all__) == set(pt._HOMES)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'serach'"):
        pt.serach  # noqa: B018


@pytest.mark.slow
def test_no_matplotlib_backend_is_chosen_and_no_signal_handler_set():
    code = (
        "import signal, matplotlib\nmatplotlib.use('svg')\n"
        "before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]\n"
        "import palettune as pt\nfor name in pt.__all__: getattr(pt, name)\n"
        "assert matplotlib.get_backend() == 'svg', matplotlib.get_backend()\n"
        "assert before == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]"
    )
    loaded_after(code)
