// Which rows the table of layers has: blocks and layers, sorted, filtered, folded.
import { computed } from "preact";
import { bytesOf, lossOf, run } from "data";
import { a, b, folded, onlyDifferent, sorting, wanted } from "state";

/** Ways to sort the layers: their names on the page, and what is compared. */
export const SORTS = {
  model: ["model order", null],
  bytes: ["bytes in A", (layer) => bytesOf(layer, a.value.choice[layer.index])],
  saved: ["bytes saved by A", (layer) => layer.floatBytes - (bytesOf(layer, a.value.choice[layer.index]) ?? layer.floatBytes)],
  loss: ["predicted divergence in A", (layer) => lossOf(layer, a.value.choice[layer.index])],
  change: ["difference A to B", (layer) => Math.abs(changeOf(layer) ?? 0)],
};

/** Bytes that B takes more than A; null where nothing is compared. */
export function changeOf(layer) {
  if (!b.value) return null;
  const [own, other] = [a.value, b.value].map((trial) => bytesOf(layer, trial.choice[layer.index]));
  return own == null || other == null ? null : other - own;
}

/** Whether A and B differ in a layer. */
export function differs(layer) {
  return b.value != null && a.value.choice[layer.index] !== b.value.choice[layer.index];
}

/** Rows in the order shown: {block} or {layer, inside}. */
export const rows = computed(() => {
  if (!a.value) return [];
  const wants = matcher(wanted.value);
  const kept = (layer) => wants(layer) && (!onlyDifferent.value || !b.value || differs(layer));
  const by = SORTS[sorting.value]?.[1];
  if (by) {
    const layers = run.layers.filter(kept);
    return layers.sort((one, other) => (by(other) ?? -1) - (by(one) ?? -1)).map((layer) => ({ layer }));
  }
  const searching = wanted.value.trim() !== "" || (onlyDifferent.value && b.value);
  return run.blocks.flatMap((block) => blockRows(block, block.layers.filter(kept), searching));
});

function blockRows(block, layers, searching) {
  if (!layers.length) return [];
  if (block.layers.length === 1) return [{ layer: layers[0] }];
  const shut = folded.value.has(block.index) && !searching;
  return [{ block, shut }, ...(shut ? [] : layers.map((layer) => ({ layer, inside: true })))];
}

/** Layers are found by words in their names, kinds, or the encodings that A and B give them. */
function matcher(text) {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!parts.length) return () => true;
  return (layer) => {
    const codes = [a.value, b.value].filter(Boolean).map((trial) => run.encodings[trial.choice[layer.index]].name);
    const all = [layer.name, layer.kind, ...codes].join(" ").toLowerCase();
    return parts.every((part) => all.includes(part));
  };
}

/** Figures of a block: sums over its layers; an encoding's loss is that of the layers that can have it. */
export function blockSums(block) {
  const sum = (read) => block.layers.reduce((total, layer) => total + (read(layer) ?? 0), 0);
  const trials = [a.value, b.value].map((trial) => trial && sum((layer) => bytesOf(layer, trial.choice[layer.index])));
  const losses = run.encodings.map((_, id) => {
    const able = block.layers.filter((layer) => layer.place[id] >= 0);
    return able.length ? able.reduce((total, layer) => total + (lossOf(layer, id) ?? 0), 0) : null;
  });
  return { float: sum((layer) => layer.floatBytes), first: trials[0], second: trials[1], loss: sum((layer) => lossOf(layer, a.value.choice[layer.index])), losses };
}
