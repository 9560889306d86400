// @ts-check
/** Home: how the service is, where to drop a folder, what waits, the datasets. */
import { html, useState } from "../vendor/preact.js";
import { ask, get, part } from "../api.js";
import { DropArea, report } from "../parts/drop.js";
import { Failed, Head, Loading, Picture, useEvery, useLoad } from "../parts/ui.js";
import { DatasetRows, axis } from "../parts/dataset_rows.js";
import { label, several } from "../parts/words.js";

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

const LOOKED_AT = 5;

/** What waits for a person: labels that look wrong in datasets that are as their newest model saw them. @param {{datasets: any[], models: any[]}} props */
function Waiting({ datasets, models }) {
  const { data } = useLoad(async () => {
    const known = datasets.map((dataset) => ({ dataset, model: models.find((one) => one.dataset?.id === dataset.id && one.dataset.version === dataset.version) })).filter((one) => one.model).slice(0, LOOKED_AT);
    const told = await Promise.all(known.map(({ model }) => get(`v1/models/${part(model.id)}/evaluation`).catch(() => null)));
    return known.map(({ dataset }, n) => ({ dataset, suspects: told[n]?.advice?.probably_mislabelled ?? [] })).filter((one) => one.suspects.length);
  }, [datasets.map((one) => `${one.id} ${one.version}`).join(), models.length]);
  if (!data?.length) return null;
  return html`<section><header><h2>Waiting for you</h2><small>${data.length}</small></header><div class="list">${data.map(({ dataset, suspects }) => html`<div class="item row" key=${dataset.id} style=${{ display: "flex" }}>${dataset.modality === "image" && html`<div class="strip local">${suspects.slice(0, 3).map((/** @type {any} */ one) => html`<${Picture} key=${one.example_id} dataset=${dataset.id} example=${one.example_id} version=${dataset.version} alt=${label(one.label)} edge=${38} />`)}</div>`}<p class="grow"><b>${several(suspects.length, "label looks", "labels look")} wrong</b> <span class="muted">in ${dataset.name}; mending them takes a click each</span></p><a class="btn small" href=${`#/datasets/${dataset.id}`}>Review</a></div>`)}</div></section>`;
}

/** @param {{me: any}} props */
export default function Home({ me }) {
  const { data, error, again } = useLoad(async () => {
    const [datasets, models] = await Promise.all([get("v1/datasets", { limit: 20 }), get("v1/models")]);
    return { datasets: datasets.data, more: datasets.has_more, models: models.data };
  }, []);
  const moving = data?.datasets.some((/** @type {any} */ one) => one.status === "processing");
  useEvery(again, moving ? 2 : 30);
  if (!data) return html`<${Head} title="Home" /><${Failed} error=${error} again=${again} />${!error && html`<${Loading} lines=${4} />`}`;
  if (!data.datasets.length) return html`<${Empty} />`;
  return html`<${Head} title="Home" sub=${html`<span class="row"><i class=${`dot ${me.health.kind}`}></i>${me.health.text}</span>`} />
    <${Failed} error=${error} again=${again} />
    <div style=${{ marginTop: "24px" }}><${DropArea} /></div>
    <${Waiting} datasets=${data.datasets} models=${data.models} />
    <section><header><h2>Datasets</h2><small>${data.more ? "the newest 20" : data.datasets.length}</small><small class="grow right hide-phone">${data.models.length > 0 && `scale ${Math.round(100 * axis(data.models.map((/** @type {any} */ one) => one.accuracy)))} to 100%; dashed: what was asked for`}</small></header>
      <${DatasetRows} datasets=${data.datasets} models=${data.models} />
      ${data.more && html`<p style=${{ marginTop: "12px" }}><a href="#/datasets">All datasets</a></p>`}</section>`;
}
