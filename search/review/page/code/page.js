// The whole page: head, front with comparison, layers, trials, history, checks.
import { html, options, render } from "preact";
import { open, run } from "data";
import { counted, digits, duration, many, megabytes } from "format";
import { Budget } from "budget";
import { Checks } from "checks";
import { Comparison, Inside } from "comparison";
import { follow } from "fragment";
import { AxisChoice, FrontChart } from "front_chart";
import { History } from "history";
import { Layers } from "layers_table";
import { latencyWords, smaller, verdictWords } from "sentences";
import { choose, choosingSecond, printing, spoken, wordsShown } from "state";
import { Trials } from "trials_table";
import { WhatIfBar } from "what_if_bar";
import { Words } from "words";

const SECTIONS = [["front", "Front"], ["layers", "Layers"], ["trials", "Trials"], ["history", "History"], ["checks", "Checks"]];

const REST = 20_000; // milliseconds
const ABANDONED = 600_000;

/** Draw the page of a search into an element, and follow its address. */
export function show(data, element) {
  open(data);
  follow();
  listen();
  if (run.state === "running") stayCurrent();
  element.replaceChildren();
  render(html`<${Page} />`, element);
}

function Page() {
  return html`<${Head} />${wordsShown.value && html`<${Words} />`}
    <main>
      <div class="top"><section class="card" id="front" aria-labelledby="front-title"><header><h2 id="front-title">Front</h2><${Hint} /><${AxisChoice} /></header><${FrontChart} /><${Budget} /></section>
        <section class="card comparison" id="comparison" aria-label="Comparison"><${Comparison} /></section></div>
      <${Inside} />
      <section class="card" id="layers" aria-labelledby="layers-title"><header><h2 id="layers-title">Layers</h2><p class="muted hint">Frame: A's choice. Dot: B's. Colour: predicted divergence of this layer alone. Click a cell to ask what if, a name for why.</p></header><${Layers} /></section>
      <section class="card" id="trials" aria-labelledby="trials-title"><header><h2 id="trials-title">Trials</h2></header><${Trials} /></section>
      <section class="card" id="history" aria-labelledby="history-title"><header><h2 id="history-title">History</h2></header><${History} /></section>
      <section class="card" id="checks" aria-labelledby="checks-title"><header><h2 id="checks-title">Checks</h2></header><${Checks} /></section>
    </main>
    <${WhatIfBar} /><div class="unseen-by-eye" role="status" aria-live="polite">${spoken}</div>`;
}

function Hint() {
  return html`<p class="muted hint">${choosingSecond.value ? "Click the point to compare with." : "Click: A. Shift-click: B. Hover for figures."}</p>`;
}

function Head() {
  const state = run.state === "running" ? "running" : run.state === "stopped" ? "stopped, can be continued" : (run.ending ?? "finished");
  const written = new Date(run.written).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  const parts = [run.target, run.device, `${counted(run.model.layers, "layer")}, ${many(run.model.weights)} weights`, `${counted(run.trials.length, "trial")} in ${duration(run.seconds)}`, `written ${written}`].filter(Boolean);
  return html`<header class="page-head"><div><h1>${run.name} <span class=${`state ${run.state}`}>${state}</span></h1><p class="muted">${parts.join(" · ")}</p></div>
    <nav aria-label="Sections">${SECTIONS.map(([id, title]) => html`<button type="button" key=${id} class="link" onClick=${() => jump(id)}>${title}</button>`)}
      <button type="button" class="small" aria-expanded=${wordsShown.value} onClick=${() => (wordsShown.value = !wordsShown.value)}>Words and keys</button>
      <button type="button" class="small" onClick=${changeTheme}>Dark or light</button></nav>
    <${Lead} /></header>`;
}

/** The answer that most readers came for. */
function Lead() {
  const knee = run.byTrial.get(run.knee);
  const quality = run.quality.words ? html` <span class="muted">Quality: ${run.quality.words}.</span>` : "";
  if (!knee) return html`<p class="lead">${quality}</p>`;
  const [verdict, tone] = verdictWords(knee);
  return html`<p class="lead">The knee is <button type="button" class="link" onClick=${() => choose(knee.trial, false)}>trial ${knee.trial}</button>: <b>${megabytes(knee.size_mb)} MB</b>, ${smaller(knee)} smaller than fp16${
    latencyWords(knee) && `, ${latencyWords(knee)}`}, divergence <b>${digits(knee.divergence)}</b>; it <span class=${tone}>${verdict.replace(/^(not )?checked/, "was $&").replace(/^above/, "is above")}</span>.${quality}</p>`;
}

function jump(id) {
  document.getElementById(id)?.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

/** The other of dark and light, until the page is left. */
function changeTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

/**
 * While the search runs its page is written again and again: open it anew when the reader rests. What is chosen stays, as
 * it is in the address. A page that nobody has written for long is left alone.
 */
function stayCurrent() {
  let touched = Date.now();
  for (const kind of ["pointermove", "keydown", "wheel", "touchstart"]) addEventListener(kind, () => (touched = Date.now()), { passive: true });
  setInterval(() => {
    const now = Date.now();
    if (!document.hidden && now - touched > REST && now - Date.parse(run.written) < ABANDONED) location.reload();
  }, REST);
}

function listen() {
  const writing = (event) => event.target.closest?.("input, select, textarea");
  addEventListener("keydown", (event) => {
    if (writing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("find")?.focus();
    } else if (event.key === "?") wordsShown.value = !wordsShown.value;
  });
  const now = (all) => {
    const usual = options.debounceRendering;
    options.debounceRendering = (draw) => draw(); // all rows have to be there before the browser prints
    printing.value = all;
    options.debounceRendering = usual;
  };
  addEventListener("beforeprint", () => now(true));
  addEventListener("afterprint", () => now(false));
}
