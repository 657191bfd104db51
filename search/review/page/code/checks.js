// What was checked: unseen against seen data, proofs, which weights are not compressed, and what was refused and why.
import { html } from "preact";
import { run } from "data";
import { counted, digits, factor, kilobytes, percent } from "format";
import { kneeMark, verdictWord } from "sentences";
import { choose } from "state";

/** The section. */
export function Checks() {
  return html`<div class="columns"><div><${Unseen} /><${Proofs} /></div><div><${Coverage} /><${Refusals} /><${Notes} /></div></div>`;
}

/** How members did on data that the search never saw. */
function Unseen() {
  const checked = run.members.filter((trial) => trial.unseen);
  if (!checked.length) return html`<h3>Unseen data</h3><p class="muted">No member was checked on data that the search never saw. <code>confirmation_data()</code> in the workload gives some.</p>`;
  const [holding, unsure] = ["holds", "unsure"].map((verdict) => checked.filter((trial) => trial.verdict === verdict).length);
  const { searched, unseen, sources_unseen: sources } = run.samples;
  const of = sources && sources !== unseen ? ` of ${counted(sources, "source")}` : "";
  return html`<h3>Unseen data</h3><p>${counted(holding, "member")} of ${checked.length} checked ${holding === 1 ? "holds" : "hold"}${unsure > 0 && `, ${unsure} of too few samples to tell`}; searched on ${counted(searched, "sample")}, checked on ${unseen ?? "other"}${of}.</p>
    <div class="wide" tabindex="0" role="region" aria-label="Unseen against seen data"><table class="trials"><thead><tr><th scope="col">trial</th><th scope="col">seen</th><th scope="col">unseen</th><th scope="col">ratio</th><th scope="col" class="verdict">verdict</th></tr></thead>
    <tbody>${checked.map((trial) => html`<tr key=${trial.trial}><td><button type="button" class="link" onClick=${() => choose(trial.trial, false)}>${trial.trial}${kneeMark(trial)}</button></td>
      <td>${digits(trial.divergence)}</td><td>${digits(trial.unseen.divergence)}</td><td>${trial.divergence > 0 ? factor(trial.unseen.divergence / trial.divergence) : "–"}</td>
      <td class=${`verdict ${verdictWord(trial)[1]}`}>${verdictWord(trial)[0]}</td></tr>`)}</tbody></table></div>`;
}

function Proofs() {
  const proofs = run.checks.proofs ?? [];
  if (!proofs.length) return html`<h3>Proofs</h3><p class="muted">No package was exported yet. Each one is opened again, compared and run when it is.</p>`;
  return html`<h3>Proofs</h3><ul class="plain">${proofs.map((proof) => html`<li key=${proof.package}><span class=${proof.passed ? "good" : "bad"}>${proof.passed ? "proven" : "not proven"}</span> <code>${proof.package}</code> (trial ${proof.trial}) <span class="muted">${proof.words}</span></li>`)}</ul>`;
}

function Coverage() {
  const { coverage, uncompressed } = run.checks;
  if (coverage == null && !uncompressed.length) return null;
  return html`<h3>Weights that are layers</h3>${coverage != null && html`<p>${percent(coverage)} of the model's weights can be compressed.</p>`}
    ${uncompressed.length > 0 && html`<ul class="plain">${uncompressed.slice(0, 12).map((one) => html`<li key=${one.name}><code>${one.name}</code> ${kilobytes(one.bytes)} <span class="muted">${one.reason}</span></li>`)}</ul>
      ${uncompressed.length > 12 && html`<p class="muted">and ${uncompressed.length - 12} more</p>`}`}`;
}

/** Refused encodings by reason: where and how often. */
function Refusals() {
  const found = new Map();
  for (const layer of run.layers) {
    for (const [id, reason] of layer.refused ?? []) {
      const key = `${id} ${reason}`;
      const row = found.get(key) ?? { id, reason: run.reasons[reason], layers: [] };
      row.layers.push(layer.name);
      found.set(key, row);
    }
  }
  if (!found.size) return html`<h3>Refused encodings</h3><p class="muted">Every encoding can be used in every layer.</p>`;
  const rows = [...found.values()].sort((one, other) => other.layers.length - one.layers.length);
  const line = (row, i) => html`<li key=${i}><b>${run.encodings[row.id].name}</b> in ${counted(row.layers.length, "layer")}: ${row.reason} <span class="muted">${row.layers.slice(0, 3).join(", ")}${row.layers.length > 3 ? " …" : ""}</span></li>`;
  return html`<h3>Refused encodings</h3><ul class="plain">${rows.slice(0, 8).map(line)}</ul>${rows.length > 8 && html`<details><summary>${rows.length - 8} more reasons</summary><ul class="plain">${rows.slice(8).map(line)}</ul></details>`}`;
}

function Notes() {
  const failed = run.trials.filter((trial) => trial.status === "failed");
  const notes = [...(run.checks.notes ?? []), ...(failed.length ? [`${counted(failed.length, "trial")} failed: ${failed[0].reason ?? "no reason given"}`] : [])];
  return notes.length > 0 && html`<h3>Notes</h3><ul class="plain">${notes.map((note) => html`<li key=${note}>${note}</li>`)}</ul>`;
}
