// @ts-check
/** Home: how the service is, where to drop a folder, what waits, the datasets. */
import { html, useState } from "../vendor/preact.js";
import { all, ask, get, part, picture } from "../api.js";
import { DropArea, report } from "../parts/drop.js";
import { Failed, Head, Loading, Picture, useEvery, useLoad } from "../parts/ui.js";
import { DatasetRows, axis, suspectExamples } from "../parts/dataset_rows.js";
import { count, ended, label, several, thing } from "../parts/words.js";

/** The bundled digits, as a dropped file. */
async function digits() {
  const answer = await ask("GET", "console/digits.zip");
  report([{ path: "digits.zip", file: new File([await answer.blob()], "digits.zip", { type: "application/zip" }) }]);
}

function Empty() {
  const [error, fail] = useState(/** @type {any} */ (null));
  return html`<div class="hero"><h1>Show it a few examples.<br />Try the result a minute later.</h1>
    <p>Ten pictures of each class are a good start. Put each class in a folder of its own, named as you want the answer to read.</p>
    <${DropArea} big />
    <div class="row" style=${{ marginTop: "24px", alignItems: "flex-start", gap: "16px 24px" }}><pre class="mono faint" style=${{ margin: 0 }}>parts/\n  crack/   12 pictures\n  ok/      20 pictures</pre>
    <div class="dense"><p class="muted">That is all it needs. Nothing leaves this machine.</p><button type="button" class="link" onClick=${() => digits().catch(fail)}>Try it with handwritten digits that come with Headstart</button></div></div>
    <${Failed} error=${error} /></div>`;
}

const LOOKED_AT = 5, SHOWN = 3;

/** An input of a prediction log. @param {{item: any}} props */
function Logged({ item }) {
  const { data } = useLoad(() => picture(item.content.replace(/^\//, ""), {}, () => true), [item.id]);
  return html`<span class="pic">${data && html`<img src=${data} alt=${`said to be ${label(item.predicted.label ?? "nothing it knows")}`} width="38" height="38" />`}</span>`;
}

/** @param {{datasets: any[], models: any[]}} props */
function Waiting({ datasets, models }) {
  const { data } = useLoad(() => looked(datasets, models), [datasets.map((one) => `${one.id} ${one.version}`).join(), models.length]);
  if (!data?.length) return null;
  return html`<section><header><h2>Waiting for you</h2><small>${data.length}</small></header><div class="list">${data.map((one) => html`<div class="item row waits" key=${one.to} style=${{ display: "flex" }}>${one.pictures.length > 0 && html`<div class="strip local">${one.pictures}</div>`}<p class="grow"><b>${one.what}</b> <span class="muted">${one.more}</span></p><a class="btn small" href=${one.to}>${one.verb}</a></div>`)}</div></section>`;
}

/** @param {any[]} datasets @param {any[]} models */
async function looked(datasets, models) {
  const aliases = await all("v1/aliases", {}, 100).catch(() => []);
  const [wrong, unlabelled, untold] = await Promise.all([
    Promise.all(datasets.slice(0, LOOKED_AT).map((dataset) => suspect(dataset, models))),
    Promise.all(aliases.filter((one) => one.prediction_log).slice(0, LOOKED_AT).map((alias) => toLabel(alias, models))),
    Promise.all(aliases.slice(0, LOOKED_AT).map(undecided)),
  ]);
  return [...wrong, ...unlabelled, ...untold].filter((one) => one !== null);
}

/** @param {any} dataset @param {any[]} models */
async function suspect(dataset, models) {
  const own = models.filter((one) => one.dataset?.id === dataset.id && one.dataset.version === dataset.version);
  const { data: found, more } = await suspectExamples(dataset, own).catch(() => ({ data: [], more: false }));
  if (!found.length) return null;
  const pictures = dataset.modality === "image" ? found.slice(0, SHOWN).map((/** @type {any} */ one) => html`<${Picture} key=${one.id} dataset=${dataset.id} example=${one.id} version=${dataset.version} alt=${label(one.label)} edge=${38} />`) : [];
  return { what: `${more ? "Over " : ""}${dataset.label_mode === "multi_label" ? several(found.length, "example has labels that look", "examples have labels that look") : several(found.length, "label looks", "labels look")} wrong`, more: `in \u2068${dataset.name}\u2069; ${found.length === 1 ? "mending it takes a click" : "mending them takes a click each"}`, verb: "Review", to: `#/datasets/${dataset.id}`, pictures };
}

/** @param {any} alias @param {any[]} models */
async function toLabel(alias, models) {
  const found = await get(`v1/models/${part(alias.name)}/suggestions`, { limit: SHOWN }).catch(() => null);
  if (!found?.considered) return null;
  const modality = models.find((one) => one.id === alias.model)?.modality ?? "image";
  const pictures = modality === "image" ? found.data.filter((/** @type {any} */ one) => one.content).map((/** @type {any} */ one) => html`<${Logged} key=${one.id} item=${one} />`) : [];
  return { what: `${count(found.considered)} ${thing(modality, found.considered)} ${found.considered === 1 ? "has" : "have"} no label yet`, more: `${alias.name} was least sure of these`, verb: "Label", to: `#/feedback/${part(alias.name)}`, pictures };
}

/** @param {any} alias */
async function undecided(alias) {
  const last = (await get(`v1/aliases/${part(alias.name)}/promotions`, { limit: 1 }).catch(() => null))?.data[0];
  if (last?.verdict !== "inconclusive") return null;
  return { what: "A candidate could not be told apart", more: `${alias.name}: ${last.reason ?? "too few held-out examples differ"}`, verb: "See why", to: `#/aliases/${part(alias.name)}`, pictures: [] };
}

/** @param {{me: any}} props */
export default function Home({ me }) {
  const { data, error, again } = useLoad(async () => {
    const [datasets, models, jobs] = await Promise.all([get("v1/datasets", { limit: 20 }), get("v1/models"), get("v1/fine_tuning/jobs", { limit: 20 })]);
    return { datasets: datasets.data, more: datasets.has_more, models: models.data, running: jobs.data.filter((/** @type {any} */ one) => !ended(one)).length };
  }, []);
  const moving = data?.running > 0 || data?.datasets.some((/** @type {any} */ one) => one.status === "processing");
  useEvery(again, moving ? 2 : 30);
  if (!data) return html`<${Head} title="Home" /><${Failed} error=${error} again=${again} />${!error && html`<${Loading} lines=${4} />`}`;
  if (!data.datasets.length) return html`<${Empty} />`;
  return html`<${Head} title="Home" sub=${html`<span class="row"><i class=${`dot ${me.health.kind}`}></i>${me.health.text}</span>${data.running > 0 && html`<a href="#/jobs">${several(data.running, "job")} under way</a>`}`} />
    <${Failed} error=${error} again=${again} />
    <div style=${{ marginTop: "24px" }}><${DropArea} /></div>
    <${Waiting} datasets=${data.datasets} models=${data.models} />
    <section><header><h2>Datasets</h2><small>${data.more ? "the newest 20" : data.datasets.length}</small><small class="grow right hide-phone">${data.models.length > 0 && `scale ${Math.round(100 * axis(data.models.map((/** @type {any} */ one) => one.accuracy)))} to 100%; dashed: what was asked for`}</small></header>
      <${DatasetRows} datasets=${data.datasets} models=${data.models} />
      ${data.more && html`<p style=${{ marginTop: "12px" }}><a href="#/datasets">All datasets</a></p>`}</section>`;
}
