"""What a user can mend: a clear message, exit code 2, no traceback, nothing started, nothing lost."""

import sys

import pytest

from palettune.search.command_line.cli import main
from tests.search.conftest import EXPERIMENT, WORKLOAD

SPACE = 'encodings = ["fp16", "lut8", "lut4", "lut2", "int8"]'

WORKLOADS = {
    "missing function": (WORKLOAD.replace("def evaluation_data", "def evaluation_dataa"), ["evaluation_data() is missing", "did you mean 'evaluation_dataa'"]),
    "failing function": (WORKLOAD.replace("torch.manual_seed(0)", "raise RuntimeError('no weights here')"), ["model() failed", "no weights here"]),
    "wrong return type": (WORKLOAD.replace("return network\n\ndef _images", "return 'network'\n\ndef _images"), ["model() returned a path", "torch.nn.Module", "network: no such package"]),
    "outputs are nan": (WORKLOAD.replace("network.norm.running_mean.normal_()", "network.norm.running_mean.fill_(float('nan'))"), ["not finite", "'norm'"]),
    "no evaluation data": (WORKLOAD.replace("for seed in (1, 2):", "for seed in ():"), ["evaluation_data() gave no data"]),
    "no layer": (WORKLOAD.replace("return network\n\ndef _images", "return nn.ReLU()\n\ndef _images"), ["no layer"]),
    "syntax error": ("def model(:", ["does not import: SyntaxError"]),
}  # fmt: skip

EXPERIMENTS = {
    "unknown key": (EXPERIMENT.replace("trials", "trails"), ["budget.trails: unknown key", "'trials'"]),
    "unknown encoding": (EXPERIMENT.replace('"lut2"', '"lut5"'), ["space.encodings", "lut5"]),
    "encoding for no layer": (EXPERIMENT.replace(SPACE, 'encodings = ["lut4-g7"]'), ["'lut4-g7'", "no layer"]),
    "impossible constraint": (EXPERIMENT + "[constraints]\nmax_size_mb = 0.002\n", ["0.002", "head"]),
    "unknown metric": (EXPERIMENT + '[objectives]\nquality = {metric = "accuracy", direction = "maximize"}\n', ["'accuracy'", "top1_agreement"]),
    "missing workload": (EXPERIMENT.replace("workload.py", "nothing.py"), ["nothing.py", "no such workload"]),
    "kept layer unknown": (EXPERIMENT.replace("[search]", 'keep = ["haed*"]\n[search]'), ["space.keep", "'haed*'", "stem"]),
    "group of unknown layers": (EXPERIMENT.replace("[search]", 'groups = [["stem", "haed"]]\n[search]'), ["'haed'", "head"]),
    "too many workers": (EXPERIMENT.replace("workers = 1", "workers = 999"), ["999 worker(s)", "resources.data_free"]),
    "unknown device": (EXPERIMENT + '[device]\nname = "iPhone 15 Por"\n', ["device: ", "did you mean 'iPhone 15 Pro'"]),
    "unknown compute unit": (EXPERIMENT + '[device]\nname = "M2"\ncompute_unit = "NPU"\n', ["device.compute_unit", "CPU_AND_NE"]),
    "latency for no device": (EXPERIMENT + "[constraints]\nmax_latency_ms = 1\n", ["latency_ms", "[device]"]),
    "impossible latency": (EXPERIMENT + '[device]\nname = "iPhone 15 Pro"\n[constraints]\nmax_latency_ms = 0.001\n', ["constraints.max_latency_ms", "iPhone 15 Pro", "head"]),
    "activations without a latency": (EXPERIMENT + "[escalation]\nint8_activations = 2\n", ["escalation.int8_activations", "objectives.cost"]),
    "activations before iOS 17": (
        EXPERIMENT.replace("iOS18", "iOS16") + '[device]\nname = "iPhone 15 Pro"\n[objectives]\ncost = ["size_mb", "latency_ms"]\n[escalation]\nint8_activations = 2\n',
        ["escalation.int8_activations", "iOS16", "iOS17"],
    ),
    "branches of unknown latency": (
        EXPERIMENT + '[device]\nname = "iPhone 15 Pro"\n[objectives]\ncost = ["size_mb", "latency_ms"]\n[escalation.fine_tuning]\ncount = 2\nadapter_rank = 4\n',
        ["escalation.fine_tuning.adapter_placement", "merged"],
    ),
    "branches within a latency": (
        EXPERIMENT + '[device]\nname = "iPhone 15 Pro"\n[constraints]\nmax_latency_ms = 5\n[escalation.fine_tuning]\ncount = 2\nadapter_rank = 4\n',
        ["escalation.fine_tuning.adapter_placement", "max_latency_ms"],
    ),
    "an old name and its new one": (EXPERIMENT.replace("solved_trials", "solved_seeds = 3\nsolved_trials"), ["search.solved_seeds", "keep search.solved_trials"]),
    "unknown setting of a rung": (EXPERIMENT + "[escalation.fine_tuning]\nstpes = 2\n", ["escalation.fine_tuning.stpes", "did you mean 'steps'"]),
    "unknown rung": (EXPERIMENT + "[escalation]\ncalibratoin = 2\n", ["escalation.calibratoin", "did you mean 'calibration'"]),
    "too few runs": (EXPERIMENT + "[measure]\nruns = 2\n", ["measure.runs", "8"]),
    "no toml": ("= 3", ["not valid TOML"]),
}  # fmt: skip


def run(monkeypatch, capsys, project, *words):
    monkeypatch.setattr(sys, "argv", ["palettune", *words])
    with pytest.raises(SystemExit) as ending:
        main()
    captured = capsys.readouterr()
    return ending.value.code, captured.out, captured.err


def assert_refused(monkeypatch, capsys, project, words):
    code, out, err = run(monkeypatch, capsys, project, "search", str(project.experiment), "--root", str(project.root))
    assert code == 2, err
    assert "Traceback" not in out + err
    assert err.startswith("error: ")
    for word in words:
        assert word in err
    assert not (project.root / "tiny" / "journal.log").exists()
    return err


@pytest.mark.parametrize("case", WORKLOADS)
def test_a_bad_workload_is_refused(monkeypatch, capsys, project, case):
    text, words = WORKLOADS[case]
    project.write(EXPERIMENT, text)
    assert "workload.py" in assert_refused(monkeypatch, capsys, project, words)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("case", EXPERIMENTS)
def test_a_bad_experiment_is_refused(monkeypatch, capsys, project, case):
    text, words = EXPERIMENTS[case]
    project.write(text)
    assert_refused(monkeypatch, capsys, project, words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("front", "{toml}", "--root", "{root}"), "run `palettune search"),
        (("export", "{toml}", "--out", "{root}", "--root", "{root}"), "run `palettune search"),
        (("solve", "{toml}", "--max-size-mb", "1", "--root", "{root}"), "run `palettune search"),
        (("ui", "{toml}", "--root", "{root}"), "no MLflow store there"),
        (("search", "{root}/nothing.toml"), "no such experiment file"),
        (("serach", "{toml}"), "serach"),
        (("search", "{toml}", "--rooot", "x"), "--rooot"),
    ],
)
def test_commands_out_of_order_say_what_to_do(monkeypatch, capsys, project, words, message):
    filled = [word.format(toml=project.experiment, root=project.root) for word in words]
    code, out, err = run(monkeypatch, capsys, project, *filled)
    assert code == 2
    assert message in out + err
    assert "Traceback" not in out + err
