// @ts-check
/** The headline figure with its interval, what guessing would give, and whether it is enough. */
import { html, useEffect, useState } from "../vendor/preact.js";
import { part, send } from "../api.js";
import { Failed, Interval } from "./ui.js";
import { count, exactly, percent, range, several, thing } from "./words.js";

/** How many more held-out examples would take the target out of the interval. @param {number} p @param {number} target @param {number} n */
export function needed(p, target, n) {
  const gap = Math.abs(p - target);
  if (gap < 0.002) return null;
  const all = (3.84 * Math.max(p * (1 - p), 0.01)) / (gap * gap);
  const more = all - n;
  return more > 0 && more < 100_000 ? Math.ceil(more / 10) * 10 : null;
}

/** @param {any} figure @param {number} target @param {string} things @param {number} n */
function judged(figure, target, things, n) {
  const asked = `the ${exactly(target)} you asked for`;
  if (figure.low == null || figure.high == null) return { chip: ["cannot be told yet", ""], say: html`<b>Cannot be told yet:</b> too few examples were held out for ${asked}.` };
  if (figure.low > target) return { chip: ["good enough", "ok"], say: html`<span class="ok">Good enough for ${asked}:</span> even the lower end is above it.` };
  if (figure.high < target) return { chip: ["not yet", "miss"], say: html`<span class="miss">Not yet good enough for ${asked}:</span> even the upper end is below it.` };
  const more = needed(figure.value, target, n);
  return { chip: ["cannot be told yet", ""], say: html`<b>Cannot be told yet:</b> ${exactly(target)} lies inside the interval.${more ? ` About ${count(more)} more held-out ${things} would decide.` : ""}` };
}

/** What the figures hold for, and what they leave out. @param {{dataset: any, how: any, things: string}} props */
function Holds({ dataset, how, things }) {
  const out = how?.left_out ?? 0, problems = dataset?.num_problems ?? 0;
  return html`<p class="muted dense" style=${{ marginTop: "10px", maxWidth: "620px" }}>It holds for ${things} like those of the dataset; from another source, label some of those to know.${out ? ` ${several(out, "example")} could not be judged and ${out === 1 ? "is" : "are"} not counted.` : ""}${problems ? html` <a href=${`#/datasets/${dataset.id}?tab=problems`}>${several(problems, "file or row was", "files or rows were")} left out or ${problems === 1 ? "is" : "are"} doubtful</a>.` : ""}</p>`;
}

/** Of a model that may give several labels, or none. @param {{evaluation: any, n: number, things: string, dataset: any}} props */
function SeveralLabels({ evaluation, n, things, dataset }) {
  const figure = evaluation.mean_average_precision;
  if (figure?.value == null) return html`<p style=${{ marginTop: "24px", fontSize: "17px", lineHeight: "26px" }}><b>Too few examples to say how good it is.</b> <span class="muted">${evaluation.reason ?? ""}</span></p>`;
  return html`<div class="verdict"><div><div class="figure"><b>${percent(figure.value)}</b><span>mean average precision, on ${count(n)} ${things}</span></div>
    <p class="say">It may give several labels, or none. The true figure is likely between <b>${percent(figure.low)} and ${percent(figure.high)}</b>.</p><${Holds} dataset=${dataset} how=${evaluation.how} things=${things} /></div>
    <div class="panel"><dl class="facts"><dt>F1, all labels</dt><dd><b>${percent(evaluation.micro_f1?.value)}</b> <span class="faint">${range(evaluation.micro_f1)}</span></dd><dt>F1, mean of classes</dt><dd><b>${percent(evaluation.macro_f1?.value)}</b> <span class="faint">${range(evaluation.macro_f1)}</span></dd><dt>All labels right</dt><dd><b>${percent(evaluation.exact_match?.value)}</b> <span class="faint">${range(evaluation.exact_match)}</span></dd></dl><div style=${{ marginTop: "12px" }}><${Interval} figure=${figure} name="mean average precision" /><div class="scale"><span>0%</span><span>50%</span><span>100%</span></div></div></div></div>`;
}

/** @param {{model: any, evaluation: any, dataset: any, onChanged: () => void}} props */
export function Verdict({ model, evaluation, dataset, onChanged }) {
  const [error, fail] = useState(/** @type {any} */ (null));
  const figure = evaluation.accuracy, n = evaluation.how?.num_examples ?? 0;
  const things = thing(model.modality, 2);
  const target = dataset?.target ?? null;
  const [typed, type] = useState(/** @type {string | null} */ (null)); // what loads meanwhile draws the field anew
  useEffect(() => type(null), [target]);
  if (evaluation.label_mode === "multi_label") return html`<${SeveralLabels} evaluation=${evaluation} n=${n} things=${thing(model.modality, n)} dataset=${dataset} />`;
  if (figure?.value == null) return html`<div style=${{ marginTop: "24px" }}><p class="verdict" style=${{ display: "block", fontSize: "17px", lineHeight: "26px" }}><b>Too few examples to say how good it is.</b> <span class="muted">${evaluation.reason ?? "Give each class two or more, or hold some out in a folder test."}</span></p></div>`;
  const verdict = target ? judged(figure, target, things, n) : null;
  const guess = evaluation.baseline?.accuracy;
  const set = (/** @type {any} */ event) => {
    const value = event.target.value === "" ? null : Math.min(99.9, Math.max(1, Number(event.target.value))) / 100;
    fail(null);
    send("PATCH", `v1/datasets/${part(dataset.id)}`, { target: value }).then(onChanged, fail);
  };
  const more = evaluation.advice?.more_of_all, suspects = evaluation.advice?.probably_mislabelled ?? [];
  const from = Math.min(0.5, Math.floor((figure.low ?? 0) * 10) / 10, target ? Math.floor(target * 10) / 10 : 1);
  return html`<div class="verdict"><div>
      <div class="figure"><b>${percent(figure.value)}</b><span>right, on ${several(n, thing(model.modality), things)}${evaluation.how?.method === "hold-out" ? " " : ", "}${evaluation.how?.method === "hold-out" ? "it never saw" : "each held out in turn"}</span></div>
      <p class="say">${figure.low == null ? "" : html`The true figure is likely between <b>${percent(figure.low)} and ${percent(figure.high)}</b>. `}${verdict?.say} ${guess != null && html`Always guessing one class would be right ${percent(guess, 0)} of the time.`}</p><${Holds} dataset=${dataset} how=${evaluation.how} things=${things} /></div>
    <div class="panel"><div class="row"><label class="row">Good enough is <input type="number" min="1" max="99.9" step="any" aria-label="Good enough is, in percent" style=${{ width: "72px", minHeight: "28px", padding: "2px 6px" }} placeholder="–" value=${typed ?? (target ? Math.round(1000 * target) / 10 : "")} disabled=${!dataset} onInput=${(/** @type {any} */ event) => type(event.target.value)} onChange=${set} /> % right</label><span class="grow"></span>${verdict && html`<span class=${`chip ${verdict.chip[1]}`}>${verdict.chip[0]}</span>`}</div>
      <div style=${{ marginTop: "12px" }}><${Interval} figure=${figure} target=${target} from=${from} /><div class="scale"><span>${percent(from, 0)}</span><span>${percent((1 + from) / 2, 0)}</span><span>100%</span></div></div>
      ${(more || suspects.length > 0) && html`<p class="dense muted" style=${{ marginTop: "10px" }}>${more && more.gain >= more.plus_minus ? `Nearest way up: ${more.add} more of every class, about +${(100 * more.gain).toFixed(1)} ± ${(100 * more.plus_minus).toFixed(1)} points. ` : ""}${suspects.length > 0 && dataset ? html`<a href=${`#/datasets/${dataset.id}?model=${part(model.id)}`}>${several(suspects.length, "label looks", "labels look")} wrong.</a>` : ""}</p>`}
      <${Failed} error=${error} /></div></div>`;
}
