// What is drawn in the chart of the front, from the back to the front.
import { html } from "preact";
import { figure, rises, run } from "data";
import { tick } from "format";
import { axisTitle, geometry, inWords, unseenFigure } from "axes";
import { placed } from "labels";

/** Grid, ticks and titles of the axes. */
export function Grid() {
  const { edges, ticksX, ticksY, atX, atY, ratios, x, y } = geometry.value;
  const middle = (edges.left + edges.right) / 2;
  return html`<g class="grid">
    ${ticksY.map((value) => html`<g key=${value}><line x1=${edges.left} x2=${edges.right} y1=${atY(value)} y2=${atY(value)} />
      <text x=${edges.left - 8} y=${atY(value) + 4} text-anchor="end">${tick(value)}</text></g>`)}
    ${ticksX.map((value) => html`<g key=${value}><line x1=${atX(value)} x2=${atX(value)} y1=${edges.top} y2=${edges.bottom} />
      <text x=${atX(value)} y=${edges.bottom + 17} text-anchor="middle">${tick(value)}</text></g>`)}
    ${ratios.map(([ratio, at]) => html`<g key=${ratio} class="ratio"><line x1=${atX(at)} x2=${atX(at)} y1=${edges.top - 5} y2=${edges.top} />
      <text x=${atX(at)} y=${edges.top - 9} text-anchor="middle">×${ratio}</text></g>`)}
    ${ratios.length > 0 && html`<text class="title" x=${edges.left - 8} y=${edges.top - 9} text-anchor="end">smaller</text>`}
    <text class="title" x=${middle} y=${edges.bottom + 36} text-anchor="middle">${axisTitle(x)}</text>
    <text class="title" transform=${`translate(14 ${(edges.top + edges.bottom) / 2}) rotate(-90)`} text-anchor="middle">${axisTitle(y)}</text>
  </g>`;
}

/** Limits that the experiment sets. */
export function Constraints() {
  const { atX, atY, edges, x, y, horizontal, vertical } = geometry.value;
  const within = (scale, value) => value >= scale.domain()[0] && value <= scale.domain()[1];
  return run.constraints.map(({ name, value, relation }) => {
    if (name === x && within(horizontal.scale, value)) {
      return html`<g class="limit" key=${name}><line x1=${atX(value)} x2=${atX(value)} y1=${edges.top} y2=${edges.bottom} />
        <text transform=${`translate(${atX(value) - 5} ${edges.bottom - 8}) rotate(-90)`}>limit ${inWords(name, value)}</text></g>`;
    }
    if (name === y && within(vertical.scale, value)) {
      return html`<g class="limit" key=${name}><line x1=${edges.left} x2=${edges.right} y1=${atY(value)} y2=${atY(value)} />
        <text x=${edges.right - 4} y=${atY(value) - 5} text-anchor="end">limit ${relation} ${tick(value)}</text></g>`;
    }
    return null;
  });
}

/** Trials that others dominate, as one shape: there may be a thousand. */
export function Dominated() {
  const { shown, x, y, atX, atY } = geometry.value;
  const dot = (trial) => `M${(atX(figure(trial, x)) - 2.6).toFixed(1)} ${atY(figure(trial, y)).toFixed(1)}a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0`;
  const plain = shown.filter((trial) => trial.status !== "front" && (trial.escalated || (!trial.baseline && !trial.recipe)));
  const path = (test) => plain.filter(test).map(dot).join("");
  return html`<g><path class="infeasible" d=${path((trial) => trial.status === "infeasible")} />
    <path class="dominated" d=${path((trial) => trial.status === "dominated" && !trial.escalated)} />
    <path class="dominated escalated" d=${path((trial) => trial.status === "dominated" && trial.escalated)} /></g>`;
}

/** The staircase below which nothing was found, for the two figures shown. */
export function Staircase() {
  const { x, y, atX, atY, shown } = geometry.value;
  const better = (one, other) => (rises(y) ? one > other : one < other);
  const members = shown.filter((trial) => trial.status === "front").sort((one, other) => figure(one, x) - figure(other, x));
  let best = null;
  let path = "";
  for (const trial of members) {
    const value = figure(trial, y);
    if (best != null && !better(value, best)) continue;
    path += `${best == null ? "M" : "H"}${atX(figure(trial, x))}${best == null ? ` ${atY(value)}` : `V${atY(value)}`}`;
    best = value;
  }
  return html`<path class="staircase" d=${path} />`;
}

/** From each escalated evaluation's beginning to what it gave. */
export function Escalations() {
  const { shown, x, y, atX, atY } = geometry.value;
  return shown.filter((trial) => trial.escalated).map((trial) => {
    const source = run.byTrial.get(trial.escalated_from);
    if (!source || figure(source, x) == null || figure(source, y) == null) return null;
    const [x1, y1, x2, y2] = [atX(figure(source, x)), atY(figure(source, y)), atX(figure(trial, x)), atY(figure(trial, y))];
    const length = Math.hypot(x2 - x1, y2 - y1);
    if (length < 12) return null;
    const stop = (length - 8) / length;
    return html`<line key=${trial.trial} class=${trial.status === "front" ? "escalation" : "escalation beaten"} x1=${x1} y1=${y1} x2=${x1 + (x2 - x1) * stop} y2=${y1 + (y2 - y1) * stop} marker-end="url(#arrow)" />`;
  });
}

/** 95 % intervals and what was measured on unseen data, of the members. */
export function Uncertainty() {
  const { shown, x, y, atX, atY } = geometry.value;
  return shown.filter((trial) => trial.status === "front" || trial.unseen).map((trial) => {
    const place = atX(figure(trial, x));
    const unseen = unseenFigure(trial, y);
    const interval = y === "divergence" && trial.status === "front" && trial.low != null;
    return html`<g key=${trial.trial}>
      ${interval && html`<line class="interval" x1=${place} x2=${place} y1=${atY(trial.low)} y2=${atY(trial.high)} />`}
      ${unseen != null && html`<path class=${trial.verdict === "above" ? "unseen above" : "unseen"} d=${`M${place - 4} ${atY(unseen) - 4}l8 8m0 -8l-8 8`} />`}
    </g>`;
  });
}

/** Uniform encodings and recipes to compare with, labelled. */
export function Baselines() {
  const { shown, x, y, atX, atY, edges } = geometry.value;
  const point = (trial) => ({ x: atX(figure(trial, x)), y: atY(figure(trial, y)), text: trial.recipe ?? trial.baseline, trial });
  const known = shown.filter((trial) => (trial.baseline || trial.recipe) && !trial.escalated).map(point);
  const points = shown.filter((trial) => trial.status === "front").map(point);
  const knee = points.filter(({ trial }) => trial.trial === run.knee).map((at) => ({ ...at, text: "* knee" }));
  const labels = placed([...knee, ...known], [...points, ...known], edges);
  return html`<g class="baselines">
    ${known.map(({ x: cx, y: cy, trial }) => html`<path key=${trial.trial} class=${trial.recipe ? "recipe" : "baseline"}
      d=${trial.recipe ? `M${cx - 4.5} ${cy - 4.5}h9v9h-9z` : `M${cx} ${cy - 5.5}l5.5 5.5l-5.5 5.5l-5.5 -5.5z`} />`)}
    ${labels.map(({ x: lx, y: ly, anchor, text, trial }) => html`<text key=${`${trial.trial}${text}`} x=${lx} y=${ly} text-anchor=${anchor}
      class=${text === "* knee" ? "knee" : ""}>${text}</text>`)}
  </g>`;
}

/** The members of the front; where latency counts too, filled by the figure that is not on the axis. */
export function Members() {
  const { shown, x, y, atX, atY } = geometry.value;
  const third = run.costs.length > 1 ? run.costs.find((name) => name !== x) : null;
  const members = shown.filter((trial) => trial.status === "front");
  const values = third ? members.map((trial) => figure(trial, third)).filter((value) => value != null) : [];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const share = (trial) => (high > low && figure(trial, third) != null ? (figure(trial, third) - low) / (high - low) : null);
  return members.map((trial) => {
    const part = third ? share(trial) : null;
    return html`<circle key=${trial.trial} class=${`member ${trial.escalated ? "escalated" : ""} ${part == null ? "" : "third"}`} data-trial=${trial.trial}
      cx=${atX(figure(trial, x))} cy=${atY(figure(trial, y))} r="4.6" style=${part == null ? "" : `--share:${(part * 100).toFixed(0)}%`} />`;
  });
}

/** What stands for what; the third figure's ends where there is one. */
export function Legend() {
  const { x } = geometry.value;
  const has = (test) => run.trials.some(test);
  const third = run.costs.length > 1 ? run.costs.find((name) => name !== x) : null;
  const values = third ? run.members.map((trial) => figure(trial, third)).filter((value) => value != null) : [];
  const ends = values.length ? [Math.min, Math.max].map((end) => inWords(third, end(...values))) : [];
  const mark = (drawing) => html`<svg width="16" height="12" viewBox="0 0 16 12" aria-hidden="true">${drawing}</svg>`;
  const entry = (drawing, text) => html`<span>${mark(drawing)} ${text}</span>`;
  return html`<div class="legend">
    ${entry(html`<circle class="member" cx="8" cy="6" r="4.2" />`, "on the front")}
    ${has((trial) => trial.escalated) && entry(html`<circle class="member escalated" cx="8" cy="6" r="4.2" />`, "escalated, from where the arrow begins")}
    ${entry(html`<path class="dominated" d="M5.4 6a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0" />`, "dominated")}
    ${has((trial) => trial.low != null) && entry(html`<line class="interval" x1="8" x2="8" y1="0" y2="12" />`, "95 % interval")}
    ${has((trial) => trial.unseen) && entry(html`<path class="unseen" d="M4 2l8 8m0 -8l-8 8" />`, "on unseen data")}
    ${has((trial) => trial.baseline) && entry(html`<path class="baseline" d="M8 1l5 5l-5 5l-5 -5z" />`, "one encoding for all")}
    ${has((trial) => trial.recipe) && entry(html`<path class="recipe" d="M4 2h8v8h-8z" />`, "brought recipe")}
    ${entry(html`<circle class="solved" cx="8" cy="6" r="4.6" />`, "predicted, not measured")}
    ${ends[0] !== ends[1] && html`<span>${ends[0]} <i class="ramp"></i> ${ends[1]}</span>`}
  </div>`;
}
