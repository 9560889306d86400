// @ts-check
/** The examples most like one of them, as a model of the dataset sees it. */
import { html, useState } from "../vendor/preact.js";
import { ask, get, part } from "../api.js";
import { Text } from "./grid.js";
import { Failed, Fold, Picture, useLoad } from "./ui.js";
import { label } from "./words.js";

const SHOWN = 5;

/** Asked of the newest model of the dataset; null where there is none. @param {any} dataset @param {any} example */
async function nearest(dataset, example) {
  const model = (await get("v1/models")).data.find((/** @type {any} */ one) => one.dataset?.id === dataset.id);
  if (!model) return null;
  const content = await (await ask("GET", `v1/datasets/${part(dataset.id)}/examples/${example.id}/content`, { query: { version: dataset.version } })).blob();
  const form = new FormData();
  form.append("files", content, example.path);
  const input = dataset.modality === "text" ? { json: { inputs: [{ text: await content.text() }] } } : { body: form };
  const answer = await ask("POST", `v1/models/${part(model.id)}/predictions`, { query: { explain: "neighbours" }, headers: { "cache-control": "no-store" }, ...input });
  const [row] = (await answer.json()).data;
  if (row.error) throw Object.assign(new Error(row.error.message), { code: row.error.code });
  return { model, near: row.neighbours.filter((/** @type {any} */ one) => one.example_id !== example.id).slice(0, SHOWN) };
}

/** @param {{dataset: any, example: any}} props */
function Near({ dataset, example }) {
  const { data, error } = useLoad(() => nearest(dataset, example), [dataset.id, example.id]);
  if (error) return html`<${Failed} error=${error} />`;
  if (data === undefined) return html`<p class="muted dense" role="status">Asking.</p>`;
  if (data === null) return html`<p class="muted dense">Train a model first: it knows what is alike.</p>`;
  const { version } = data.model.dataset;
  if (dataset.modality === "text") return data.near.map((/** @type {any} */ one) => html`<div class="tile text" key=${one.example_id}><${Text} dataset=${dataset.id} example=${{ id: one.example_id }} /><small>${label(one.label)} · ${one.similarity.toFixed(2)}</small></div>`);
  return html`<div class="tiles" style=${{ gridTemplateColumns: `repeat(${SHOWN}, minmax(0, 1fr))` }}>${data.near.map((/** @type {any} */ one) => html`<div class="tile" style=${{ cursor: "default" }} key=${one.example_id}><${Picture} dataset=${dataset.id} example=${one.example_id} version=${version} alt=${`${label(one.label)}, likeness ${one.similarity.toFixed(2)}`} /><small>${label(one.label)} <span class="faint">${one.similarity.toFixed(2)}</span></small></div>`)}</div>`;
}

/** @param {{dataset: any, example: any}} props */
export function Neighbours({ dataset, example }) {
  const [open, show] = useState(false);
  return html`<div class="folds" style=${{ marginTop: "12px" }}><${Fold} title="Most like it" summary="of what a model of this dataset learned from" onOpen=${() => show(true)}>${open && html`<${Near} dataset=${dataset} example=${example} />`}</${Fold}></div>`;
}
