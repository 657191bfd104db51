// Which rows the table of layers has: blocks and layers, sorted, filtered, folded.
import { computed } from "preact";
import { bytesOf, lossOf, microsecondsOf, offers, run, sumOver } from "data";
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

/** What one figure is more than another; null where one of them is not known. */
export function minus(one, other) {
  return one == null || other == null ? null : one - other;
}

/** Microseconds of a layer in a trial; null where they are not known, as with inputs in int8. */
export function timeIn(layer, trial) {
  return trial.activations?.[layer.index] === "1" ? null : microsecondsOf(layer, trial.choice[layer.index]);
}

/** Sums over a block's layers: bytes in A and fp16, A's loss, and what B, or A against fp16, takes more. */
export function blockSums({ layers }) {
  const [one, other] = [a.value, b.value];
  const bytes = (trial) => sumOver(layers, (layer) => bytesOf(layer, trial.choice[layer.index]));
  const time = (trial) => sumOver(layers, (layer) => timeIn(layer, trial));
  const float = sumOver(layers, (layer) => layer.floatBytes);
  return {
    float, bytes: bytes(one), loss: sumOver(layers, (layer) => lossOf(layer, one.choice[layer.index])),
    moreBytes: other ? minus(bytes(other), bytes(one)) : minus(bytes(one), float),
    moreTime: other ? minus(time(other), time(one)) : minus(time(one), sumOver(layers, (layer) => layer.floatTime)),
  };
}

/** The loss of a block in each encoding: that of the layers that can have it; null where none can. */
export function blockLosses({ layers }) {
  return run.encodings.map((_, id) => {
    const able = layers.filter((layer) => offers(layer, id));
    return able.length ? { loss: sumOver(able, (layer) => lossOf(layer, id)) } : null;
  });
}
