// What the changed configuration is predicted to give, and how to take it along.
import { html } from "preact";
import { run } from "data";
import { counted, digits, factor, megabytes, milliseconds } from "format";
import { commandLine, copy, CopyButton, download } from "clipboard";
import { a, edits, editing, spoken } from "state";
import { configurationJson, expectedNear, forget, undo, whatIf } from "what_if";

/** A bar at the foot of the page while something is changed. */
export function WhatIfBar() {
  const found = whatIf.value;
  if (!found) return null;
  const activations = editing.value === "first" ? a.value.activations : null;
  const json = () => configurationJson(found.choice, activations);
  return html`<aside class="what-if" aria-label="What if">
    <${Outcome} found=${found} />
    <div class="what-if-buttons"><${CopyButton} text=${json} label="Copy configuration" />
      <button type="button" class="small" onClick=${() => download(`${run.name}-what-if.json`, json())}>Download</button>
      <button type="button" class="small" onClick=${command}>Copy command</button>
      <button type="button" class="small" disabled=${!edits.value.size} onClick=${undo}>Undo</button>
      <button type="button" class="small" onClick=${forget}>Reset</button></div>
  </aside>`;
}

function Outcome({ found }) {
  const solved = editing.value === "solved";
  const count = edits.value.size;
  const origin = solved ? "the solved configuration" : `A, trial ${a.value.trial}`;
  const expected = solved && !count ? null : expectedNear(a.value, found.loss);
  const plain = found.predicted?.value;
  return html`<p aria-live="polite"><b class="what-if-name">What if</b> ${count ? `${counted(count, "change")} to ${origin}` : origin}:${" "}
    <b>${megabytes(found.mb)} MB</b> <span class="muted">(A: ${megabytes(a.value.size_mb)})</span>${found.ms != null && html`, <b>${milliseconds(found.ms)}</b>`}, divergence <b>≈ ${digits(!solved && expected != null ? expected : plain)}</b> <span class="muted">(A: ${digits(a.value.divergence)}${
      expected != null && a.value.divergence > 0 && !solved ? `, ${factor(expected / a.value.divergence)}` : ""}; predicted, not measured${
      withData() && a.value.workflow !== "calibration" ? `, ${a.value.found} as A is; the command calibrates` : ""}${
      !solved && plain != null ? `; solve would say ${digits(plain)} data-free` : ""})</span></p>`;
}

/** Whether the divergence to expect is that of weights which are found with data, as A's are. */
function withData() {
  return editing.value === "first" && a.value.workflow !== "data_free";
}

async function command() {
  const line = commandLine("export", `--configuration ${run.name}-what-if.json`, withData() && "--calibrate", "--out packages");
  spoken.value = (await copy(line)) ? "command copied" : "the browser does not let this page copy";
}
