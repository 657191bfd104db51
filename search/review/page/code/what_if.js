// "What if": a configuration made of A, or of what was solved for the budget, and some other encodings.
import { computed } from "preact";
import { figure, run } from "data";
import { fileBytes, lossSum, predictedDivergence, predictedLatency } from "prediction";
import { solve } from "solver";
import { a, edits, editing, sizeBudget, timeBudget } from "state";

/** What the solver finds within the budgets; null without a budget or where it cannot be met. */
export const solved = computed(() => {
  if (!run.prediction || (sizeBudget.value == null && timeBudget.value == null)) return null;
  const found = solve(sizeBudget.value == null ? null : sizeBudget.value * 1e6, timeBudget.value);
  return found && outcome(found.choice);
});

/** The configuration that the edits start from. */
export const base = computed(() => (editing.value === "solved" ? solved.value?.choice : a.value?.choice) ?? null);

/** The configuration with the edits, and what it is predicted to give; null where nothing was changed. */
export const whatIf = computed(() => {
  if (!base.value || (!edits.value.size && editing.value === "first")) return null;
  const choice = Uint8Array.from(base.value);
  for (const [group, id] of edits.value) for (const layer of run.groups[group].layers) choice[layer.index] = id;
  const found = outcome(choice);
  if (editing.value === "first" && a.value.activations) found.ms = null; // the page knows no times with inputs in int8
  return found;
});

/** Costs and predicted divergence of a configuration without data. */
export function outcome(choice) {
  const loss = lossSum(choice);
  const bytes = fileBytes(choice);
  return { choice, loss, bytes, mb: bytes == null ? null : bytes / 1e6, ms: predictedLatency(choice), predicted: predictedDivergence(loss) };
}

/** The divergence to expect near a measured trial: its own, scaled by the change of the scores; null where unknown. */
export function expectedNear(trial, loss) {
  const own = trial && (trial.loss ?? lossSum(trial.choice));
  const measured = figure(trial, "divergence");
  return own > 0 && loss > 0 && measured > 0 ? (measured * loss) / own : null;
}

/** Change the encoding of a group; the encoding that it has already takes the change back. */
export function edit(group, id) {
  editMany([[group, id]]);
}

/** Change several groups at once. */
export function editMany(pairs) {
  const next = new Map(edits.value);
  for (const [group, id] of pairs) {
    if (!base.value || !run.groups[group].menu.includes(id)) continue;
    if (base.value[run.groups[group].layers[0].index] === id) next.delete(group);
    else next.set(group, id);
  }
  edits.value = next;
}

/** Take the last change back. */
export function undo() {
  edits.value = new Map([...edits.value].slice(0, -1));
}

/** Begin from the configuration that was solved for the budget. */
export function takeSolved() {
  editing.value = "solved";
  edits.value = new Map();
}

/** Forget all changes. */
export function forget() {
  editing.value = "first";
  edits.value = new Map();
}

/** A configuration as the JSON that `palettune export --configuration FILE` reads: a trial's `configuration.json`. */
export function configurationJson(choice, activations = null) {
  const int8 = run.layers.filter((layer) => activations?.[layer.index] === "1").map((layer) => [layer.name, "int8"]);
  const encodings = run.layers.map((layer) => [layer.name, run.encodings[choice[layer.index]].name]);
  return JSON.stringify({ activations: Object.fromEntries(int8), encodings: Object.fromEntries(encodings) });
}
