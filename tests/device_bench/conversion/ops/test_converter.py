"""A function is registered under its own name and under others."""

from palettune.device_bench.conversion.ops.converter import converter
from palettune.device_bench.library_internals import _TORCH_OPS_REGISTRY


def test_a_function_replaces_what_was_there():
    functions = _TORCH_OPS_REGISTRY.name_to_func_mapping
    try:
        for _ in range(2):

            @converter("made_up.input")
            def made_up(context, node):
                pass

            assert functions["made_up"] is functions["made_up.input"] is made_up
    finally:
        functions.pop("made_up", None)
        functions.pop("made_up.input", None)
