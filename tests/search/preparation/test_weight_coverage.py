"""What inspection and a search say of weights that are no layer's."""

import io

from rich.console import Console

from palettune.search.display.inspection_tables import print_inspection
from palettune.search.display.progress import Display
from palettune.search.preparation.inspection import Inspection
from palettune.search.preparation.weight_coverage import uncompressed
from palettune.space.encoding import Encoding
from tests.search.odd_weights import ATTENTION, PLAIN, prepared


def test_large_weights_that_stay_fp16_are_named_with_the_way_out(tmp_path):
    preparation = prepared(tmp_path, ATTENTION)
    file = preparation.weight_bytes(preparation.space.uniform(Encoding.parse("fp16")))
    size = 64 + 3 * 32 * 32 * 2
    lines = uncompressed(preparation)
    share = f"{100 * size / file:.0f} %"
    assert lines[0] == f"stays fp16: attention.in_proj_weight {size / 1e6:.3f} MB ({share} of the file)"
    assert "give the .mlpackage as the model: model() returns its path" in lines[-1]
    assert preparation.coverage < 0.5
    facts = Inspection.of(preparation).to_json()
    assert facts["coverage"] == preparation.coverage
    assert facts["uncompressed"][0] == {"name": "attention.in_proj_weight", "shape": [96, 32], "bytes": size}
    shows = (
        lambda console: print_inspection(Inspection.of(preparation), console),
        lambda console: Display(console).on_prepared(preparation),
    )
    for show in shows:
        text = io.StringIO()
        show(Console(file=text, width=400))
        assert lines[0] in text.getvalue()
        assert lines[-1] in text.getvalue()


def test_full_coverage_needs_no_words(tmp_path):
    preparation = prepared(tmp_path, PLAIN)
    assert preparation.coverage == 1.0
    assert uncompressed(preparation) == []
