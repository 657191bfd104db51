// What a trial is and what is known about it, in words that stand in several places.
import { figure, run } from "data";
import { digits, megabytes, milliseconds, times } from "format";

/** Ratio of fp16's size to a trial's. */
export function smaller(trial) {
  return trial?.size_mb && run.floatMb ? times(run.floatMb / trial.size_mb) : "–";
}

/** A trial's latency as it is known best, and how; nothing where there is none. */
export function latencyWords(trial) {
  const ms = figure(trial, "latency_ms");
  return ms == null ? "" : `${milliseconds(ms)} ${trial.measured_latency_ms != null ? "measured" : "predicted"}`;
}

/** What a trial is called: its recipe, its uniform encoding, or its number. */
export function trialName(trial) {
  const own = trial.recipe ?? (trial.baseline && !trial.escalated ? `uniform ${trial.baseline}` : null);
  return own ? `${own}, trial ${trial.trial}` : `trial ${trial.trial}`;
}

/** One line that says what a trial is. */
export function trialSentence(trial) {
  const latency = latencyWords(trial) && `, ${latencyWords(trial)}`;
  const knee = trial.trial === run.knee ? ", the knee" : "";
  return `${trialName(trial)}${knee}: ${megabytes(trial.size_mb)} MB, ${smaller(trial)} smaller${latency}, divergence ${digits(trial.divergence)}, ${trial.found}`;
}

const VERDICTS = {
  holds: ["holds", "good", "holds on unseen data"],
  above: ["above", "bad", "above its interval on unseen data"],
  unsure: ["too few samples", "muted", "checked on too few samples"],
  unchecked: ["", "muted", "not checked on unseen data"],
};

/** What verdict a trial has, in words and as a class. */
export function verdictWords(trial) {
  const [, tone, words] = VERDICTS[trial.verdict];
  return [words, tone];
}

/** The same beside its figure, in as few words as a table has room for. */
export function verdictWord(trial) {
  return VERDICTS[trial.verdict].slice(0, 2);
}

/** The mark of the knee, as in every table of Palettune; nothing beside other trials. */
export function kneeMark(trial) {
  return trial.trial === run.knee ? " *" : "";
}

/** The next larger member of the front; null where there is none. */
export function nextLarger(trial) {
  const place = run.members.indexOf(trial);
  return place < 0 ? null : (run.members[place + 1] ?? null);
}

/** Whether a member is surely another than the next larger one. */
export function distinctWords(trial) {
  const next = nextLarger(trial);
  if (!next) return trial?.status === "front" ? "the largest member" : "not on the front";
  const by = run.costs.length > 1 ? " by divergence" : ""; // the next in size is another one by its latency
  if (trial.distinct_from_next == null) return `not compared with trial ${next.trial}: ${notCompared()}`;
  return trial.distinct_from_next ? `surely: differs from trial ${next.trial}${by}` : `cannot be told apart from trial ${next.trial}${by}`;
}

function notCompared() {
  const { name } = run.quality;
  return name === "divergence" ? "too few samples" : `${name} is known of all samples together alone`;
}
