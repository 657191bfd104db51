import inspect
import pickle
import sys

import pytest

from palettune.evaluators.workload.workload import Split, load_workload
from palettune.evaluators.workload.workload_imports import import_workload, importable

ORDINARY = ("search", "space", "evaluators", "device_bench", "data", "utils", "palettune")


def _folder(path, value):
    path.mkdir()
    for name in ORDINARY:
        (path / f"{name}.py").write_text(f"VALUE = {value!r}\n")
    (path / "layers").mkdir()
    (path / "layers" / "__init__.py").write_text("from . import blocks\nfrom data import VALUE\n")
    (path / "layers" / "blocks.py").write_text("import utils\nVALUE = utils.VALUE\nclass Block: pass\n")
    (path / "assets").mkdir()
    imports = "".join(f"import {name}\n" for name in ORDINARY)
    text = "import layers.blocks as renamed\nimport layers.blocks\nfrom layers import blocks\nfrom layers.blocks import Block\n"
    late = "def late():\n    import data\n    return data.VALUE\n"
    (path / "workload.py").write_text(imports + text + late)
    return path / "workload.py"


def test_each_workload_gets_the_modules_beside_it(tmp_path):
    first, second = (import_workload(_folder(tmp_path / name, name)) for name in ("one", "two"))
    for module, value in ((first, "one"), (second, "two"), (first, "one")):
        assert {getattr(module, name).VALUE for name in ORDINARY} == {value}
        assert {module.renamed.VALUE, module.blocks.VALUE, module.layers.VALUE, module.late()} == {value}
    assert first.Block is not second.Block


def test_no_other_code_sees_them(tmp_path):
    before = list(sys.path)
    import_workload(_folder(tmp_path / "one", "one"))
    import palettune.search

    assert sys.path == before
    assert not hasattr(palettune.search, "VALUE")
    with pytest.raises(ModuleNotFoundError):
        __import__("device_bench_of_nobody")
    assert not {"data", "utils", "layers"} & set(sys.modules)


def test_a_file_that_changed_is_executed_again(tmp_path):
    path = _folder(tmp_path / "one", "one")
    import_workload(path)
    (tmp_path / "one" / "data.py").write_text("VALUE = 'another, of another length'\n")
    assert import_workload(path).late() == "another, of another length"


def test_a_change_of_equal_size_within_a_second_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = _folder(tmp_path / "one", "one")
    for value in ("one", "two", "six"):
        (tmp_path / "one" / "data.py").write_text(f"VALUE = {value!r}\n")
        assert import_workload(path).late() == value


def test_source_and_pickles_are_found(tmp_path):
    path = _folder(tmp_path / "one", "one")
    module = import_workload(path)
    assert "class Block" in inspect.getsource(module.Block)
    assert isinstance(pickle.loads(pickle.dumps(module.Block())), module.Block)
    # protocol 0 has no lengths: written as another program would have
    foreign = pickle.dumps(module.Block(), protocol=0).replace(module.Block.__module__.encode(), b"layers.blocks")
    with importable(tmp_path / "one"):
        assert type(pickle.loads(foreign)).__name__ == "Block"
    assert "layers.blocks" not in sys.modules


def test_a_folder_of_files_does_not_hide_an_installed_package(tmp_path):
    (tmp_path / "numpy").mkdir()
    (tmp_path / "workload.py").write_text("import numpy\nVALUE = numpy.zeros(2)\n")
    assert import_workload(tmp_path / "workload.py").VALUE.shape == (2,)


@pytest.mark.parametrize(
    "line", ["import evaluators.accuracy", "from evaluators import accuracy", "from evaluators.accuracy import VALUE"]
)
def test_a_folder_without_init_keeps_its_files_whatever_package_has_its_name(tmp_path, monkeypatch, line):
    for folder, value in (("elsewhere", "theirs"), ("mine", "mine")):
        (tmp_path / folder / "evaluators").mkdir(parents=True)
        (tmp_path / folder / "evaluators" / "accuracy.py").write_text(f"VALUE = {value!r}\n")
    (tmp_path / "elsewhere" / "evaluators" / "__init__.py").write_text("INSTALLED = True\n")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    code = "found = locals().get('VALUE') or (locals().get('accuracy') or evaluators.accuracy).VALUE\n"
    (tmp_path / "mine" / "workload.py").write_text(f"{line}\n{code}from evaluators import INSTALLED\n")
    module = import_workload(tmp_path / "mine" / "workload.py")
    assert (module.found, module.INSTALLED) == ("mine", True)
    sys.modules.pop("evaluators", None)


def test_two_workloads_with_modules_of_one_name_are_loaded_and_read(tmp_path):
    text = (
        "import torch\nfrom torch import nn\nimport data\n\n\ndef model():\n    from layers import Layer\n    return Layer()\n\n\n"
        "def example_inputs():\n    return (torch.zeros(1, 4),)\n\n\n"
        "def evaluation_data():\n    import search\n    for _ in range(2):\n        yield (torch.full((1, 4), data.VALUE + search.VALUE),), None\n"
    )
    layer = "from torch import nn\nimport space\n\n\nclass Layer(nn.Linear):\n    def __init__(self):\n        super().__init__(4, space.OUTPUTS)\n"
    loaded = []
    for number, name in enumerate(("one", "two"), 1):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "workload.py").write_text(text)
        (folder / "layers.py").write_text(layer)
        (folder / "space.py").write_text(f"OUTPUTS = {number}\n")
        (folder / "data.py").write_text(f"VALUE = {number}.0\n")
        (folder / "search.py").write_text(f"VALUE = {number}0.0\n")
        loaded.append(load_workload(folder / "workload.py"))
    for number, workload in enumerate(loaded, 1):
        assert workload.model.out_features == number
        assert [float(batch.inputs[0][0, 0]) for batch in workload.batches(Split.EVALUATION)] == [11.0 * number] * 2
