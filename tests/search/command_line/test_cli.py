"""The command line: exit codes, what is printed where, and a whole story in processes of their own."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

import palettune
from palettune.search.command_line import browser
from palettune.search.command_line.cli import app, main
from palettune.search.experiment.experiment import load_experiment
from palettune.search.experiment.run_folder import RunFolder
from palettune.search.results.verification import verify
from palettune.space.errors import UserError
from tests.search.conftest import EXPERIMENT, WORKLOAD
from tests.search.made_up import record

COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands]


def test_the_version_is_that_of_the_package(command):
    assert command("--version") == (0, f"palettune {palettune.__version__}\n", "")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(command, name):
    code, out, _ = command(name, "--help")
    assert code == 0
    assert f"palettune {name}" in out


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("space.keep: [no] such layer"), 2, "error: space.keep: [no] such layer\n"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to go on\n"),
    ],
)
def test_what_went_wrong_is_one_line_and_an_exit_code(command, monkeypatch, project, error, code, said):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(palettune, "inspect", fails)
    assert command("inspect", project.experiment) == (code, "", said)


def test_a_bug_is_a_traceback(monkeypatch, project):
    def fails(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(palettune, "inspect", fails)
    monkeypatch.setattr(sys, "argv", ["palettune", "inspect", str(project.experiment)])
    with pytest.raises(ZeroDivisionError):
        main()


def test_a_stopped_search_says_the_command_that_goes_on_without_its_secrets(command, monkeypatch, project):
    class Stopped:
        stopped = True

    monkeypatch.setattr(palettune, "run_search", lambda *_, **__: Stopped())
    given = ("--root", "/my runs", "--tracking-uri", "http://me:secret@host:5000")
    code, out, _ = command("search", project.experiment, *given)
    assert code == 130
    assert out == (
        f"stopped; nothing is lost. Go on with: palettune search {project.experiment} --root '/my runs' --tracking-uri http://host:5000\n"
    )


def test_every_summary_is_whole_at_80_columns(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = command("--help")
    assert code == 0
    listed = out[out.index("Commands:") :].splitlines()[1:]
    assert [line.split()[0] for line in listed if line.strip()] == COMMANDS  # one line each: none is broken
    for line, registered in zip(listed, app.registered_commands, strict=False):
        summary = registered.callback.__doc__.strip().splitlines()[0]
        assert line.split(maxsplit=1)[1] == summary
        assert len(line) <= 80


def test_a_search_that_a_server_tracks_is_shown_where_it_is(command, project):
    folder = RunFolder(project.root, "tiny")
    folder.create()
    folder.remember_tracking_uri("http://host:5000")
    code, out, _ = command("ui", project.experiment, "--root", project.root)
    assert (code, out) == (0, "a server of its own shows this search\nMLflow: http://host:5000\n")


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_the_command_line_shows_exports_and_proves(project, command, monkeypatch):
    """What writes runs in processes of its own, as a user runs it; what reads, in this one."""
    monkeypatch.setenv("COLUMNS", "200")
    at = (project.experiment, "--root", project.root)
    shown = project.run("inspect").stdout
    assert "reachable:" in shown
    assert "https://" in shown  # advice has its source
    project.write(
        EXPERIMENT,
        WORKLOAD
        + "\ndef confirmation_data():\n    return [((_images(seed, 8),), torch.zeros(8, dtype=torch.long)) for seed in (5, 6)]\n",
    )
    missing = project.run("front")
    assert missing.returncode == 2
    assert "run `palettune search" in missing.stderr
    done = project.run("search")
    assert done.returncode == 0, done.stderr
    assert f"export with: palettune export {project.experiment} --out DIR --root {project.root}\n" in done.stdout
    members = json.loads(project.run("front", "--json").stdout)
    assert members
    assert set(members[0]) == {
        "trial",
        "knee",
        "workflow",
        "size_mb",
        "latency_ms",
        "calibrated_latency_ms",
        "measured_latency_ms",
        "measurement",
        "escalated_from",
        "divergence",
        "divergence_interval_95",
        "metrics",
        "verdict",
        "not_told_apart_from",
        "confirmation",
        "configuration",
    }
    confirmed = [member for member in members if member["confirmation"]]
    assert confirmed  # on unseen data, and both are shown
    assert all(member["confirmation"]["divergence"] != member["divergence"] for member in confirmed)
    for member in members:
        low, high = member["divergence_interval_95"]
        assert low <= member["divergence"] <= high
    explained = command("front", *at, "--explain")[1]
    assert "next best" in explained
    assert "unseen" in explained
    trial = str(members[0]["trial"])
    assert command("explain", *at, trial)[1].startswith(f"Trial {trial} (")
    assert json.loads(command("explain", *at, trial, "--json")[1])["trial"] == members[0]["trial"]
    assert command("front", *at, "--csv")[1].count("\n") == len(members) + 1
    (listed,) = json.loads(command("list", *at[1:], "--json")[1])
    assert (listed["name"], listed["state"], listed["members"]) == ("tiny", "finished", len(members))
    solved = json.loads(command("solve", *at, "--max-size-mb", "0.03", "--json")[1])
    assert solved["prediction"] is True
    assert solved["size_mb"] <= 0.03
    assert solved["divergence_interval_80"][0] < solved["divergence"] < solved["divergence_interval_80"][1]
    code, _, said = command("solve", *at, "--max-size-mb", "0.001")
    assert code == 2
    assert "head" in said
    out = project.folder / "out"
    made = project.run("export", "--out", str(out), "--pick", "knee", "--pick", str(members[0]["trial"]))
    assert made.returncode == 0, made.stdout + made.stderr
    manifest = json.loads((out / "manifest.json").read_text())
    assert {entry["trial"] for entry in manifest} >= {members[0]["trial"]}
    for entry in manifest:
        assert entry["proof"]["passed"] is True
        assert (out / entry["path"] / "Manifest.json").exists()
        assert entry["predicted_weight_bytes"] == entry["weight_bytes"]
        assert 0 < entry["weight_bytes"] < entry["package_bytes"]
        assert entry["proof"]["execution"]["passed"] is True
        assert entry["proof"]["execution"]["snr_db"] > 40
        verified = verify(out / entry["path"], load_experiment(project.experiment))
        assert verified.divergence == pytest.approx(entry["divergence"], rel=0.2)
        assert verified.claimed == pytest.approx(entry["divergence"], rel=1e-4)
    client = MlflowClient(RunFolder(project.root, "tiny").tracking_uri)
    (shown,) = client.search_experiments(filter_string="name = 'tiny'")
    (parent,) = client.search_runs([shown.experiment_id], "tags.kind = 'search'")
    assert "packages/manifest.json" in {item.path for item in client.list_artifacts(parent.info.run_id, "packages")}
    package = out / manifest[0]["path"]
    predicted = json.loads(command("bench", package, "--device", "iPhone 15 Pro", "--json")[1])
    assert {row["compute_unit"] for row in predicted} == {"ALL", "CPU_AND_NE", "CPU_AND_GPU", "CPU_ONLY"}
    assert all(0 < row["low"] < row["predicted_latency_ms"] < row["high"] for row in predicted)
    code, _, said = command("bench", package, "--device", "iPhone 15 Por")
    assert code == 2
    assert "iPhone 15 Pro" in said
    assert command("bench", package, "--measure")[0] == (0 if sys.platform == "darwin" else 2)
    code, _, said = command("export", *at, "--out", out, "--pick", "999")
    assert code == 2
    assert "the run has no finished trial 999" in said
    code, _, said = command("export", *at, "--out", out, "--max-size-mb", "0.0001")
    assert code == 2
    assert "no member of the front is within the bounds" in said


def test_a_review_is_written_and_opened_unless_it_is_not_wanted(command, monkeypatch, tmp_path):
    class Reviewed:
        notes = ("edited since",)

        def review(self, out):
            return out or tmp_path / "review.html"

    opened = []
    monkeypatch.setattr(palettune, "open_run", lambda *_, **__: Reviewed())
    monkeypatch.setattr(browser, "open_in_browser", opened.append)
    assert command("review", "x.toml") == (0, f"{tmp_path / 'review.html'}\n", "note: edited since\n")
    assert opened == [tmp_path / "review.html"]
    code, out, _ = command("review", "x.toml", "--no-open", "--out", tmp_path / "other.html")
    assert (code, out) == (0, f"{tmp_path / 'other.html'}\n")
    assert len(opened) == 1


def test_what_is_solved_for_is_evaluated_said_in_words_and_exported(command, monkeypatch):
    solved, exported = [], []

    class Solving:
        notes = ()

        def solve(self, **budgets):
            solved.append(budgets)
            return SimpleNamespace(configuration="a configuration")

        def evaluate(self, configuration, **_):
            assert configuration == "a configuration"
            return record(42, 0.08, 2.4)

        def export(self, picked, out, **bounds):
            exported.append(([item.trial for item in picked], bounds["max_size_mb"]))
            return SimpleNamespace(manifest=out / "manifest.json", proven=True)

    monkeypatch.setattr(palettune, "open_run", lambda *_, **__: Solving())
    given = ("export", "x.toml", "--out", "out", "--solve", "--max-size-mb", 2.4, "--forbid", "lut2")
    said = "trial 42, 2.400 MB, divergence 0.0800 (data_free)\nmanifest: out/manifest.json\n"
    assert command(*given) == (0, said, "")
    assert solved == [{"max_size_mb": 2.4, "max_latency_ms": None, "fix": {}, "forbid": ("lut2",)}]
    assert exported == [([42], None)]


def test_an_export_says_which_of_its_options_would_not_be_heard(command, project):
    code, _, said = command("export", project.experiment, "--out", "out", "--forbid", "lut2")
    assert (code, said.startswith("error: --forbid without --solve")) == (2, True)


def test_what_is_no_trial_is_refused_in_words(command, tmp_path):
    frozen = Path(__file__).resolve().parents[2] / "frozen" / "tiny"
    for name in ("experiment.toml", "workload.py"):
        shutil.copy(frozen / name, tmp_path)
    shutil.copytree(frozen / "run_folders", tmp_path / "runs")
    files = (tmp_path / "experiment.toml", "--root", tmp_path / "runs")
    assert command("explain", files[0], "kneee", *files[1:])[2].endswith(
        "kneee: expected the number of a trial, or `knee`\n"
    )
    assert "error: recipe:x:: expected the number" in command("explain", files[0], "recipe:x:", *files[1:])[2]
    code, _, said = command("explain", files[0], "99999", *files[1:])
    assert (code, "trial 99999: the run has no such finished trial" in said) == (2, True)
    (knee,) = (item["trial"] for item in json.loads(command("front", *files, "--json")[1]) if item["knee"])
    assert command("explain", files[0], "knee", *files[1:])[1].startswith(f"Trial {knee} (")
