"""Declared interfaces against workloads, before anything is converted."""

import pytest
import torch
from torch import nn

from palettune.device_bench.interface.program_interface import PLAIN
from palettune.evaluators.workload.workload import load_workload
from palettune.search.experiment.experiment import Experiment, ExperimentError
from palettune.search.preparation.declared_interface import declared_interface
from palettune.space.errors import UserError
from tests.device_bench.declared import SCALING, Pictures, Tokens, packaged, picture, tokens_of


class TokenWorkload:
    """A network over tokens; no more than ``most`` of them."""

    def __init__(self, most=1000):
        self.most = most

    def model(self):
        network, most = Tokens(), self.most

        class Limited(nn.Module):
            def __init__(self):
                super().__init__()
                self.network = network

            def forward(self, tokens, mask):
                if tokens.shape[1] > most:
                    raise ValueError(f"no more than {most}")
                return {"scores": self.network(tokens, mask)}

        return Limited()

    def example_inputs(self):
        return tokens_of(24)

    def evaluation_data(self):
        return [(tokens_of(length), None) for length in (8, 24)]


class PictureWorkload:
    def __init__(self, data=None):
        self.data = data

    def model(self):
        return Pictures()

    def example_inputs(self):
        return picture()

    def evaluation_data(self):
        return [(picture(), None)] if self.data is None else [((self.data,), None)]

    def classes(self):
        return ["a", "b", "c", "d", "e"]

    def one(self):
        return "one"


def interface(functions, **sections):
    experiment = Experiment(name="declared", workload=functions, **sections)
    return declared_interface(experiment, load_workload(experiment.workload))


IMAGE = {"image": {"colour": "BGR", "scale": SCALING.scale, "bias": SCALING.bias}}


def test_nothing_is_declared_where_nothing_stands():
    assert interface(TokenWorkload()) == PLAIN


def test_a_declaration_that_fits_is_given_on():
    lengths = {"shape": [1, "1..64"]}
    found = interface(TokenWorkload(), inputs={"tokens": lengths, "mask": lengths}, outputs={"scores": "logits"})
    assert found.flexible
    assert found.output_names(["scores"]) == ("logits",)
    assert interface(PictureWorkload(), inputs={"image": IMAGE}, labels={"function": "classes"}).labels == tuple(
        "abcde"
    )


@pytest.mark.parametrize(
    ("functions", "sections", "words"),
    [
        (TokenWorkload(), {"inputs": {"ids": {}}}, r"inputs\.ids: the model has no such input"),
        (TokenWorkload(), {"outputs": {"score": "x"}}, r"outputs\.score: .*did you mean 'scores'"),
        (TokenWorkload(), {"labels": {"names": ["a", "b"]}}, r"labels: 2 are given, and the model returns 96 values"),
        (
            TokenWorkload(40),
            {"inputs": {name: {"shape": [1, "1..64"]} for name in ("tokens", "mask")}},
            r"inputs\.tokens\.shape: the model fails at tokens \(1, 64\), mask \(1, 64\).*ValueError: no more than 40",
        ),
        (PictureWorkload(), {"labels": {"function": "classs"}}, r"classs\(\) is not defined"),
        (PictureWorkload(), {"labels": {"function": "one"}}, r"one\(\) returned a str; expected a list"),
        (
            PictureWorkload(torch.full((1, 3, 16, 16), 90.0)),
            {"inputs": {"image": IMAGE}},
            r"inputs\.image\.image: .* evaluation_data\(\) holds pixels from .* 0 to 255 are expected",
        ),
    ],
)
def test_what_the_workload_does_not_allow_is_named_by_its_key(functions, sections, words):
    with pytest.raises(UserError, match=words):
        interface(functions, **sections)


def test_pixels_that_no_picture_holds_are_found_in_the_last_batch():
    workload = PictureWorkload()
    workload.evaluation_data = lambda: [*[(picture(), None)] * 12, ((torch.full((1, 3, 16, 16), 90.0),), None)]
    with pytest.raises(UserError, match=r"evaluation_data\(\) holds pixels from .* 0 to 255 are expected"):
        interface(workload, inputs={"image": IMAGE})


def test_values_between_whole_pixels_are_said_once():
    experiment = Experiment(name="declared", workload=PictureWorkload(picture()[0] * 0.99), inputs={"image": IMAGE})
    workload = load_workload(experiment.workload)
    declared_interface(experiment, workload)
    declared_interface(experiment, workload)
    assert [note for note in workload.notes if "between those of whole pixels" in note] == workload.notes
    assert len(workload.notes) == 1


def test_a_package_keeps_its_own(tmp_path):
    path, _ = packaged(tmp_path, Pictures(), picture(), PLAIN)

    class Packaged(PictureWorkload):
        def model(self):
            return str(path)

    with pytest.raises(ExperimentError, match="the model is a package, whose interface is fixed"):
        interface(Packaged(), outputs={"output": "y"})
