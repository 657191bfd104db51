// A, and A against B: every figure side by side, bytes by encoding, what an escalation gained, commands.
import { html } from "preact";
import { figure, rises, run } from "data";
import { counted, digits, factor, kilobytes, megabytes, milliseconds, percent } from "format";
import { Command, commandLine } from "clipboard";
import { distinctWords, kneeMark, smaller, verdictWord, verdictWords } from "sentences";
import { encodingColour } from "colours";
import { bytesByEncoding, Shares } from "shares";
import { a, b, choose, choosingSecond, second, swap } from "state";

const WORDY = new Set(["found", "better than the next?", "other than the next?"]);

/** The panel beside the front. */
export function Comparison() {
  const [one, other] = [a.value, b.value];
  if (!one) return html`<p class="muted">No trial has a result yet.</p>`;
  return html`<${Choice} one=${one} other=${other} />
    <${Figures} one=${one} other=${other} />
    <${Take} one=${one} other=${other} />`;
}

/** Below it, as wide as the page: where the bytes are, and what escalations gave. */
export function Inside() {
  const [one, other] = [a.value, b.value];
  if (!one) return null;
  const gains = [one, other].filter((trial) => trial && (run.byTrial.has(trial.escalated_from) || trial.gains?.length));
  return html`<section class="card inside" aria-label="Bytes by encoding"><div><${Encodings} one=${one} other=${other} /></div>
    ${gains.length > 0 && html`<div>${gains.map((trial) => html`<${Gains} key=${trial.trial} trial=${trial} name=${other ? (trial === one ? "A" : "B") : ""} />`)}</div>`}</section>`;
}

/** Which trials are compared, to choose from a list. */
function Choice({ one, other }) {
  return html`<div class="choice">
    <label class="pick a"><span class="badge">A</span><${Picker} value=${one.trial} pick=${(number) => choose(number, false)} name="A" /></label>
    <label class="pick b"><span class="badge">B</span><${Picker} value=${other?.trial ?? ""} pick=${(number) => (second.value = number)} name="B" none /></label>
    <div class="choice-buttons">${other
      ? html`<button type="button" class="small" onClick=${swap}>Swap</button><button type="button" class="small" onClick=${() => (second.value = null)}>Only A</button>`
      : html`<button type="button" class="small" aria-pressed=${choosingSecond.value} onClick=${() => (choosingSecond.value = !choosingSecond.value)}>
          ${choosingSecond.value ? "Now click B in the chart" : "Compare with …"}</button>`}</div>
  </div>`;
}

function Picker({ value, pick, name, none = false }) {
  const members = run.members.filter((trial) => trial.size_mb != null);
  const others = run.trials.filter((trial) => (trial.baseline || trial.recipe) && !members.includes(trial) && trial.divergence != null);
  const chosen = run.byTrial.get(value);
  const extra = chosen && !members.includes(chosen) && !others.includes(chosen) ? [chosen] : [];
  const option = (trial) => html`<option key=${trial.trial} value=${trial.trial}>${megabytes(trial.size_mb)} MB · ${digits(trial.divergence)} · ${
    trial.recipe ?? (trial.baseline && !trial.escalated ? `uniform ${trial.baseline}` : trial.found)} · ${trial.trial}${kneeMark(trial) && " · * knee"}</option>`;
  return html`<select aria-label=${`Trial ${name}`} value=${value} onChange=${(event) => pick(event.target.value === "" ? null : Number(event.target.value))}>
    ${none && html`<option value="">nothing to compare</option>`}${extra.map(option)}
    <optgroup label="The front, smallest first">${members.map(option)}</optgroup>
    ${others.length > 0 && html`<optgroup label="To compare with">${others.map(option)}</optgroup>`}
  </select>`;
}

/** Rows of figures: a name, a value of each trial, and what B is to A. */
function rowsOf(trials) {
  const any = (read) => trials.some((trial) => read(trial) != null);
  const ratio = (read) => (one, other) => (read(one) > 0 && read(other) > 0 ? factor(read(other) / read(one)) : "");
  const share = (read) => (one, other) => (read(one) > 0 && read(other) != null ? signed(read(other) / read(one) - 1) : "");
  const rows = [
    ["size", (t) => `${megabytes(t.size_mb)} MB`, share((t) => t.size_mb)],
    ["smaller than fp16", smaller],
    ["bits per weight", (t) => digits(t.bits_per_weight)],
  ];
  if (any((t) => t.activations)) rows.push(["layers with int8 inputs", (t) => String([...(t.activations ?? "")].filter((one) => one === "1").length)]);
  if (any((t) => t.latency_ms)) rows.push(["latency, predicted", (t) => milliseconds(t.latency_ms), share((t) => t.latency_ms)]);
  if (any(calibrated)) rows.push(["latency, calibrated", (t) => milliseconds(calibrated(t)), share(calibrated)]);
  if (any((t) => t.measured_latency_ms)) rows.push(["latency, measured", (t) => milliseconds(t.measured_latency_ms), share((t) => t.measured_latency_ms)]);
  rows.push(["divergence", (t) => html`<b>${digits(t.divergence)}</b>`, ratio((t) => t.divergence)]);
  if (any((t) => t.low)) rows.push(["95 % interval", (t) => (t.low == null ? "–" : html`<span class="interval-words">${digits(t.low)} – ${digits(t.high)}</span>`)]);
  rows.push(["on unseen data", (t) => unseen(t), ratio((t) => t.unseen?.divergence)]);
  for (const { name } of run.metrics) rows.push(...metricRows(name, any));
  rows.push(["found", (t) => `${t.found}; ${t.origin ?? "–"}`], [run.costs.length > 1 ? "other than the next?" : "better than the next?", distinctWords]);
  return rows;
}

/** The latency that a model predicts which measurements of other configurations taught; null without any. */
function calibrated(trial) {
  return trial.measured_latency_ms == null ? (trial.known_latency_ms ?? null) : null;
}

function metricRows(name, any) {
  const change = (one, other) => (figure(one, name) != null && figure(other, name) != null ? signedDigits(figure(other, name) - figure(one, name)) : "");
  const rows = [[`${name}${rises(name) ? " ↑" : ""}`, (t) => digits(figure(t, name)), change]];
  if (any((t) => t.unseen?.metrics?.[name])) rows.push([`${name}, unseen`, (t) => digits(t.unseen?.metrics?.[name])]);
  return rows;
}

function unseen(trial) {
  if (!trial.unseen) return html`<span class="muted">not checked</span>`;
  const [word, tone] = verdictWord(trial);
  return html`${digits(trial.unseen.divergence)} <span class=${tone} title=${verdictWords(trial)[0]}>${word}</span>`;
}

function signed(share) {
  return share === 0 ? "same" : `${share > 0 ? "+" : "−"}${percent(Math.abs(share))}`;
}

function signedDigits(value) {
  return value === 0 ? "same" : `${value > 0 ? "+" : ""}${digits(value)}`;
}

function Figures({ one, other }) {
  const trials = other ? [one, other] : [one];
  return html`<table class="figures"><caption class="unseen-by-eye">${other ? "A against B" : "Figures of A"}</caption>
    <thead><tr><th scope="col"><span class="unseen-by-eye">figure</span></th><th scope="col" class="a">A <span class="muted">${one.trial}</span></th>
      ${other && html`<th scope="col" class="b">B <span class="muted">${other.trial}</span></th><th scope="col" class="relation">B to A</th>`}</tr></thead>
    <tbody>${rowsOf(trials).map(([name, show, relate]) => html`<tr key=${name} class=${WORDY.has(name) ? "wordy" : ""}><th scope="row">${name}</th><td>${show(one)}</td>
      ${other && html`<td>${show(other)}</td><td class="muted relation">${relate ? relate(one, other) : ""}</td>`}</tr>`)}</tbody></table>`;
}

/** Bars on one scale, and below them each encoding's bytes. */
function Encodings({ one, other }) {
  const sums = [one, other].filter(Boolean).map((trial) => bytesByEncoding(trial.choice));
  const whole = Math.max(...sums.map((rows) => rows.reduce((sum, row) => sum + row.bytes, 0)), 1);
  const ids = [...new Set(sums.flat().map((row) => row.id))].sort((i, k) => i - k);
  const cell = (rows, id) => {
    const row = rows.find((found) => found.id === id);
    return html`<td>${row ? kilobytes(row.bytes) : "–"}</td><td class="muted">${row ? row.layers : ""}</td>`;
  };
  return html`<h3>Bytes by encoding</h3>
    <div class="bars"><span class="a">A</span><${Shares} trial=${one} whole=${whole} name="A" />${other && html`<span class="b">B</span><${Shares} trial=${other} whole=${whole} name="B" />`}</div>
    <table class="figures codes"><thead><tr><th scope="col">encoding</th><th scope="col">${other ? "A" : "bytes"}</th><th scope="col" class="muted">layers</th>
      ${other && html`<th scope="col">B</th><th scope="col" class="muted">layers</th>`}</tr></thead>
    <tbody>${ids.map((id) => html`<tr key=${id}><th scope="row"><${Dot} id=${id} /> ${run.encodings[id].name}</th>${sums.map((rows) => cell(rows, id))}</tr>`)}</tbody></table>`;
}

function Dot({ id }) {
  return html`<i class="dot" style=${`--code:${encodingColour(id)}`}></i>`;
}

/** What each method of an escalation gave. */
function Gains({ trial, name }) {
  const source = run.byTrial.get(trial.escalated_from);
  if (!source && !trial.gains?.length) return null;
  const whole = source?.divergence != null && trial.divergence != null;
  return html`<h3>What ${(trial.rung ?? trial.workflow).replaceAll("_", " ")} gave ${name}</h3>
    ${whole && html`<p class="gain">${digits(source.divergence)} <span class="muted">(trial ${source.trial}, data-free)</span> → <b>${digits(trial.divergence)}</b>
      <span class="good"> ${percent(1 - trial.divergence / source.divergence)} of the divergence gone</span></p>`}
    ${trial.gains?.length > 0 && html`<ul class="gains">${trial.gains.map((gain) => html`<li key=${gain.method}>${gain.method.replaceAll("_", " ")}: ${gainWords(gain)}</li>`)}</ul>`}`;
}

function gainWords(gain) {
  if (gain.divergence_before == null) return `kept in ${gain.layers}${gain.tried ? ` of ${counted(gain.tried, "layer")}` : " layers"}`;
  const kept = gain.kept ? "" : ", not kept";
  return `${digits(gain.divergence_before)} → ${digits(gain.divergence_after)}${kept}`;
}

/** Commands for what is chosen. */
function Take({ one, other }) {
  const chosen = [one, other].filter(Boolean);
  const picks = chosen.map((trial) => `--pick ${trial.trial}`);
  const packages = chosen.map((trial) => run.checks.proofs.findLast((proof) => proof.trial === trial.trial)?.path).filter(Boolean);
  const verify = (path) => `palettune verify ${path} --against ${run.commands.experiment ?? "EXPERIMENT.toml"}`;
  return html`<h3>Take ${other ? "them" : "it"}</h3><${Command} text=${commandLine("export", "--out packages", ...picks)} name="Copy the command that exports" />
    <p class="muted small-print">Packages are proven as they are written. To run one again:</p>
    ${(packages.length ? packages : ["MODEL.mlpackage"]).map((path) => html`<${Command} key=${path} text=${verify(path)} name="Copy the command that verifies" />`)}
    <p class="muted small-print">Why each layer has its encoding, in the terminal:</p>
    ${chosen.map((trial) => html`<${Command} key=${trial.trial} text=${commandLine("explain", trial.trial)} name=${`Copy the command that explains trial ${trial.trial}`} />`)}`;
}
