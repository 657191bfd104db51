// The card that follows the pointer over the front.
import { html } from "preact";
import { figure } from "data";
import { digits, megabytes } from "format";
import { geometry } from "axes";
import { a, b, hovered } from "state";
import { kneeMark, latencyWords, smaller, verdictWords } from "sentences";
import { Shares } from "shares";

/** Figures of the hovered trial beside its point. */
export function Preview() {
  const trial = hovered.value;
  if (!trial) return null;
  const { atX, atY, x, y, width, height } = geometry.value;
  const [left, top] = [atX(figure(trial, x)), atY(figure(trial, y))];
  const side = left > width * 0.58 ? `right:${width - left + 14}px` : `left:${left + 14}px`;
  const edge = top > height * 0.55 ? `bottom:${height - top + 8}px` : `top:${top + 8}px`;
  const [verdict, tone] = verdictWords(trial);
  const role = trial === a.value ? "A · " : trial === b.value ? "B · " : "";
  return html`<div class="preview" style=${`${side};${edge}`}>
    <b>${role}${trial.recipe ?? trial.baseline ?? `trial ${trial.trial}`}${kneeMark(trial) && " · * knee"}</b>
    <dl><dt>size</dt><dd>${megabytes(trial.size_mb)} MB <span class="muted">${smaller(trial)}</span></dd>
      ${latencyWords(trial) && html`<dt>latency</dt><dd>${latencyWords(trial)}</dd>`}
      <dt>divergence</dt><dd>${digits(trial.divergence)} ${trial.low != null && html`<span class="muted">${digits(trial.low)} to ${digits(trial.high)}</span>`}</dd>
      ${Object.entries(trial.metrics ?? {}).slice(0, 3).map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${digits(value)}</dd>`)}
      <dt>found</dt><dd>${trial.found}</dd></dl>
    <${Shares} trial=${trial} /><span class=${tone}>${verdict}</span>
  </div>`;
}
