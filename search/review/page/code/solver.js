// The allocation problem, solved again in the browser: one encoding for each group, least loss within the budgets.
// A Lagrangian search (Everett 1963) for the exchange rate, then what is left of the budget is spent greedily. Large groups
// leave gaps between the rates' answers: their choices are tried one by one.
import { run } from "data";
import { latencyOfSums } from "prediction";

const ROUNDS = 60;
const TIMED_ROUNDS = 40;
const WORK = 10_000; // choices looked at again: many where groups are few, so that a slider stays smooth
const KEPT = 5; // exchange rates from which what is left is spent; the best outcome counts

/**
 * The best choice of each group within budgets.
 * @param {?number} maxBytes of the weight file
 * @param {?number} maxMs predicted latency
 * @returns {{picks: Int32Array, choice: Uint8Array}|null} null where the budgets cannot be met
 */
export function solve(maxBytes, maxMs = null) {
  const room = maxBytes == null ? Infinity : maxBytes - run.constant_bytes;
  const timed = maxMs != null && run.latency && run.groups.every((group) => group.busy);
  const candidates = timed ? [withinTime(room, maxMs)].filter(Boolean) : feasible(room, 0).slice(-KEPT);
  if (!candidates.length) return null;
  for (const picks of candidates) spend(picks, room, timed ? maxMs : Infinity);
  const best = candidates.reduce((one, other) => (lossAt(other) < lossAt(one) ? other : one));
  const picks = timed || !Number.isFinite(room) ? best : withLargeOnesHeld(best, room);
  return { picks, choice: choiceOf(picks) };
}

/** The best of some picks and of those with each choice of the largest groups held. */
function withLargeOnesHeld(picks, room) {
  const choices = run.groups.reduce((sum, group) => sum + group.menu.length, 0);
  const largest = [...run.groups].sort((one, other) => Math.max(...other.bytes) - Math.max(...one.bytes));
  const held = largest.flatMap((group) => group.menu.map((_, pick) => ({ group: group.index, pick })));
  let [best, least] = [picks, lossAt(picks)];
  for (const one of held.slice(0, Math.ceil(WORK / choices))) {
    const found = feasible(room, 0, one).at(-1);
    if (!found) continue;
    spend(found, room, Infinity);
    const loss = lossAt(found);
    if (loss < least) [best, least] = [found, loss];
  }
  return best;
}

/** An encoding for every layer from the picks of groups. */
export function choiceOf(picks) {
  const choice = new Uint8Array(run.layers.length);
  run.groups.forEach((group, index) => group.layers.forEach((layer) => (choice[layer.index] = group.menu[picks[index]])));
  return choice;
}

/** Fewest bytes that can be reached, of the whole file. */
export function fewestBytes() {
  return run.constant_bytes + run.groups.reduce((sum, group) => sum + Math.min(...group.bytes), 0);
}

/** Bytes of layers at given picks. */
function bytesAt(picks) {
  let sum = 0;
  for (let g = 0; g < picks.length; g++) sum += run.groups[g].bytes[picks[g]];
  return sum;
}

/** Predicted divergence at given picks. */
function lossAt(picks) {
  let sum = 0;
  for (let g = 0; g < picks.length; g++) sum += run.groups[g].loss[picks[g]];
  return sum;
}

/** The choices of least loss + rate * bytes + rateMs * microseconds, one of them held. */
function cheapest(rate, rateMs, held) {
  const picks = new Int32Array(run.groups.length);
  run.groups.forEach((group, g) => {
    let best = Infinity;
    let fewest = Infinity;
    for (let i = 0; i < group.menu.length; i++) {
      const time = rateMs ? group.busy[i] + group.stream[i] : 0;
      const cost = group.loss[i] + rate * group.bytes[i] + rateMs * time;
      if (cost < best || (cost === best && group.bytes[i] < fewest)) [best, fewest, picks[g]] = [cost, group.bytes[i], i];
    }
  });
  if (held) picks[held.group] = held.pick;
  return picks;
}

/** The picks that fit at ever better exchange rates, the best last; none where nothing fits. */
function feasible(room, rateMs, held = null) {
  const free = cheapest(0, rateMs, held);
  if (bytesAt(free) <= room) return [free];
  let [low, high] = [-40, 10]; // powers of ten of divergence per byte
  const found = [cheapest(10 ** high, rateMs, held)];
  if (bytesAt(found[0]) > room) return [];
  for (let round = 0; round < ROUNDS; round++) {
    const middle = (low + high) / 2;
    const picks = cheapest(10 ** middle, rateMs, held);
    if (bytesAt(picks) > room) low = middle;
    else {
      high = middle;
      if (picks.some((pick, g) => pick !== found.at(-1)[g])) found.push(picks);
    }
  }
  return found;
}

/** The best of them; null where nothing fits. */
function withinBytes(room, rateMs) {
  return feasible(room, rateMs).at(-1) ?? null;
}

function withinTime(room, maxMs) {
  const free = withinBytes(room, 0);
  if (!free || latencyAt(free) <= maxMs) return free;
  let [low, high] = [-30, 10];
  let found = null;
  for (let round = 0; round < TIMED_ROUNDS; round++) {
    const middle = (low + high) / 2;
    const picks = withinBytes(room, 10 ** middle);
    if (picks && latencyAt(picks) <= maxMs) [high, found] = [middle, picks];
    else low = middle;
  }
  return found;
}

/** The two sums of microseconds at given picks. */
function times(picks) {
  let [busy, stream] = [run.latency.busy_us, run.latency.stream_us];
  run.groups.forEach((group, g) => ([busy, stream] = [busy + group.busy[picks[g]], stream + group.stream[picks[g]]]));
  return [busy, stream];
}

function latencyAt(picks) {
  return latencyOfSums(...times(picks));
}

/** Spend what is left: again and again the change that lowers the loss most for its bytes. Changes the picks. */
function spend(picks, room, maxMs) {
  let left = room - bytesAt(picks);
  if (!Number.isFinite(left)) return;
  for (let round = 0; round < 2 * picks.length; round++) {
    const step = bestStep(picks, left, maxMs);
    if (!step) return;
    picks[step.group] = step.to;
    left -= step.bytes;
  }
}

function bestStep(picks, left, maxMs) {
  let best = null;
  const sums = Number.isFinite(maxMs) ? times(picks) : null;
  run.groups.forEach((group, g) => {
    const here = picks[g];
    for (let to = 0; to < group.menu.length; to++) {
      const bytes = group.bytes[to] - group.bytes[here];
      const gain = group.loss[here] - group.loss[to];
      if (gain <= 0 || bytes > left) continue;
      const value = gain / Math.max(bytes, 1);
      if (best && value <= best.value) continue;
      if (sums && !quick(group, here, to, sums, maxMs)) continue;
      best = { group: g, to, bytes, value };
    }
  });
  return best;
}

function quick(group, here, to, [busy, stream], maxMs) {
  const more = (row) => row[to] - row[here];
  return latencyOfSums(busy + more(group.busy), stream + more(group.stream)) <= maxMs;
}
