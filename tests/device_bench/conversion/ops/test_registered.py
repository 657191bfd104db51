"""Every module of the folder is registered."""

from pathlib import Path

from palettune.device_bench.conversion.ops import registered
from palettune.device_bench.library_internals import is_convertible


def test_every_module_that_registers_is_listed():
    folder = Path(registered.__file__).parent
    found = {path.stem for path in folder.glob("*.py") if "@converter(" in path.read_text()}
    assert found == set(registered._MODULES)


def test_registering_again_changes_nothing():
    import torch

    program = torch.export.export(torch.nn.GRU(2, 2), (torch.ones(1, 1, 2),), strict=False).run_decompositions({})
    registered.register_missing_ops()
    registered.register_missing_ops()
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    assert "aten.gru.input" in {str(node.target) for node in nodes}
    assert all(is_convertible(node) for node in nodes)
