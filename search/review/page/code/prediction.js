// What a configuration is predicted to give: the same figures as `palettune solve` prints.
import { run, sumOver } from "data";

const EIGHTY = 1.2816; // standard deviations on either side of an interval of 80 %

/** Predicted divergence of every layer alone, added up; null where a choice has no score. */
export function lossSum(choice) {
  return total(choice, "loss");
}

/** Bytes of the weight file; null where nobody knows those of a choice. */
export function fileBytes(choice) {
  const layers = total(choice, "bytes");
  return layers == null ? null : layers + run.constant_bytes;
}

function total(choice, key) {
  return sumOver(run.layers, (layer) => layer[key]?.[layer.place[choice[layer.index]]]);
}

/**
 * The divergence that a sum of scores stands for, corrected by the measured evaluations nearest to it.
 * @returns {{value: number, low: ?number, high: ?number}|null} null where nothing is known
 */
export function predictedDivergence(loss) {
  const known = run.prediction;
  if (!known || loss == null) return null;
  if (loss <= 0) return known.unseen == null ? null : { value: known.unseen, low: null, high: null };
  const ratios = nearestRatios(known, loss);
  const centre = ratios.length ? median(ratios) : 0;
  const width = EIGHTY * (ratios.length > 2 ? deviation(ratios) : known.spread);
  const value = loss * Math.exp(centre);
  return { value, low: value * Math.exp(-width), high: value * Math.exp(width) };
}

function nearestRatios(known, loss) {
  const rows = known.points.map(([point, ratio]) => [Math.abs(Math.log(point / loss)), ratio]);
  rows.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
  return rows.slice(0, known.nearest).filter(([distance]) => distance < known.within).map(([, ratio]) => ratio);
}

function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function deviation(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

/** Predicted latency in ms from the two sums of microseconds of the latency model; see its documentation. */
export function latencyOfSums(busy, stream) {
  const model = run.latency;
  const inner = (value) => Math.pow(value, model.overlap);
  const spilled = stream + Math.max(stream - model.resident_us, 0) * (model.excess - 1);
  return (model.floor_us + Math.pow(inner(busy) + inner(spilled), 1 / model.overlap)) / 1e3;
}

/** Predicted latency of a configuration in ms; null without a device. */
export function predictedLatency(choice) {
  if (!run.latency) return null;
  const busy = total(choice, "busy_us");
  const stream = total(choice, "stream_us");
  return busy == null || stream == null ? null : latencyOfSums(run.latency.busy_us + busy, run.latency.stream_us + stream);
}
