// @ts-check
/** A model: how good, what it mixes up, class by class, more examples, certainty; use it; its card. */
import { html, useState } from "../vendor/preact.js";
import { all, get, part, send } from "../api.js";
import { BehindCell } from "../parts/behind_cell.js";
import { Certainty, LearningCurve, merged } from "../parts/charts.js";
import { LearnedFromErased } from "../parts/versions/erase.js";
import { ClassTable } from "../parts/class_table.js";
import { LabelMistakes } from "../parts/labels/label_mistakes.js";
import { LabelTable } from "../parts/labels/label_table.js";
import { InUseOf } from "../parts/live/in_use.js";
import { Matrix, Pairs, Small, pairs } from "../parts/matrix.js";
import { UseIt } from "../parts/use_it.js";
import { Verdict } from "../parts/verdict.js";
import { Failed, Fold, Head, Icon, Loading, Note, Same, Sure, copy, curl, python, useAsked, useLoad } from "../parts/ui.js";
import { called, label, lasted, percent, range, several, short, thing } from "../parts/words.js";

/** Why there are no held-out examples to look at. @param {{rows: any}} props */
function NoRows({ rows }) {
  return html`<${Note}>${rows.error.code === "not_found" ? rows.error.message : html`<${Failed} error=${rows.error} again=${rows.again} />`}</${Note}>`;
}

/** @param {{evaluation: any, rows: any, model: any, dataset: any, onChanged: () => void}} props */
function MixesUp({ evaluation, rows, model, dataset, onChanged }) {
  const matrix = evaluation.confusion_matrix;
  const order = matrix ? pairs(matrix) : [];
  const [at, open] = useState(/** @type {any} */ (order[0] ? { row: order[0].row, column: order[0].column } : { row: 0, column: 0 }));
  if (!matrix) return null;
  const n = matrix.labels.length;
  const step = (/** @type {number} */ by) => { const now = order.findIndex((one) => one.row === at?.row && one.column === at?.column); const next = order[(now + by + order.length) % order.length]; if (next) open({ row: next.row, column: next.column }); };
  const [expected, said] = at ? [matrix.labels[at.row], matrix.labels[at.column]] : [null, null];
  const behind = (rows.data ?? []).filter((/** @type {any} */ row) => row.expected === expected && row.label === said).sort((/** @type {any} */ a, /** @type {any} */ b) => b.probability - a.probability);
  const of = at ? matrix.counts[at.row].reduce((/** @type {number} */ sum, /** @type {number} */ one) => sum + one, 0) : 0;
  const title = at ? `${label(expected)} called ${label(said)}: ${matrix.counts[at.row][at.column]} of ${of}` : "Choose a cell";
  const shown = rows.error ? html`<${NoRows} rows=${rows} />` : html`<${BehindCell} key=${title} rows=${behind} dataset=${dataset} modality=${model.modality} title=${title} onStep=${order.length > 1 ? step : undefined} onChanged=${onChanged} />`;
  return html`<section><header><h2>What it mixes up</h2><small>${n > 30 ? `${n} classes: pairs first, the whole matrix beside them` : "rows: what it is; columns: what the model says. Any cell opens what is behind it."}</small></header>
    ${n > 30 ? html`<div class="half"><div><div class="panel"><${Pairs} matrix=${matrix} at=${at} most=${9} search onOpen=${open} /></div></div><div><${Small} matrix=${matrix} at=${at} onOpen=${open} /><div style=${{ marginTop: "16px" }}>${shown}</div></div></div>`
      : html`<div class="two"><div><div class="hide-phone"><${Matrix} matrix=${matrix} at=${at} onOpen=${open} /></div>${order.length > 0 && html`<h3 style=${{ margin: "16px 0 4px" }}>Most often taken for another</h3><${Pairs} matrix=${matrix} at=${at} most=${4} onOpen=${open} />`}</div><div>${shown}</div></div>`}</section>`;
}

/** @param {{evaluation: any, dataset: any, modality: string}} props */
function More({ evaluation, dataset, modality }) {
  const { learning_curve: curve, more_of_all: more } = evaluation.advice ?? {};
  const bins = evaluation.curves?.reliability ?? [];
  if (!curve && !bins.length) return null;
  const target = dataset?.target ?? null;
  const now = curve ? Math.round(curve.points.at(-1).per_class) : 0;
  const lost = more && more.gain < more.plus_minus;
  const words = more ? (lost ? `Too little to tell: ${more.add} more of every class should bring ${(100 * more.gain).toFixed(1)} ± ${(100 * more.plus_minus).toFixed(1)} points.` : `${more.add} more of every class should bring +${(100 * more.gain).toFixed(1)} ± ${(100 * more.plus_minus).toFixed(1)} points.`) : "";
  const far = curve?.forecast.at(-1);
  const ahead = far ? ` With ${Math.round(far.per_class)} of each it should be right about ${percent(far.accuracy, 0)} of the time (${percent(far.low, 0)} to ${percent(far.high, 0)}).` : "";
  const dots = bins.length ? merged(bins) : [];
  const sure = dots.filter((one) => one.count >= 10).at(-1);
  const error = evaluation.calibration_error;
  const trust = sure ? `Where it says ${percent(sure.sure, 0)}, it is right ${percent(sure.right, 0)} of the time (${percent(sure.low, 0)} to ${percent(sure.high, 0)}).${error?.value != null ? ` Its certainty is off by ${Math.round(100 * error.value)} points on average${error.high != null ? ` (${Math.round(100 * error.low)} to ${Math.round(100 * error.high)})` : ""}.` : ""}` : "";
  return html`<div class="half" style=${{ gridTemplateColumns: curve && bins.length ? null : "minmax(0, 1fr)" }}>
    ${curve && html`<section><header><h2>Would more examples help?</h2></header><p class="muted dense">${words}${ahead}</p><${LearningCurve} curve=${curve} target=${target} now=${now} said=${words + ahead} /></section>`}
    ${bins.length > 0 && html`<section><header><h2>Can its certainty be trusted?</h2></header><p class="muted dense">${trust}</p><div style=${{ maxWidth: "360px" }}><${Certainty} bins=${bins} said=${trust} /></div></section>`}</div>`;
}

/** What a figure is called. @type {[string, string][]} */
const OTHERS = [["balanced_accuracy", "Balanced accuracy"], ["micro_f1", "F1, all labels together"], ["macro_f1", "F1, mean of classes"], ["exact_match", "All labels of an example right"], ["calibration_error", "Calibration error"]];

/** @param {{evaluation: any}} props */
function OtherFigures({ evaluation }) {
  const shown = OTHERS.filter(([name]) => evaluation[name]?.value != null);
  const loss = evaluation.log_loss;
  if (!shown.length && loss?.value == null) return null;
  return html`<${Fold} title="Other figures" summary=${[...shown.slice(0, 1).map(([name, said]) => `${said} ${percent(evaluation[name].value)}`), ...(loss?.value != null ? [`log loss ${loss.value.toFixed(2)}`] : [])].join(", ")}><dl class="facts">${shown.map(([name, said]) => html`<dt>${said}</dt><dd>${percent(evaluation[name].value)} (${range(evaluation[name])})</dd>`)}${loss?.value != null && html`<dt>Log loss</dt><dd>${loss.value.toFixed(3)}${loss.low != null ? ` (${loss.low.toFixed(3)} to ${loss.high.toFixed(3)})` : ""}</dd>`}</dl></${Fold}>`;
}

/** @param {any} how @param {string} modality */
function measured(how, modality) {
  const n = several(how.num_examples, thing(modality));
  if (how.method === "hold-out") return `held-out split, ${n}, 95% intervals`;
  return `${how.method === "k-fold" ? `${how.folds} folds` : how.method}: ${n}, each judged by a fit that had not seen it, 95% intervals`;
}

/** @param {{id: string, query: URLSearchParams}} props */
export default function Model({ id, query }) {
  const [tab, go] = useAsked(query.get("tab") ?? "good");
  const [missed, miss] = useState("");
  const [sure, ask] = useState(false);
  const { data, error, again } = useLoad(async () => {
    const [model, evaluation] = await Promise.all([get(`v1/models/${part(id)}`), get(`v1/models/${part(id)}/evaluation`)]);
    const dataset = model.dataset?.id ? await get(`v1/datasets/${model.dataset.id}`).catch(() => null) : null;
    return { model, evaluation, dataset };
  }, [id]);
  const estimable = data && data.evaluation.estimable !== false;
  const judged = useLoad(async () => (estimable ? get(`v1/models/${part(id)}/evaluation/examples`, { limit: 1 }) : undefined), [id, estimable]);
  const rows = useLoad(async () => (estimable ? all(`v1/models/${part(id)}/evaluation/examples`, { limit: 1000 }) : undefined), [id, estimable]);
  if (!data) return html`<${Head} title="Model" crumbs=${[["Models", "#/models"]]} /><${Failed} error=${error} again=${again} />${!error && html`<${Loading} lines=${4} />`}`;
  const { model, evaluation, dataset } = data;
  const own = judged.data?.dataset ?? model.dataset ?? {};
  const acts = html`<a class="btn" href=${`#/compare?a=${part(model.id)}`}>Compare</a><button type="button" class="btn" onClick=${() => go("use")}>Use it</button><a class="btn primary" href=${`#/try/${part(model.id)}`}>Try it</a>`;
  const sub = html`${model.aliases.length ? model.aliases.map((/** @type {string} */ name) => html`<span class="chip accent">${name}</span>`) : html`<span class="faint">no alias</span>`}
    ${model.dataset && html`<a href=${`#/datasets/${model.dataset.id}`} class="muted">dataset ${model.dataset.name ?? "deleted since"}, version ${model.dataset.version ?? "?"}</a>`}<span>${model.method} on ${model.backbone}${model.card.seconds?.fit ? `, fitted in ${lasted(model.card.seconds.fit)}` : ""}</span>
    <button type="button" class="link mono faint" title=${model.id} aria-label="Copy the model's id" onClick=${() => copy(model.id, "The model's id is copied")}>${short(model.id)} <${Icon} name="copy" size=${13} /></button>`;
  const wrong = (rows.data ?? []).filter((/** @type {any} */ row) => row.expected === missed && row.label !== missed);
  return html`<${Head} title=${called(model)} crumbs=${[["Models", "#/models"]]} acts=${acts} sub=${sub} />
    <${LearnedFromErased} model=${model} />
    <div class="tabs" role="tablist">${[["good", "How good"], ["live", "In use"], ["use", "Use it"], ["card", "Card"]].map(([name, said]) => html`<button type="button" role="tab" aria-selected=${tab === name ? "true" : "false"} onClick=${() => go(name)}>${said}</button>`)}</div>
    ${tab === "good" && html`<${Verdict} model=${model} evaluation=${evaluation} dataset=${dataset} onChanged=${again} />
      ${evaluation.estimable !== false && evaluation.label_mode !== "multi_label" && html`<${MixesUp} key=${id} evaluation=${evaluation} rows=${rows} model=${model} dataset=${own} onChanged=${again} />
      <${ClassTable} classes=${evaluation.per_class ?? []} rows=${rows.data} modality=${model.modality} onOpen=${miss} />
      ${missed && html`<div style=${{ marginTop: "16px" }}><${BehindCell} key=${missed} rows=${wrong} dataset=${own} modality=${model.modality} title=${`${label(missed)}, missed`} onChanged=${again} /></div>`}`}
      ${estimable && evaluation.label_mode === "multi_label" && (rows.error ? html`<${NoRows} rows=${rows} />` : rows.data && html`<${LabelMistakes} key=${id} rows=${rows.data} model=${model} dataset=${own} onChanged=${again} />`)}
      ${evaluation.label_mode === "multi_label" && evaluation.per_class?.length > 0 && html`<${LabelTable} classes=${evaluation.per_class} model=${model} />`}
      <${More} evaluation=${evaluation} dataset=${dataset} modality=${model.modality} />
      <div class="folds"><${Fold} title="How this was measured" summary=${measured(evaluation.how ?? {}, model.modality)}><dl class="facts">${Object.entries(evaluation.how ?? {}).map(([name, value]) => html`<dt>${name.replaceAll("_", " ")}</dt><dd>${String(value)}</dd>`)}</dl></${Fold}>
      <${OtherFigures} evaluation=${evaluation} />
      <${Same} curl=${curl(`v1/models/${model.id}/evaluation`)} python=${python(`evaluation = client.get("v1/models/${model.id}/evaluation").json()\nprint(evaluation["accuracy"])\nheld_out = client.get("v1/models/${model.id}/evaluation/examples").json()["data"]`)} /></div>
      <p style=${{ marginTop: "20px" }}><button type="button" class="link" onClick=${() => ask(true)}>Delete…</button></p>`}
    ${tab === "live" && html`<${InUseOf} names=${model.aliases} modality=${model.modality} />`}
    ${tab === "use" && html`<${UseIt} model=${model} onChanged=${again} />`}
    ${tab === "card" && html`<section><header><h2>model.json</h2><small>everything one must know to use the head, and to make it again</small></header><pre class="panel mono" tabindex="0" style=${{ overflow: "auto", maxHeight: "70vh" }}>${JSON.stringify({ ...model.card, evaluation: undefined, advice: undefined }, null, 2)}</pre></section>`}
    ${sure && html`<${Sure} title="Delete the model" text=${`“${called(model)}” and its files are gone then. Its dataset stays, and the same seed makes the same model.`} verb="Delete the model" onClose=${() => ask(false)} act=${async () => { await send("DELETE", `v1/models/${part(model.id)}`); location.hash = "#/models"; }} />`}`;
}
