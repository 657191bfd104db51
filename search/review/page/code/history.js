// How the search went: hypervolume by time, where the time went, predictions against measurements, what rungs gave.
import { html } from "preact";
import { scaleLinear, scaleLog } from "d3";
import { run } from "data";
import { counted, digits, duration, percent, tick } from "format";
import { choose } from "state";
import { trialSentence } from "sentences";

const SIZE = { width: 460, height: 250, left: 48, right: 12, top: 12, bottom: 38 };

/** The section. */
export function History() {
  return html`<div class="pictures"><${Hypervolume} /><${Predictions} /></div><${Phases} /><${Rungs} />`;
}

function frame(x, y, ticksX, ticksY, labelX, labelY, formatX = tick) {
  return html`<g class="grid">${ticksY.map((value) => html`<g key=${value}><line x1=${SIZE.left} x2=${SIZE.width - SIZE.right} y1=${y(value)} y2=${y(value)} /><text x=${SIZE.left - 6} y=${y(value) + 4} text-anchor="end">${tick(value)}</text></g>`)}
    ${ticksX.map((value) => html`<g key=${value}><line y1=${SIZE.top} y2=${SIZE.height - SIZE.bottom} x1=${x(value)} x2=${x(value)} /><text x=${x(value)} y=${SIZE.height - SIZE.bottom + 15} text-anchor="middle">${formatX(value)}</text></g>`)}
    <text class="title" x=${(SIZE.left + SIZE.width) / 2} y=${SIZE.height - 4} text-anchor="middle">${labelX}</text>
    <text class="title" transform=${`translate(11 ${(SIZE.height - SIZE.bottom) / 2}) rotate(-90)`} text-anchor="middle">${labelY}</text></g>`;
}

const rangeX = [SIZE.left, SIZE.width - SIZE.right];
const rangeY = [SIZE.height - SIZE.bottom, SIZE.top];

/** Whether going on was worth it: the share of the box that the front dominates. */
function Hypervolume() {
  const points = run.history.hypervolume;
  if (points.length < 2) return null;
  const end = Math.max(run.seconds ?? 0, points.at(-1)[0]);
  const values = points.map(([, value]) => value);
  const x = scaleLinear([0, end], rangeX);
  const y = scaleLinear([Math.min(...values), Math.max(...values)], rangeY).nice(4);
  const path = points.map(([at, value], i) => (i ? `H${x(at).toFixed(1)}V${y(value).toFixed(1)}` : `M${x(at).toFixed(1)} ${y(value).toFixed(1)}`)).join("") + `H${x(end)}`;
  const { moments, words } = timeTicks(end);
  const late = gainedLate(points, end);
  return html`<figure><figcaption><h3>Hypervolume</h3><p class="muted">What the front dominates, by time. ${late}</p></figcaption>
    <svg viewBox=${`0 0 ${SIZE.width} ${SIZE.height}`} role="img" aria-label=${`Hypervolume from ${digits(values[0])} to ${digits(values.at(-1))}. ${late}`}>
      ${frame(x, y, moments, y.ticks(4), "time since the start", "hypervolume", words)}<path class="line" d=${path} /></svg></figure>`;
}

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400]; // seconds

/** At most six round moments from 0 to an end in seconds, and how they are written, all in one unit. */
export function timeTicks(end) {
  const step = STEPS.find((one) => end / one < 6) ?? Math.ceil(end / 5 / 86400) * 86400;
  const [unit, seconds] = step >= 3600 ? ["h", 3600] : step >= 60 ? ["min", 60] : ["s", 1];
  const moments = Array.from({ length: Math.floor(end / step) + 1 }, (_, i) => i * step);
  return { moments, words: (moment) => (moment ? `${Number((moment / seconds).toFixed(1))} ${unit}` : "0") };
}

function gainedLate(points, end) {
  const all = points.at(-1)[1] - points[0][1];
  const before = points.filter(([at]) => at <= 0.75 * end).at(-1)?.[1] ?? points[0][1];
  return all > 0 ? `The last quarter of the time gave ${percent((points.at(-1)[1] - before) / all)} of what was gained.` : "";
}

/** Whether predictions can be trusted here. */
function Predictions() {
  const known = run.trials.filter((trial) => trial.predicted > 0 && trial.divergence > 0);
  if (known.length < 2) return null;
  const all = known.flatMap((trial) => [trial.predicted, trial.divergence]);
  const domain = [Math.min(...all) / 1.3, Math.max(...all) * 1.3];
  const [x, y] = [scaleLog(domain, rangeX), scaleLog(domain, rangeY)];
  const decades = domain[1] / domain[0];
  const ticks = x.ticks().filter((value) => Number.isInteger(Number(Math.log10(value).toFixed(9))) || decades < 30 && /^[125]/.test(String(value).replace(/^0\.0*/, "")));
  const ratios = known.map((trial) => Math.abs(Math.log(trial.divergence / trial.predicted))).sort((one, other) => one - other);
  const typical = Math.exp(ratios[ratios.length >> 1]);
  const said = `Half of ${counted(known.length, "prediction")} made before the trial are within a factor of ${typical.toFixed(2)}.`;
  return html`<figure><figcaption><h3>Predicted against measured</h3><p class="muted">${said}</p></figcaption>
    <svg viewBox=${`0 0 ${SIZE.width} ${SIZE.height}`} role="img" aria-label=${said}>${frame(x, y, ticks, ticks, "predicted before it was measured", "measured")}
      <line class="diagonal" x1=${x(domain[0])} y1=${y(domain[0])} x2=${x(domain[1])} y2=${y(domain[1])} />
      ${known.map((trial) => html`<circle key=${trial.trial} class=${trial.status === "front" ? "member" : "other"} cx=${x(trial.predicted).toFixed(1)} cy=${y(trial.divergence).toFixed(1)} r=${trial.status === "front" ? 3.6 : 2.6}
        onClick=${(event) => choose(trial.trial, event.shiftKey)}><title>${trialSentence(trial)}; predicted ${digits(trial.predicted)}</title></circle>`)}</svg></figure>`;
}

/** Where the time went: phases one below the other, on one scale. */
function Phases() {
  const phases = run.history.phases;
  if (!phases.length) return null;
  const end = Math.max(run.seconds ?? 0, ...phases.map((phase) => phase.end ?? 0));
  const share = (value) => `${((100 * value) / end).toFixed(2)}%`;
  return html`<h3>Where the time went</h3><ol class="phases">${phases.map((phase, i) => html`<li key=${i}><span>${phase.name.replaceAll("_", " ")}</span>
    <span class="track"><i style=${`left:${share(phase.begin)};width:max(2px, ${share((phase.end ?? end) - phase.begin)})`}></i></span><span class="muted">${duration((phase.end ?? end) - phase.begin)}</span></li>`)}</ol>`;
}

/** What each rung of the escalation gave. */
function Rungs() {
  if (!run.escalation?.length) return null;
  const tone = (rung) => ({ true: "good", false: "bad" })[rung.pays] ?? "";
  return html`<h3>What escalation gave</h3><ul class="plain">${run.escalation.map((rung) => html`<li key=${rung.rung}><b class=${tone(rung)}>${rung.rung.replaceAll("_", " ")}</b>: ${rung.words}</li>`)}</ul>`;
}
