// The front, or every trial, as a table: the same figures as the chart, for sorting, reading and the keyboard.
import { computed, html } from "preact";
import { figure, run } from "data";
import { digits, megabytes, milliseconds } from "format";
import { distinctWords, kneeMark, latencyWords, nextLarger, smaller, verdictWord, verdictWords } from "sentences";
import { a, b, choose, everyTrial, first, hovered, second, trialOrder } from "state";
import { useVisibleRows } from "visible_rows";
import { isShown } from "axes";

const HEIGHT = 31;

/** Columns: key to sort by, title, how to read the value, and how to show it. */
const columns = computed(() => [
  ["trial", "trial", (t) => t.trial, (t) => html`${t.trial}${kneeMark(t) && html`<b title="the knee">${kneeMark(t)}</b>`}`],
  ["size_mb", "MB", (t) => t.size_mb, (t) => megabytes(t.size_mb)],
  ["smaller", "smaller", (t) => t.size_mb && 1 / t.size_mb, (t) => smaller(t)],
  ...(run.timed ? [["latency_ms", run.measured ? "latency" : "predicted latency", (t) => figure(t, "latency_ms"), (t) => (run.measured ? latencyWords(t) : milliseconds(figure(t, "latency_ms")))]] : []),
  ["divergence", "divergence", (t) => t.divergence, (t) => html`<b>${digits(t.divergence)}</b>`],
  ["low", "95 % interval", (t) => t.low, (t) => (t.low == null ? "" : `${digits(t.low)} – ${digits(t.high)}`)],
  ["unseen", "unseen", (t) => t.unseen?.divergence, unseenCell],
  ...run.metrics.map(({ name }) => [name, name, (t) => figure(t, name), (t) => digits(figure(t, name))]),
  ["next", run.costs.length > 1 ? "divergence differs from the next" : "differs from the next", (t) => (t.distinct_from_next == null ? null : Number(t.distinct_from_next)), nextCell],
  ["found", "found", (t) => t.workflow, (t) => html`${t.found} <span class="muted">${t.recipe ?? t.origin ?? ""}</span>`],
  ...(everyTrial.value ? [["status", "status", (t) => t.status, (t) => html`<span title=${t.reason ?? ""}>${t.status}</span>`]] : []),
]);

const sorted = computed(() => {
  const { key, down } = trialOrder.value;
  const read = columns.value.find(([name]) => name === key)?.[2] ?? ((trial) => trial.size_mb);
  const list = everyTrial.value ? [...run.trials] : [...run.members];
  const compare = (one, other) => (typeof one === "string" ? one.localeCompare(other) : one - other);
  return list.sort((one, other) => {
    const [x, y] = [read(one), read(other)];
    if (x == null || y == null) return Number(x == null) - Number(y == null); // what is missing comes last either way
    return (down ? -1 : 1) * compare(x, y);
  });
});

function unseenCell(trial) {
  if (!trial.unseen) return html`<span class="muted">–</span>`;
  const [word, tone] = verdictWord(trial);
  return html`${digits(trial.unseen.divergence)} <span class=${tone} title=${verdictWords(trial)[0]}>${word}</span>`;
}

function nextCell(trial) {
  if (!nextLarger(trial) || trial.distinct_from_next == null) return "";
  return html`<span class=${trial.distinct_from_next ? "" : "bad"} title=${distinctWords(trial)}>${trial.distinct_from_next ? "surely" : "not surely"}</span>`;
}

/** The table with its controls. */
export function Trials() {
  const list = sorted.value;
  const { box, start, end, before, after } = useVisibleRows(list.length, HEIGHT);
  return html`<div class="controls"><label class="check"><input type="checkbox" checked=${everyTrial.value} onChange=${(event) => (everyTrial.value = event.target.checked)} /> every trial, not only the front (${run.trials.length})</label></div>
    <div class="wide" tabindex="0" role="region" aria-label="Table of trials"><table class="trials" aria-rowcount=${list.length + 1}>
      <thead><tr><th scope="col">choose</th>${columns.value.map((column) => html`<${Head} key=${column[0]} column=${column} />`)}</tr></thead>
      <tbody ref=${box}>${before > 0 && html`<tr key="before" aria-hidden="true" style=${`height:${before}px`}></tr>`}
        ${list.slice(start, end).map((trial) => html`<${Line} key=${trial.trial} trial=${trial} />`)}
        ${after > 0 && html`<tr key="after" aria-hidden="true" style=${`height:${after}px`}></tr>`}</tbody>
    </table></div>`;
}

function Head({ column: [key, title] }) {
  const { key: own, down } = trialOrder.value;
  const here = own === key;
  const sort = () => (trialOrder.value = { key, down: here && !down });
  return html`<th scope="col" class=${key} aria-sort=${here ? (down ? "descending" : "ascending") : "none"}><button type="button" class="link" onClick=${sort}>${title}${here ? (down ? " ↓" : " ↑") : ""}</button></th>`;
}

function Line({ trial }) {
  const [isA, isB] = [a.value === trial, b.value === trial];
  const name = `trial ${trial.trial}`;
  const button = (text, on, pick) => html`<button type="button" class=${`badge-button ${text.toLowerCase()}`} aria-pressed=${on} aria-label=${`${name} as ${text}`} disabled=${trial.divergence == null} onClick=${pick}>${text}</button>`;
  return html`<tr class=${`${isA ? "is-a" : ""} ${isB ? "is-b" : ""}`} onPointerEnter=${() => (hovered.value = isShown(trial) ? trial : null)} onPointerLeave=${() => (hovered.value = null)}>
    <td>${button("A", isA, () => (first.value = trial.trial))}${button("B", isB, () => (isB ? (second.value = null) : choose(trial.trial, true)))}</td>
    ${columns.value.map(([key, , , show]) => html`<td key=${key} class=${key}>${show(trial)}</td>`)}</tr>`;
}
