// The front: draws itself to the width it has, and answers pointer, touch and keyboard.
import { html, useLayoutEffect, useRef } from "preact";
import { figure, run } from "data";
import { geometry, isShown, width } from "axes";
import { Baselines, Constraints, Dominated, Escalations, Grid, Legend, Members, Staircase, Uncertainty } from "marks";
import { Preview } from "preview";
import { trialSentence } from "sentences";
import { a, across, b, choose, choosingSecond, hovered, second, sizeBudget, spoken, swap, timeBudget, upward } from "state";
import { expectedNear, solved, whatIf } from "what_if";

const NEAR = 26; // pixels within which a click means a point

/** The chart with its controls. */
export function FrontChart() {
  const box = useRef(null);
  useLayoutEffect(() => {
    const measure = () => (width.value = Math.max(280, Math.floor(box.current.clientWidth)));
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  const point = (event) => nearest(event, box.current);
  const click = (event) => {
    const trial = point(event);
    if (trial) choose(trial.trial, event.shiftKey);
  };
  return html`<div class="chart" ref=${box} tabindex="0" role="application" aria-roledescription="chart"
      aria-label="The front. Left and right walk along its members, Enter chooses A, Shift Enter chooses B, X changes them, Escape lets B go. The table of trials below holds the same figures."
      onPointerMove=${(event) => event.pointerType !== "touch" && (hovered.value = point(event))} onPointerLeave=${() => (hovered.value = null)}
      onClick=${click} onKeyDown=${walk} onBlur=${() => (hovered.value = null)}>
    <${Drawing} /><${Preview} />
  </div><${Legend} />`;
}

/** The drawing itself; parts that hovering does not change are not drawn again. */
function Drawing() {
  const { height, width: across_ } = geometry.value;
  return html`<svg width=${across_} height=${height} viewBox=${`0 0 ${across_} ${height}`} aria-hidden="true" class=${choosingSecond.value ? "choosing" : ""}>
    <defs><marker id="arrow" viewBox="0 0 8 8" refX="5" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0.6L7 4L0 7.4z" /></marker></defs>
    <${Grid} /><${Budgets} /><${Constraints} /><${Dominated} /><${Staircase} /><${Escalations} /><${Uncertainty} /><${Baselines} /><${Members} />
    <${Predicted} /><${Chosen} /><${Hover} />
  </svg>`;
}

function Budgets() {
  const { edges, atX, x } = geometry.value;
  const budget = x === "size_mb" ? sizeBudget.value : x === "latency_ms" ? timeBudget.value : null;
  if (budget == null) return null;
  const place = Math.min(edges.right, Math.max(edges.left, atX(budget)));
  return html`<g class="budget"><rect x=${place} y=${edges.top} width=${edges.right - place} height=${edges.bottom - edges.top} />
    <line x1=${place} x2=${place} y1=${edges.top} y2=${edges.bottom} /></g>`;
}

/** Rings for what was solved and for "what if": predictions, not measurements. */
function Predicted() {
  const { atX, atY, x, y, edges } = geometry.value;
  if (y !== "divergence") return null;
  const ring = (found, divergence, name) => {
    const cost = found && (x === "size_mb" ? found.mb : found.ms);
    if (cost == null || !(divergence > 0)) return null;
    const [cx, cy] = [atX(cost), Math.min(edges.bottom, Math.max(edges.top, atY(divergence)))];
    return html`<g key=${name} class=${name}><circle cx=${cx} cy=${cy} r="7" />${name === "if" && html`<text x=${cx + 10} y=${cy - 7}>what if</text>`}</g>`;
  };
  const changed = whatIf.value;
  return [
    ring(solved.value, solved.value?.predicted?.value, "solved"),
    changed && ring(changed, expectedNear(a.value, changed.loss) ?? changed.predicted?.value, "if"),
  ];
}

function Chosen() {
  const { atX, atY, x, y } = geometry.value;
  const mark = (trial, name) => {
    if (!trial || figure(trial, x) == null || figure(trial, y) == null) return null;
    const [cx, cy] = [atX(figure(trial, x)), atY(figure(trial, y))];
    return html`<g key=${name} class=${`chosen ${name.toLowerCase()}`}><circle cx=${cx} cy=${cy} r="8.5" /><circle class="dot" cx=${cx} cy=${cy} r="4.6" />
      <rect x=${cx + 8} y=${cy - 24} width="17" height="17" rx="5" /><text x=${cx + 16.5} y=${cy - 11.5} text-anchor="middle">${name}</text></g>`;
  };
  return [mark(b.value, "B"), mark(a.value, "A")];
}

function Hover() {
  const { atX, atY, x, y } = geometry.value;
  const trial = hovered.value;
  return trial && html`<circle class="hover" cx=${atX(figure(trial, x))} cy=${atY(figure(trial, y))} r="7.5" />`;
}

/** The trial nearest to a pointer; members win over others at about the same distance. */
function nearest(event, box) {
  const { left, top } = box.getBoundingClientRect();
  const { shown, atX, atY, x, y } = geometry.value;
  let [best, found] = [NEAR, null];
  for (const trial of shown) {
    const away = Math.hypot(atX(figure(trial, x)) - event.clientX + left, atY(figure(trial, y)) - event.clientY + top);
    const counted = trial.status === "front" || trial.baseline || trial.recipe ? away : away + 7;
    if (counted < best) [best, found] = [counted, trial];
  }
  return found;
}

/** Keys: along the members, choose, change places, let go. */
function walk(event) {
  const line = run.members.filter((trial) => isShown(trial)).sort((one, other) => figure(one, across.value) - figure(other, across.value));
  const here = line.indexOf(hovered.value ?? a.value);
  const steps = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: line.length - 1 };
  if (event.key in steps) {
    hovered.value = line[Math.min(line.length - 1, Math.max(0, steps[event.key]))] ?? null;
    if (hovered.value) spoken.value = trialSentence(hovered.value);
  } else if (event.key === "Enter" || event.key === " ") {
    if (hovered.value) choose(hovered.value.trial, event.shiftKey);
  } else if (event.key === "x" || event.key === "X") swap();
  else if (event.key === "Escape") second.value = null;
  else return;
  event.preventDefault();
}

/** Which figures are on the axes, where there is a choice. */
export function AxisChoice() {
  const option = (name) => html`<option key=${name} value=${name}>${{ size_mb: "size", latency_ms: "latency" }[name] ?? name}</option>`;
  const up = ["divergence", ...run.metrics.map((metric) => metric.name)];
  return html`<span class="axes">
    ${run.timed && html`<label>across <select value=${across.value} onChange=${(event) => (across.value = event.target.value)}>${["size_mb", "latency_ms"].map(option)}</select></label>`}
    ${up.length > 1 && html`<label>up <select value=${upward.value} onChange=${(event) => (upward.value = event.target.value)}>${up.map(option)}</select></label>`}
  </span>`;
}
