// The search's data as the page uses them: looked up by number, layer and group, and unpacked once.

/** Everything of the search; filled by `open`, before anything is drawn. */
export const run = {};

const ZERO = 48; // the character that stands for encoding 0

/**
 * Take the data of the page (their form: review_data.py) and index them.
 * @param {object} raw parsed JSON
 */
export function open(raw) {
  Object.assign(run, raw);
  run.count = run.encodings.length;
  run.floatMb = run.float_bytes / 1e6;
  run.weights = run.model.weights;
  run.layers.forEach(indexLayer);
  run.groups = grouped(run.layers);
  run.trials.forEach(indexTrial);
  run.byTrial = new Map(run.trials.map((trial) => [trial.trial, trial]));
  run.members = run.front.map((number) => run.byTrial.get(number)).filter(Boolean);
  run.uniform = run.encodings.map(() => null);
  run.blocks = blocksOf(run.layers);
  run.measured = run.trials.some((trial) => trial.measured_latency_ms != null);
  run.timed = run.costs.includes("latency_ms") || run.trials.some((trial) => trial.latency_ms != null);
  return run;
}

/** Index a layer: `place` is that of an encoding in its lists, first those of its menu, then those that trials brought. */
function indexLayer(layer, index) {
  layer.index = index;
  layer.place = new Int16Array(run.count).fill(-1);
  const { encodings = [], ...figures } = layer.brought ?? {};
  for (const [key, values] of Object.entries(figures)) if (values) layer[key] = [...layer[key], ...values];
  [...layer.menu, ...encodings].forEach((id, place) => (layer.place[id] = place));
  layer.reason = new Map((layer.refused ?? []).map(([id, reason]) => [id, run.reasons[reason]]));
  layer.floatBytes = 2 * layer.weights;
  const float = run.encodings.findIndex((encoding) => encoding.name === "fp16");
  if (float >= 0 && layer.place[float] >= 0) layer.floatBytes = layer.bytes[layer.place[float]];
  layer.floatTime = float >= 0 ? microsecondsOf(layer, float) : null;
}

function indexTrial(trial) {
  let choice = null;
  trial.escalated = trial.escalated_from != null;
  Object.defineProperty(trial, "choice", { get: () => (choice ??= unpackedChoice(trial.configuration ?? "")) });
}

/** The encoding of each layer; unpacked when it is asked for, as a thousand trials of a thousand layers take their time. */
function unpackedChoice(letters) {
  const choice = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) choice[i] = letters.charCodeAt(i) - ZERO;
  return choice;
}

/** Layers that share one encoding, with what each choice costs all of them together. */
function grouped(layers) {
  const groups = new Map();
  for (const layer of layers) {
    if (!groups.has(layer.group)) groups.set(layer.group, []);
    groups.get(layer.group).push(layer);
  }
  return [...groups.values()].map((members, index) => {
    const menu = members[0].menu.filter((id) => members.every((layer) => offers(layer, id)));
    const sum = (key) => menu.map((id) => members.reduce((total, layer) => total + at(layer, key, id), 0));
    for (const layer of members) layer.owner = index;
    const timed = members.every((layer) => layer.busy_us);
    return {
      index, layers: members, menu, bytes: sum("bytes"), loss: sum("loss"),
      busy: timed ? sum("busy_us") : null, stream: timed ? sum("stream_us") : null,
    };
  });
}

/** One entry of a layer's row of the menu, 0 where it has none. */
function at(layer, key, id) {
  return layer[key]?.[layer.place[id]] ?? 0;
}

/** Whether a layer's menu offers an encoding; one that was brought along has figures, and cannot be chosen. */
export function offers(layer, id) {
  return layer.place[id] >= 0 && layer.place[id] < layer.menu.length;
}

/** A figure of some layers added up; null where one of them has none. */
export function sumOver(layers, read) {
  let sum = 0;
  for (const layer of layers) {
    const value = read(layer);
    if (value == null) return null;
    sum += value;
  }
  return sum;
}

/** Bytes of a layer in an encoding; null where no trial uses it and its menu does not have it. */
export function bytesOf(layer, id) {
  return layer.place[id] < 0 ? null : layer.bytes[layer.place[id]];
}

/** Predicted divergence of a layer alone in an encoding; null where it is not known. */
export function lossOf(layer, id) {
  return layer.place[id] < 0 ? null : (layer.loss?.[layer.place[id]] ?? null);
}

/** Microseconds that a layer adds in an encoding; null without a device. */
export function microsecondsOf(layer, id) {
  return layer.place[id] < 0 ? null : (layer.latency_us?.[layer.place[id]] ?? null);
}

/**
 * A trial's figure by its name: a cost, the divergence or one of the workload's metrics; null where it has none. Latency
 * is what is known best: measured, or else predicted by what measurements taught.
 */
export function figure(trial, name) {
  if (!trial) return null;
  if (name === "latency_ms") return trial.known_latency_ms ?? trial.latency_ms ?? null;
  if (name === "divergence" || name === "size_mb") return trial[name] ?? null;
  return trial.metrics?.[name] ?? null;
}

/** Whether larger values of a figure are better. */
export function rises(name) {
  if (name === run.quality.name && name !== "divergence") return run.quality.direction === "maximize";
  return run.metrics.find((metric) => metric.name === name)?.direction === "maximize";
}

/** Neighbouring layers of one block: `blocks.6.expand.conv` and `blocks.6.depthwise.conv` are of `blocks.6`. */
function blocksOf(layers) {
  const blocks = [];
  for (const layer of layers) {
    const name = blockName(layer.name);
    const last = blocks.at(-1);
    if (last?.name === name) last.layers.push(layer);
    else blocks.push({ name, layers: [layer], index: blocks.length });
    layer.block = blocks.at(-1);
  }
  return blocks;
}

/** A layer's name up to its first number, or else its first part. */
export function blockName(name) {
  const parts = name.split(".");
  const number = parts.findIndex((part) => /^\d+$/.test(part));
  if (number >= 0 && number < parts.length - 1) return parts.slice(0, number + 1).join(".");
  return parts.length > 1 ? parts[0] : name;
}
