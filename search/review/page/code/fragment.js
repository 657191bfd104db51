// What the reader has chosen, in the address: a link shows what its sender saw.
import { batch, effect } from "preact";
import { run } from "data";
import * as state from "state";

const WAIT = 120; // milliseconds: browsers refuse to rewrite an address more often than some times a second

/** The state as the text behind `#`; what is as at first is left out. */
export function fragment() {
  const parts = new URLSearchParams();
  const put = (key, value, usual) => value !== usual && value != null && value !== "" && parts.set(key, String(value));
  put("a", state.first.value);
  put("b", state.second.value, null);
  put("x", state.across.value, run.costs[0]);
  put("y", state.upward.value, run.quality.name);
  put("mb", state.sizeBudget.value, null);
  put("ms", state.timeBudget.value, null);
  put("if", [...state.edits.value].map(([group, id]) => `${group}.${run.encodings[id].name}`).join("_"), "");
  put("from", state.editing.value, "first");
  put("sort", state.sorting.value, "model");
  put("find", state.wanted.value, "");
  put("differ", state.onlyDifferent.value ? 1 : 0, 0);
  put("layer", state.opened.value, null);
  put("all", state.everyTrial.value ? 1 : 0, 0);
  const { key, down } = state.trialOrder.value;
  put("order", `${down ? "-" : ""}${key}`, "size_mb");
  const usual = state.foldedAtFirst();
  put("fold", run.blocks.filter((k) => usual.has(k.index) !== state.folded.value.has(k.index)).map((k) => k.index).join("_"), "");
  return parts.toString();
}

/** Take the state from such a text; what it does not say, or says wrongly, stays as at first. */
export function restore(text) {
  const parts = new URLSearchParams(text.replace(/^#/, ""));
  const number = (key) => (parts.has(key) && Number.isFinite(Number(parts.get(key))) ? Number(parts.get(key)) : null);
  const budget = (key) => (number(key) > 0 ? number(key) : null);
  const trial = (key) => (run.byTrial.has(number(key)) ? number(key) : null);
  const one = (key, among, usual) => (among.includes(parts.get(key)) ? parts.get(key) : usual);
  batch(() => {
    state.reset();
    state.first.value = trial("a") ?? state.first.value;
    state.second.value = trial("b");
    state.across.value = one("x", run.timed ? ["size_mb", "latency_ms"] : ["size_mb"], state.across.value);
    state.upward.value = one("y", ["divergence", ...run.metrics.map((metric) => metric.name)], state.upward.value);
    state.sizeBudget.value = budget("mb");
    state.timeBudget.value = run.latency ? budget("ms") : null;
    state.edits.value = editsOf(parts.get("if") ?? "");
    state.editing.value = one("from", ["first", "solved"], "first");
    state.sorting.value = one("sort", ["model", "bytes", "saved", "loss", "change"], "model");
    state.wanted.value = parts.get("find") ?? "";
    state.onlyDifferent.value = parts.get("differ") === "1";
    state.opened.value = run.layers[number("layer")] && parts.has("layer") ? number("layer") : null;
    state.everyTrial.value = parts.get("all") === "1";
    if (parts.has("order")) state.trialOrder.value = orderOf(parts.get("order"));
    for (const index of (parts.get("fold") ?? "").split("_").filter(Boolean)) state.toggleBlock(Number(index));
  });
}

function orderOf(text) {
  return { key: text.replace(/^-/, ""), down: text.startsWith("-") };
}

function editsOf(text) {
  const places = new Map(run.encodings.map(({ name }, id) => [name, id])); // names, as places shift when a recipe is added
  const pairs = text.split("_").map((pair) => pair.split(".")).map(([group, name]) => [Number(group), places.get(name)]);
  return new Map(pairs.filter(([group, id]) => run.groups[group]?.menu.includes(id)));
}

/** Keep the address and the state alike from now on. */
export function follow() {
  restore(location.hash);
  let waiting = null;
  let written = location.hash.slice(1);
  effect(() => {
    const text = fragment();
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (text === written) return;
      written = text;
      try {
        history.replaceState(null, "", `#${text}`);
      } catch {
        // a page inside another's frame may not change its address
      }
    }, WAIT);
  });
  addEventListener("hashchange", () => {
    if (location.hash.slice(1) === written) return;
    written = location.hash.slice(1);
    restore(location.hash);
  });
}
