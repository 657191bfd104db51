from pathlib import Path

from palettune.device_bench.runtime.coverage import REASONS, covered, main, op_set, page, uncovered

PAGE = Path(__file__).parents[3] / "docs" / "op_coverage.md"


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "run python -m palettune.device_bench.runtime.coverage docs/op_coverage.md"
    )


def test_the_command_writes_the_page(tmp_path):
    main([str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page()


def test_every_uncovered_op_has_a_reason():
    assert uncovered() == set(REASONS)
    assert uncovered() | covered().keys() == op_set()
