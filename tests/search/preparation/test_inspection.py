"""Inspections as values."""

import json
from dataclasses import replace

import pytest

from palettune.search.experiment.experiment import Device
from palettune.search.preparation.inspection import Inspection, inspect
from palettune.space.encoding import FP16


def test_an_inspection_holds_what_every_layer_may_take_and_what_is_no_layer(unused):
    found = Inspection.of(unused)
    assert [item.layer.name for item in found.layers] == ["a", "b"]
    for item in found.layers:
        assert item.menu[item.smallest] == min(item.menu.values())
        assert item.menu[FP16] == max(item.menu.values())
    assert found.largest_bytes == found.rest_bytes + sum(item.menu[FP16] for item in found.layers)
    assert found.smallest_bytes <= found.rest_bytes + sum(item.menu[item.smallest] for item in found.layers)
    assert found.groups == (("a", "b"),)
    assert set(found.kept) == {"pooler", "cosine"}
    assert found.fp16 is None


def test_it_is_plain_values_a_table_and_a_line(unused):
    found = Inspection.of(unused)
    values = json.loads(json.dumps(found.to_json()))
    assert [layer["name"] for layer in values["layers"]] == ["a", "b"]
    assert values["layers"][0]["menu"]["fp16"] == found.layers[0].menu[FP16]
    assert "fp16" not in values
    table = found.to_frame()
    assert list(table.index) == ["a", "b"]
    assert (table.smallest_bytes < table.fp16_bytes).all()
    assert repr(found).startswith("Inspection('case': 2 layers, reachable 0.00")
    assert "<table" in found._repr_html_()


def test_advice_is_of_the_device_s_processors_and_each_piece_is_given_once(unused):
    def advised(unit):
        experiment = unused.experiment.model_copy(update={"device": Device(name="M2", compute_unit=unit)})
        return Inspection.of(replace(unused, experiment=experiment)).advice

    everywhere = Inspection.of(unused).advice
    on_processor, on_gpu = advised("CPU_ONLY"), advised("CPU_AND_GPU")
    processors = [{item.processor.value for item in found} for found in (on_processor, on_gpu, everywhere)]
    assert processors[0] < processors[1] < processors[2]
    assert len({(item.processor, item.text) for item in everywhere}) == len(everywhere)
    assert all(item.layers <= 2 and item.source.startswith("https://") for item in everywhere)


@pytest.mark.slow
def test_a_file_is_inspected_by_its_path(tmp_path):
    (tmp_path / "workload.py").write_text(
        "import torch\n"
        "def model():\n    return torch.nn.Sequential(torch.nn.Linear(32, 8), torch.nn.Linear(8, 4))\n"
        "def example_inputs():\n    return (torch.ones(1, 32),)\n"
        "def evaluation_data():\n    return [((torch.ones(2, 32),), None)]\n"
    )
    path = tmp_path / "experiment.toml"
    path.write_text('name = "tiny"\nworkload = "workload.py"\n[space]\nencodings = ["fp16", "int8", "int4-b16"]\n')
    found = inspect(str(path))
    assert (found.experiment, len(found.layers), found.kept) == ("tiny", 2, {})
    assert [[str(encoding) for encoding in item.refused] for item in found.layers] == [[], ["int4-b16"]]
