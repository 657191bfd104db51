// Why a layer has its encoding: what a byte is worth in a configuration, and what the next best choice would be.
import { bytesOf, lossOf, run, sumOver } from "data";

/** What each choice of a group brings beside a configuration's own, which may be none of the menu: [{id, bytes, loss}]. */
function steps(group, choice) {
  const [bytes, loss] = [bytesOf, lossOf].map((read) => sumOver(group.layers, (layer) => read(layer, choice[layer.index])));
  if (bytes == null) return [];
  return group.menu.map((id, i) => ({ id, bytes: group.bytes[i] - bytes, loss: loss == null ? null : group.loss[i] - loss }));
}

/**
 * Divergence per byte at which a configuration's cheapest step up and dearest step down meet (their geometric mean),
 * as `palettune front --explain` has it; null where no step is scored.
 */
export function exchangeRate(choice) {
  let up = 1e-30;
  let down = Infinity;
  for (const group of run.groups) {
    for (const { bytes, loss } of steps(group, choice)) {
      if (bytes > 0 && loss < 0) up = Math.max(up, -loss / bytes);
      else if (bytes < 0 && loss > 0) down = Math.min(down, loss / -bytes);
    }
  }
  return Math.sqrt(up * (Number.isFinite(down) ? down : up));
}

/**
 * The menu of a layer's group beside its choice, best for the exchange rate first.
 * @returns {{id: number, bytes: number, loss: number, regret: number}[]} differences from the choice
 */
export function alternatives(layer, choice, rate) {
  const others = steps(run.groups[layer.owner], choice).filter((step) => step.id !== choice[layer.index]);
  const rows = others.map((step) => ({ ...step, regret: step.loss + rate * step.bytes }));
  return rows.sort((one, other) => one.regret - other.regret);
}
