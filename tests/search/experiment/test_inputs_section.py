"""Inputs, outputs and labels as an experiment file states them."""

import re

import pytest

from palettune.device_bench.interface.program_interface import InputDeclaration, PixelScaling, ProgramInterface
from palettune.search.experiment.experiment import Experiment, ExperimentError, load_experiment
from palettune.search.experiment.inputs_section import LabelsError, LabelsSection, interface_of

HEAD = 'name = "mine"\nworkload = "workload.py"\n'


def load(folder, text):
    path = folder / "experiment.toml"
    path.write_text(HEAD + text)
    return load_experiment(path)


def no_function(name):
    raise AssertionError(f"{name} is not asked for")


def test_sections_become_an_interface(tmp_path):
    experiment = load(
        tmp_path,
        """
        [inputs]
        tokens = { shape = [1, "1..512"], name = "ids", dtype = "int32" }
        mask = { shapes = [[1, 64], [1, 128]] }
        [inputs.image]
        image = { colour = "BGR", scale = 0.02, bias = [-2.1, -2.0, -1.8] }
        [outputs]
        output_0 = "scores"
        """,
    )
    assert interface_of(experiment.inputs, experiment.outputs, ()) == ProgramInterface(
        (
            InputDeclaration("tokens", "ids", (((1, 1), (1, 512)),), "int32"),
            InputDeclaration("mask", None, (((1, 1), (64, 64)), ((1, 1), (128, 128)))),
            InputDeclaration("image", image=PixelScaling("BGR", (0.02,), (-2.1, -2.0, -1.8))),
        ),
        (("output_0", "scores"),),
    )


def test_in_code_the_same_are_keywords(tmp_path):
    experiment = Experiment(
        name="mine",
        workload=tmp_path / "workload.py",
        inputs={"tokens": {"shape": (1, "1..64")}},
        outputs={"output": "scores"},
        labels={"names": [1, 2]},
    )
    interface = interface_of(experiment.inputs, experiment.outputs, experiment.labels.read(no_function))
    assert interface.inputs[0].shapes == (((1, 1), (1, 64)),)
    assert interface.labels == (1, 2)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ('tokens = { shape = [1, "512..1"] }', r"inputs\.tokens\.shape: '512\.\.1': 512 is more than 1"),
        ('tokens = { shape = [1, "1.."] }', r"inputs\.tokens\.shape: '1\.\.' is no size.*\"1\.\.512\""),
        ('tokens = { shape = [0, "1..5"] }', r"inputs\.tokens\.shape: 0: sizes begin at 1"),
        ("tokens = { shape = [1], shapes = [[1], [2]] }", r"inputs\.tokens: shape and shapes: give one"),
        ("tokens = { shapes = [[1, 2]] }", r"inputs\.tokens\.shapes: .*at least 2 items"),
        ("tokens = { shapes = [[1, 2], [1, 2]] }", r"inputs\.tokens\.shapes: names a shape twice"),
        ("tokens = { shap = [1] }", r"inputs\.tokens\.shap: unknown key; did you mean 'shape'"),
        ('tokens = { dtype = "int8" }', r"inputs\.tokens\.dtype: .*'float16'"),
        ('tokens = { name = "in put" }', r"inputs\.tokens\.name: .*pattern"),
        ("x = { image = { scale = 0 } }", r"inputs\.x\.image: scale: 0 would make"),
        ("x = { image = { bias = [1, 2] } }", r"inputs\.x\.image: bias: 2 numbers; one, or one for each of 3"),
        ('x = { image = { color = "RGB" } }', r"inputs\.x\.image\.color: unknown key; did you mean 'colour'"),
        ('x = { image = { colour = "RGBA" } }', r"inputs\.x\.image\.colour: .*'grayscale'"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(tmp_path, inputs, words):
    with pytest.raises(ExperimentError, match=words):
        load(tmp_path, f"[inputs]\n{inputs}\n")


def test_labels_come_from_one_place(tmp_path):
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    from_file = load(tmp_path, '[labels]\nfile = "labels.txt"\n').labels
    assert from_file.read(no_function) == ("cat", "dog")
    assert LabelsSection(names=("cat",)).read(no_function) == ("cat",)
    assert LabelsSection(function="classes").read({"classes": ["cat"]}.__getitem__) == ("cat",)
    with pytest.raises(ExperimentError, match=r"labels: give one of names.*not names and file"):
        load(tmp_path, '[labels]\nfile = "labels.txt"\nnames = ["cat"]\n')
    with pytest.raises(ExperimentError, match="not nothing"):
        load(tmp_path, "[labels]\n")


def test_labels_that_are_none_are_refused(tmp_path):
    with pytest.raises(LabelsError, match=re.escape(f"labels.file: {tmp_path / 'gone.txt'} cannot be read")):
        LabelsSection(file=tmp_path / "gone.txt").read(no_function)
    with pytest.raises(LabelsError, match=r"labels\.function: classes\(\): 'cat' stands for two classes"):
        LabelsSection(function="classes").read(lambda _: ["cat", "cat"])
    with pytest.raises(LabelsError, match=r"texts, or whole numbers, are expected"):
        LabelsSection(function="classes").read(lambda _: [1.5])
    with pytest.raises(ExperimentError, match="'cat' stands for two"):
        load(tmp_path, '[labels]\nnames = ["cat", "cat"]\n')


def test_searches_from_before_go_on_and_mere_names_begin_no_other(tmp_path):
    before = load(tmp_path, "").identity()
    assert "inputs" not in before
    assert load(tmp_path, '[outputs]\noutput = "scores"\n[labels]\nnames = ["cat"]\n').identity() == before
    assert load(tmp_path, "[inputs]\nx = { shape = [1] }\n").identity() != before
