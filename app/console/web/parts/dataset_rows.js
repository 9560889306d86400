// @ts-check
/** Datasets as rows: six examples, name, interval on one common axis, aliases. */
import { html, useEffect, useState } from "../vendor/preact.js";
import { get, textOf } from "../api.js";
import { ModelFigure, Picture, evaluationOf } from "./ui.js";
import { ago, count, label, several, thing } from "./words.js";

/** @param {{dataset: any}} props */
function Glimpse({ dataset }) {
  const [examples, set] = useState(/** @type {any[]} */ ([]));
  useEffect(() => {
    let here = true;
    const texts = dataset.modality === "text";
    get(`v1/datasets/${dataset.id}/examples`, { limit: texts ? 3 : 6, order: "classes", excluded: false }).then(async (page) => {
      if (texts) await Promise.all(page.data.map(async (/** @type {any} */ one) => { one.text = await textOf(dataset.id, one.id, () => here); }));
      if (here) set(page.data);
    }).catch(() => {});  // of the texts, too
    return () => { here = false; };
  }, [dataset.id, dataset.version, dataset.status === "ready"]);
  if (dataset.modality === "text") return html`<div class="quotes">${examples.map((one) => html`<span>“${one.text.slice(0, 80)}”</span>`)}</div>`;
  return html`<div class="strip">${examples.map((one) => html`<${Picture} key=${one.id} dataset=${dataset.id} example=${one.id} version=${dataset.version} alt=${`${label(one.label)}, ${one.split}, ${one.path}`} edge=${44} />`)}</div>`;
}

/** Where one common axis of these figures begins: at half, or lower where one needs it. @param {any[]} figures */
export const axis = (figures) => Math.min(0.5, ...figures.map((one) => (one?.low == null ? 1 : Math.floor(10 * one.low) / 10)));

/** @param {{datasets: any[], models: any[]}} props */
export function DatasetRows({ datasets, models }) {
  const from = axis(models.map((model) => model.accuracy));
  return html`<div class="list">${datasets.map((dataset) => {
    const own = models.filter((model) => model.dataset?.id === dataset.id);
    const best = own.find((model) => model.aliases.length) ?? own[0];
    const aliases = own.flatMap((model) => model.aliases);
    return html`<a class="item datasets" href=${`#/datasets/${dataset.id}`} key=${dataset.id}>
      ${dataset.status === "processing" ? html`<div><small>embedding ${count(dataset.num_examples)} ${thing(dataset.modality, dataset.num_examples)}</small></div>` : html`<${Glimpse} dataset=${dataset} />`}
      <div style=${{ minWidth: 0 }}><div class="name" title=${dataset.name}>${dataset.name}</div><small>${several(dataset.classes.length, "class", "classes")} · ${several(dataset.num_examples, dataset.modality === "text" ? "text" : "example")} · version ${dataset.version}</small></div>
      <div>${best ? html`<${ModelFigure} model=${best} target=${dataset.target} from=${from} />${best.dataset.version < dataset.version && html`<small>of version ${best.dataset.version}</small>`}` : html`<small>${dataset.status === "failed" ? html`<span class="chip bad">failed</span>` : "no model yet"}</small>`}</div>
      <div class="row">${aliases.length ? aliases.slice(0, 3).map((name) => html`<span class="chip accent" title=${name}>${name}</span>`) : html`<small>${best ? "no alias" : ""}</small>`}</div>
      <small class="right">${ago(dataset.created_at)}</small></a>`;
  })}</div>`;
}

const ASKED = 3, MOST = 100;

/** @param {any[]} models @param {string | null} wanted */
const askedFirst = (models, wanted) => [...models].sort((a, b) => Number(b.id === wanted) - Number(a.id === wanted) || Number(b.aliases.length > 0) - Number(a.aliases.length > 0)).slice(0, ASKED);

/** Examples of a dataset's latest version whose label one of its models doubts: what the rest of its evaluation weighs is not fetched. @param {any} dataset @param {any[]} models */
export async function suspectExamples(dataset, models) {
  for (const model of askedFirst(models, null)) {
    const found = await get(`v1/datasets/${dataset.id}/examples`, { suspect: model.id, limit: MOST });
    if (found.data.length) return { data: found.data, more: found.has_more };
  }
  return { data: [], more: false };
}

/**
 * Which labels of a dataset look wrong, as one of its models says, of those that have something to say.
 * The model that is asked first is the wanted one, then those that answer under an alias, then the newest.
 * @param {any[]} models of one dataset, newest first @param {string | null} [wanted]
 * @returns {Promise<any[]>} each with its `model`
 */
export async function suspectsOf(models, wanted = null) {
  for (const model of askedFirst(models, wanted)) {
    const found = (await evaluationOf(model.id)).advice?.probably_mislabelled ?? [];
    if (found.length) return found.map((/** @type {any} */ one) => ({ ...one, model: model.id }));
  }
  return [];
}
