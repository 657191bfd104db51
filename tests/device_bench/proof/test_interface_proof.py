"""Packages whose description is, or is not, what was declared."""

from dataclasses import replace

import pytest

from palettune.device_bench.interface.program_interface import PLAIN, InputDeclaration, ProgramInterface
from palettune.device_bench.proof.interface_proof import interface_failures
from tests.device_bench.declared import (
    SCALING,
    Pictures,
    Tokens,
    enumerated,
    names_of,
    of_lengths,
    packaged,
    picture,
    tokens_of,
)

TOKENS = ProgramInterface(of_lengths(tokens="ids").inputs, (("output", "scores"),))
PICTURES = ProgramInterface(
    (InputDeclaration("image", shapes=enumerated((1, 3, 16, 16), (1, 3, 8, 8)), image=SCALING),), (), (1, 2, 3, 4, 5)
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return packaged(tmp_path_factory.mktemp("tokens"), Tokens(), tokens_of(24), TOKENS)[0]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return packaged(tmp_path_factory.mktemp("pictures"), Pictures(), picture(), PICTURES)[0]


def failures(path, interface, module, example):
    return interface_failures(path, interface, names_of(module, example), example)


def test_what_was_declared_is_found(tokens, pictures):
    assert failures(tokens, TOKENS, Tokens(), tokens_of(24)) == ()
    assert failures(pictures, PICTURES, Pictures(), picture()) == ()


def test_other_names_ranges_and_outputs_are_found(tokens):
    example = tokens_of(24)
    (other_names, *_) = failures(tokens, replace(TOKENS, inputs=of_lengths().inputs), Tokens(), example)
    assert other_names == "its inputs are ids, mask, declared are tokens, mask"
    wider = of_lengths((((1, 1), (1, 128)),), tokens="ids")
    assert [words for words in failures(tokens, wider, Tokens(), example) if "takes (1, 1 to 64)" in words]
    renamed = replace(TOKENS, outputs=(("output", "logits"),))
    assert failures(tokens, renamed, Tokens(), example) == ("it has no output 'logits'; its outputs are scores",)
    labelled = replace(TOKENS, labels=("a",))
    assert failures(tokens, labelled, Tokens(), example) == ("it is no classifier",)


def test_other_sizes_colours_and_labels_are_found(pictures):
    found = failures(pictures, PLAIN, Pictures(), picture())
    assert len(found) == 3
    assert "takes (1, 3, 16, 16) or (1, 3, 8, 8)" in found[0]
    assert "is BGR, declared is no image" in found[1]
    assert "no labels are declared" in found[2]
