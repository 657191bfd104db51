// What the reader has chosen. Every part of the page reads these signals, and only these, besides the data.
import { batch, computed, signal } from "preact";
import { run } from "data";

/** Numbers of the trials compared; `second` is null where nothing is compared. */
export const first = signal(null);
export const second = signal(null);

/** The trial below the pointer or the keyboard's mark. */
export const hovered = signal(null);

/** Whether the next click chooses B, for hands without a shift key. */
export const choosingSecond = signal(false);

/** Names of the figures on the two axes. */
export const across = signal("size_mb");
export const upward = signal("divergence");

/** Budgets: MB and ms, null for none. */
export const sizeBudget = signal(null);
export const timeBudget = signal(null);

/** "What if": group -> encoding, changed from A or from the configuration that was solved for the budget. */
export const edits = signal(new Map());
export const editing = signal("first");

/** The table of layers. */
export const sorting = signal("model");
export const wanted = signal("");
export const onlyDifferent = signal(false);
export const folded = signal(new Set());
export const opened = signal(null);

/** The table of trials. */
export const everyTrial = signal(false);
export const trialOrder = signal({ key: "size_mb", down: false });

export const wordsShown = signal(false);
export const printing = signal(false);
export const spoken = signal("");

export const a = computed(() => run.byTrial.get(first.value) ?? null);
export const b = computed(() => (second.value === first.value ? null : (run.byTrial.get(second.value) ?? null)));

/** Set everything to what a reader sees first. */
export function reset() {
  batch(() => {
    first.value = run.knee ?? run.front[Math.floor(run.front.length / 2)] ?? run.trials[0]?.trial ?? null;
    second.value = null;
    across.value = run.costs[0] ?? "size_mb";
    upward.value = run.quality.name;
    sizeBudget.value = timeBudget.value = null;
    edits.value = new Map();
    editing.value = "first";
    sorting.value = "model";
    wanted.value = "";
    onlyDifferent.value = everyTrial.value = false;
    folded.value = foldedAtFirst();
    opened.value = null;
    trialOrder.value = { key: "size_mb", down: false };
  });
}

/** Blocks are folded where there are too many layers to see at once. */
export function foldedAtFirst() {
  return new Set(run.layers.length > 120 ? run.blocks.filter((block) => block.layers.length > 1).map((k) => k.index) : []);
}

/** Choose a trial as A, or as B to compare; choosing B again lets it go. */
export function choose(number, asSecond) {
  batch(() => {
    if (asSecond || choosingSecond.value) second.value = second.value === number || first.value === number ? null : number;
    else {
      first.value = number;
      if (second.value === number) second.value = null;
    }
    choosingSecond.value = false;
  });
}

/** Change the places of A and B. */
export function swap() {
  if (b.value) [first.value, second.value] = [second.value, first.value];
}

/** Fold a block, or open it. */
export function toggleBlock(index) {
  const next = new Set(folded.value);
  if (!next.delete(index)) next.add(index);
  folded.value = next;
}

/** Open the details of one layer, or close them. */
export function toggleLayer(index) {
  opened.value = opened.value === index ? null : index;
}
