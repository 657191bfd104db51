// What a trial is and what is known about it, in words that stand in several places.
import { run } from "data";
import { digits, megabytes, milliseconds, times, workflowWords } from "format";

/** Ratio of fp16's size to a trial's. */
export function smaller(trial) {
  return trial?.size_mb && run.floatMb ? times(run.floatMb / trial.size_mb) : "–";
}

/** What a trial is called: its recipe, its uniform encoding, or its number. */
export function trialName(trial) {
  const own = trial.recipe ?? (trial.baseline && !trial.escalated ? `uniform ${trial.baseline}` : null);
  return own ? `${own}, trial ${trial.trial}` : `trial ${trial.trial}`;
}

/** One line that says what a trial is. */
export function trialSentence(trial) {
  const latency = trial.latency_ms != null ? `, ${milliseconds(trial.latency_ms)}` : "";
  const knee = trial.trial === run.knee ? ", the knee" : "";
  return `${trialName(trial)}${knee}: ${megabytes(trial.size_mb)} MB, ${smaller(trial)} smaller${latency}, divergence ${digits(trial.divergence)}, ${workflowWords(trial)}`;
}

/** What verdict a trial has, in words and as a class. */
export function verdictWords(trial) {
  if (trial?.verdict === "holds") return ["holds on unseen data", "good"];
  if (trial?.verdict === "above") return ["above its interval on unseen data", "bad"];
  return ["not checked on unseen data", "muted"];
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
  if (trial.distinct_from_next == null) return `not compared with trial ${next.trial}`;
  return trial.distinct_from_next ? `surely: differs from trial ${next.trial}` : `cannot be told apart from trial ${next.trial}`;
}
