"""The same choices for new weights."""

import json

import pytest
import torch

import palettune as pt
from palettune.search.command_line.cli import main
from tests.search.api.conftest import experiment_of
from tests.search.conftest import WORKLOAD

RETRAINED = WORKLOAD.replace("torch.manual_seed(0)", "torch.manual_seed(7)")


@pytest.fixture
def retrained(tmp_path):
    """An experiment whose weights are others."""
    (tmp_path / "workload.py").write_text(RETRAINED)
    return experiment_of(tmp_path / "workload.py", name="retrained")


@pytest.fixture
def front_file(run, tmp_path):
    path = tmp_path / "front.json"
    path.write_text(json.dumps(run.front.to_json()))
    return path


@pytest.mark.slow
def test_the_same_choices_are_made_for_new_weights_and_proven(run, front_file, retrained, tmp_path):
    knee = run.front.knee()
    found = pt.apply(front_file, retrained, out=tmp_path / "out", root=tmp_path / "runs", trial=knee.trial)
    assert found.record.configuration == knee.configuration
    assert found.record.trial == knee.trial
    assert found.former.divergence == knee.evaluation.divergence
    assert found.record.evaluation.divergence != knee.evaluation.divergence
    assert found.record.costs["size_mb"] == knee.costs["size_mb"]
    assert found.proven
    assert found.export[0].path.name.endswith("_retrained_applied.mlpackage")
    table = found.to_frame()
    assert table.loc["divergence", "former"] == knee.evaluation.divergence
    assert table.loc["size_mb", "difference"] == 0
    assert {"size_mb", "divergence", "top1_agreement"} == set(table.index)
    assert pt.verify(found.export[0].path, retrained).passed
    assert not (tmp_path / "runs" / "retrained" / "journal.log").exists()  # nothing was searched


@pytest.mark.slow
def test_the_same_weights_give_what_the_run_recorded(run, experiment, tiny, tmp_path):
    knee = run.front.knee()
    found = pt.apply(knee.configuration, experiment, out=tmp_path, root=tiny / "runs")
    assert str(tiny) in found.former.source
    assert found.record.evaluation.divergence == pytest.approx(knee.evaluation.divergence, rel=1e-4)
    assert found.former.divergence == knee.evaluation.divergence


@pytest.mark.slow
def test_calibration_is_applied_where_it_is_asked_for(run, retrained, tmp_path):
    configuration = run.front.members[0].configuration
    found = pt.apply(configuration, retrained, out=tmp_path / "o", root=tmp_path / "runs", workflow="calibration")
    assert found.record.workflow == "calibration"
    assert found.record.state is not None
    assert found.proven
    assert found.former is None
    assert found.to_json()["divergence"] == {"former": None, "new": found.record.evaluation.divergence}


@pytest.mark.slow
def test_a_workload_object_is_taken_with_defaults(run, retrained, tmp_path):
    class Functions:
        def model(self):
            torch.manual_seed(0)
            return torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))

        def example_inputs(self):
            return (torch.zeros(1, 6),)

        def evaluation_data(self):
            return [((torch.randn(8, 6, generator=torch.Generator().manual_seed(1)),), None)]

    encodings = {"0": pt.Encoding.parse("int8"), "2": pt.Encoding.parse("fp16")}
    found = pt.apply(pt.Configuration(encodings), Functions(), out=tmp_path / "o", root=tmp_path / "runs")
    assert found.proven
    assert found.record.configuration.encodings == encodings


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e | {"haed": "int8"}, ["layer 'haed'", "did you mean 'head'?"]),
        (lambda e: {k: v for k, v in e.items() if k != "mix"}, ["layer 'mix' of the model has no encoding"]),
        (lambda e: e | {"stem": "lut4-g7"}, ["layer 'stem' cannot take 'lut4-g7'", "7"]),
        (lambda e: e | {"stem": "lut99"}, ["lut99"]),
    ],
)
def test_a_configuration_that_does_not_fit_is_named_before_anything_is_compressed(
    run, retrained, tmp_path, capsys, monkeypatch, change, words
):
    encodings = {name: str(e) for name, e in run.front.knee().configuration.encodings.items()}
    path = tmp_path / "configuration.json"
    path.write_text(json.dumps({"encodings": change(encodings), "activations": {}}))
    with pytest.raises(pt.UserError) as error:
        pt.apply(path, retrained, out=tmp_path / "out", root=tmp_path / "runs")
    for word in words:
        assert word in str(error.value)
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_activations_and_workflows_that_cannot_be_are_said(run, retrained, tmp_path):
    configuration = run.front.knee().configuration
    rounded = pt.Configuration(configuration.encodings, {"head": "int8"})
    cases = [
        (rounded, {"workflow": "data_free"}, "activations in 8 bits"),
        (configuration, {"workflow": "guessing"}, "'guessing'"),
    ]
    for given, options, words in cases:
        with pytest.raises(pt.UserError, match=words):
            pt.apply(given, retrained, out=tmp_path / "out", root=tmp_path / "runs", **options)


def command(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["palettune", *map(str, words)])
    with pytest.raises(SystemExit) as ending:
        main()
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return ending.value.code, captured.out, captured.err


@pytest.mark.slow
def test_the_command_line_applies_and_refuses(monkeypatch, capsys, front_file, tmp_path, run):
    (tmp_path / "workload.py").write_text(RETRAINED)
    toml = tmp_path / "experiment.toml"
    toml.write_text('name = "retrained"\nworkload = "workload.py"\n')
    knee = run.front.knee().trial
    places = ("--out", tmp_path / "out", "--root", tmp_path / "runs")
    code, out, err = command(monkeypatch, capsys, "apply", front_file, toml, *places, "--trial", knee)
    assert code == 0, err
    assert "former weights" in out
    assert "proven" in out
    code, out, err = command(monkeypatch, capsys, "apply", front_file, toml, *places)
    assert code == 2
    assert "--trial" in err
    code, out, err = command(monkeypatch, capsys, "apply", tmp_path / "nothing.json", toml, *places)
    assert code == 2
    assert "nothing.json: cannot be read" in err
