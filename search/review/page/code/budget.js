// A budget: first the best that was measured within it, then what is predicted for exactly it.
import { html } from "preact";
import { figure, rises, run } from "data";
import { digits, megabytes, milliseconds, percent } from "format";
import { geometry } from "axes";
import { Command, commandLine } from "clipboard";
import { latencyWords, smaller, verdictWords } from "sentences";
import { fewestBytes } from "solver";
import { b, choose, sizeBudget, timeBudget } from "state";
import { solved, takeSolved } from "what_if";

const STEPS = 1000;

/** Whether one trial is better than another in the quality that the search was for. */
function better(one, other) {
  const [value, best] = [figure(one, run.quality.name), figure(other, run.quality.name)];
  return rises(run.quality.name) ? value > best : value < best;
}

/** The best member of the front within the budgets, as `palettune solve` says it; null where none is. */
export function bestWithin(maxMb, maxMs) {
  const within = (value, bound) => bound == null || (value != null && value <= bound);
  const fits = (trial) => within(trial.size_mb, maxMb) && within(figure(trial, "latency_ms"), maxMs);
  return run.members.filter(fits).reduce((best, trial) => (best == null || better(trial, best) ? trial : best), null);
}

/** The controls below the chart and their answer. */
export function Budget() {
  return html`<div class="budgets">
    <${Slider} name="size_mb" label="Size budget" unit="MB" budget=${sizeBudget} />
    ${run.latency && html`<${Slider} name="latency_ms" label="Latency budget" unit="ms" budget=${timeBudget} />`}
    <${Answer} />
  </div>`;
}

/** A slider that lies below the axis whose figure it bounds, and the same as a number. */
function Slider({ name, label, unit, budget }) {
  const { edges, horizontal, x, width } = geometry.value;
  const own = x === name;
  const values = run.trials.map((trial) => figure(trial, name)).filter((value) => value > 0);
  const [low, high] = own ? horizontal.scale.domain() : [Math.min(...values), Math.max(...values)];
  const logarithmic = low > 0;
  const value = (step) => (logarithmic ? low * (high / low) ** (step / STEPS) : low + ((high - low) * step) / STEPS);
  const step = (found) => Math.round(STEPS * (logarithmic ? Math.log(found / low) / Math.log(high / low) : (found - low) / (high - low)));
  const set = (found) => (budget.value = Number.isFinite(found) && found > 0 ? Number(found.toPrecision(4)) : null);
  const style = own ? `margin-left:${edges.left - 8}px;width:${edges.right - edges.left + 16}px` : `margin-left:${edges.left - 8}px;width:${width - edges.left - 10}px`;
  const id = `budget-${name}`;
  const shown = budget.value == null ? "no limit" : `${budget.value} ${unit}`;
  return html`<div class="slider">
    <input type="range" id=${id} min="0" max=${STEPS} step="1" style=${style} aria-label=${label} aria-valuetext=${shown}
      value=${budget.value == null ? STEPS : Math.min(STEPS, Math.max(0, step(budget.value)))} onInput=${(event) => set(value(Number(event.target.value)))} />
    <div class="slider-words"><label for=${`${id}-number`}>${label}</label>
      <input type="number" id=${`${id}-number`} min="0" step="any" inputmode="decimal" placeholder="none" value=${budget.value ?? ""}
        onChange=${(event) => set(event.target.value === "" ? NaN : Number(event.target.value))} /> ${unit}
      ${budget.value != null && html`<button type="button" class="link" onClick=${() => (budget.value = null)}>no budget</button>`}</div>
  </div>`;
}

function Answer() {
  const [maxMb, maxMs] = [sizeBudget.value, timeBudget.value];
  if (maxMb == null && maxMs == null) return html`<p class="muted answer">Drag to ask what fits: the best measured member, and what is predicted beyond it.</p>`;
  const best = bestWithin(maxMb, maxMs);
  const found = solved.value;
  return html`<div class="answer" aria-live="polite">
    <p class="measured">${best ? html`<${Measured} trial=${best} />` : html`Nothing measured fits. ${maxMb != null && html`The smallest reachable file is ${megabytes(fewestBytes() / 1e6)} MB.`}`}</p>
    ${run.prediction && html`<p class="predicted">${found ? html`<${Predicted} found=${found} best=${best} />` : "No configuration can be found within this budget."}</p>`}
  </div>`;
}

function Measured({ trial }) {
  const [verdict, tone] = verdictWords(trial);
  return html`<span class="muted">Best measured within it: </span><b>trial ${trial.trial}</b>, ${megabytes(trial.size_mb)} MB (${smaller(trial)}),
    ${latencyWords(trial) && ` ${latencyWords(trial)},`} divergence <b>${digits(trial.divergence)}</b>, ${trial.found},
    <span class=${tone}> ${verdict}</span> <button type="button" class="small" onClick=${() => choose(trial.trial, false)}>Show as A</button>
    ${" "}<button type="button" class="small" onClick=${() => choose(trial.trial, true)} disabled=${b.value === trial}>Compare as B</button>`;
}

function Predicted({ found, best }) {
  const value = found.predicted?.value;
  const interval = found.predicted?.low != null ? ` (${digits(found.predicted.low)} to ${digits(found.predicted.high)})` : "";
  const gain = best && value != null && run.quality.name === "divergence" ? 1 - value / best.divergence : null;
  const verdict = gain == null ? "" : gain > 0 ? `better by ${percent(gain)} if that holds` : "no better than what is measured";
  const limits = [sizeBudget.value != null && `--max-size-mb ${sizeBudget.value}`, timeBudget.value != null && `--max-latency-ms ${timeBudget.value}`];
  const command = commandLine("solve", ...limits, "--evaluate");
  return html`<span class="muted">Predicted for exactly it, data-free, not measured: </span>${megabytes(found.mb)} MB${found.ms != null && `, ${milliseconds(found.ms)}`},
    divergence ${digits(value)}${interval}${verdict && html` <span class="muted">· ${verdict}</span>`} <button type="button" class="small" onClick=${takeSolved}>Show as what-if</button>
    ${gain > 0 && html`<${Command} text=${command} />`}`;
}
