"""The console of a search."""

import io
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from palettune.evaluators.quality.evaluation import Failure, Screened, Stage
from palettune.search.display.progress import Display
from palettune.search.experiment.experiment import Device
from palettune.search.experiment.rungs.registry import EscalationSettings
from palettune.search.results.ending import Ending
from palettune.search.results.front import Front
from palettune.search.results.known_latency import known_latency
from palettune.search.results.search_history import SearchHistory
from palettune.search.study.record import Record
from palettune.space.search_space import SearchSpace
from tests.search import latency_space
from tests.search.made_up import OBJECTIVES, exported, front, measured, record
from tests.search.studies import escalate, evaluated, experiment_of, study_of


@pytest.fixture
def display():
    return Display(Console(file=io.StringIO(), width=400))


def shown(display):
    return display.console.file.getvalue()


def line(item, members=None, hypervolume=0.5):
    """The line of a trial, as it looks."""
    display = Display(Console(file=io.StringIO(), width=400))
    display.console.print(display.line(item, hypervolume, members or Front((), OBJECTIVES)), highlight=False)
    return shown(display).rstrip("\n")


def without(result):
    """A trial that gave no evaluation."""
    kept = {k: v for k, v in vars(record(3, 1.0, 2.0)).items() if k not in ("evaluation", "failure", "screened")}
    return Record.of(result, **kept | {"values": None, "feasible": False})


def test_a_trial_s_line_has_its_costs_its_divergence_and_where_it_stands():
    members = front()
    assert line(members.members[1], members) == (
        "trial    1  tpe                2.000 MB  divergence   0.4000  hypervolume 0.5000  on the front"
    )
    assert "on the front" not in line(record(9, 0.4, 2.0), members)
    assert line(record(9, 0.4, 2.0, feasible=False)).endswith("(a constraint is not met)")
    assert line(record(9, 0.4, 2.0, answered_from=1)).endswith("(as trial 1)")


@pytest.mark.parametrize("reason", ["expected [batch, length]", "no such file [/tmp/x]", "[bold]"])
def test_reasons_and_names_are_shown_as_they_are_though_brackets_are_markup(reason):
    assert line(without(Failure(Stage.FORWARD, reason, "l0"))).endswith(f"failed at forward, layer 'l0': {reason}")
    item = record(1, 0.4, 2.0)
    item = replace(item, evaluation=replace(item.evaluation, metrics={reason: 0.5}))
    assert f"  {reason} 0.5000  " in line(item)


def test_what_was_screened_says_against_which_trial():
    assert "above that of trial 0, which costs no more" in line(without(Screened(0, 4, 1.0, 0.1)))


def test_a_search_prints_every_trial_and_says_where_it_goes_on(display):
    study = study_of()
    history = SearchHistory(experiment_of(budget={"trials": 5}), study, study.objectives)
    display.on_search_started(history)
    for number in range(3):
        history.add(evaluated(study))
        display.on_trial_finished(history.trials[-1], history)
        assert shown(display).count("hypervolume") == number + 1
    history.add(escalate(study, history.trials[0]))
    display.on_escalation_finished(history.escalations[-1], history)
    display.on_finished(Ending.STOPPED, history)
    assert "escalated from 0" in shown(display)
    assert "going on" not in shown(display)
    display.on_search_started(history)
    display.on_finished(Ending.TRIALS, history)
    assert "going on after 3 of 5 evaluations" in shown(display)


def test_stages_and_bars_say_what_was_done(display):
    with display.stage("checking"):
        pass
    with display.bar("compressing", 3) as advance:
        advance(3)
    first, second = filter(None, shown(display).splitlines())
    assert first.startswith("checking: ")
    assert second.startswith("compressing: 3 in ")


def test_sentences_and_warnings_are_printed_as_they_are(display):
    display.say("shape [3, 4] of [/x]")
    display.warn("look [out]")
    assert shown(display).splitlines() == ["shape [3, 4] of [/x]", "note: look [out]"]


def test_an_exported_package_is_proven_or_what_is_wrong_is_said(display):
    item = record(1, 0.4, 2.0)
    display.on_exported(exported(item, path="out[red]/knee.mlpackage"))
    display.on_exported(exported(item, predicted=5064))
    good, bad = shown(display).splitlines()
    assert good.startswith(
        "out[red]/knee.mlpackage: weight file 5000 B (predicted 5000 B: exact), package 6000 B, proven"
    )
    assert "NOT PROVEN: the weight file takes 5000 B, 5064 B were predicted" in bad


def test_a_measured_latency_is_said_with_what_was_predicted_and_what_the_model_learned(display):
    latency = latency_space.model()
    configuration = latency_space.space().uniform(latency_space.MENU[0])
    ms = latency.predict(configuration).ms
    item = record(4, 0.1, 2.0, configuration=configuration, costs={"size_mb": 2.0, "latency_ms": ms})
    found = replace(measured(2 * ms), drifted=True)
    known = known_latency(latency, [item], {configuration.hash: found})
    display.on_measured(item, found, SimpleNamespace(known=known))
    words = shown(display)
    assert f"trial 4 measured on M2: {2 * ms:.3f} ms, spread 0.100, 50 runs (the device warmed up" in words
    assert f"predicted {ms:.3f} ms" in words
    assert f"is now slower {known.model.scale:.2f} times" in words


def prepared(unused, model, space):
    """A prepared experiment with a device."""
    experiment = unused.experiment.model_copy(update={"device": Device(name="iPhone 15 Pro")})
    return replace(unused, experiment=experiment, latency=model, space=space)


def test_a_prepared_experiment_is_described_with_its_latency_where_a_device_is_named(display, unused):
    display.on_prepared(unused)
    words = shown(display)
    assert f"2 layers, 0.01 M weights; {len(unused.space.choices)} choices to make" in words
    assert "predicted latency" not in words
    display.on_prepared(prepared(unused, latency_space.model(), latency_space.space()))
    assert "predicted latency on iPhone 15 Pro" in shown(display)


def test_a_model_that_no_encoding_makes_faster_is_said_to_be_one(display, unused):
    model, whole = latency_space.model(), latency_space.space()
    display.on_prepared(prepared(unused, model, whole))
    assert "no encoding makes this model noticeably faster" not in shown(display)
    asked = EscalationSettings(int8_activations=2)  # who asks for them is not told what they would bring
    plain = prepared(unused, model, SearchSpace.build(whole.layers, latency_space.MENU[:1], latency_space.TARGET))
    experiment = plain.experiment.model_copy(update={"escalation": asked})
    display.on_prepared(replace(plain, experiment=experiment))
    assert "no encoding makes this model noticeably faster" in shown(display)
    assert "activations in 8 bits would" not in shown(display)


def test_where_there_is_no_terminal_lines_say_what_is_under_way():
    display = Display(Console(file=io.StringIO(), width=400), seconds=0.02)

    def until(words):
        for _ in range(1000):
            if words in shown(display):
                return
            time.sleep(0.01)
        raise AssertionError(shown(display))

    with display.stage("checking the workload"):
        until("checking the workload: 0 s so far")
    with display.bar("compressing layers", 511) as advance:
        advance(120)
        until("compressing layers: 120 of 511 (23%)")
    study = study_of()
    history = SearchHistory(experiment_of(budget={"trials": 5}), study, study.objectives)
    display.on_search_started(history)
    history.add(evaluated(study))
    display.on_trial_finished(history.trials[-1], history)
    until("evaluating: 1 of 5 (20%)")
    display.on_finished(Ending.TRIALS, history)
    said = shown(display)
    time.sleep(0.1)
    assert shown(display) == said


def test_a_terminal_has_its_bars_and_no_such_lines():
    display = Display(Console(file=io.StringIO(), width=80, force_terminal=True), seconds=0.01)
    with display.bar("compressing layers", 10) as advance:
        advance(4)
        time.sleep(0.1)
    assert "4 of 10 (40%)" not in shown(display)
