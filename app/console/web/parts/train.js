// @ts-check
/** Starting a job: one button; what is advanced is folded, made from the methods' JSON Schemas. */
import { html, useState } from "../vendor/preact.js";
import { get, send } from "../api.js";
import { Button, Dialog, Failed, Field, Fold, Same, curl, python, sentTo, useLoad } from "./ui.js";

/** A name that an id can carry. @param {string} name */
export const suffixOf = (name) => name.normalize("NFKD").replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 64);

/** Jobs that this page has started: their page goes on to the model however soon they end. @type {Set<string>} */
export const begun = new Set();

/** Start a job. @param {Record<string, any>} body @returns {Promise<any>} */
export async function begin(body) {
  const job = await send("POST", "v1/fine_tuning/jobs", body);
  begun.add(job.id);
  return job;
}

/** Start a job that chooses everything itself. @param {any} dataset @returns {Promise<any>} */
export const startOf = (dataset) => begin({ training_file: dataset.id, ...(suffixOf(dataset.name) ? { suffix: suffixOf(dataset.name) } : {}) });

/** The field of one hyperparameter. @param {{name: string, schema: any, value: any, error: any, onChange: (value: any) => void}} props */
function Parameter({ name, schema, value, error, onChange }) {
  const kinds = schema.anyOf ?? [schema];
  const choices = kinds.flatMap((/** @type {any} */ one) => one.enum ?? (one.const !== undefined ? [one.const] : []));
  const number = kinds.find((/** @type {any} */ one) => one.type === "number" || one.type === "integer");
  const of = new RegExp(`^method\\..*\\.${name}(\\.|$)`);
  if (number) return html`<${Field} title=${name} of=${of} error=${error} hint=${schema.description}><input type="number" step=${number.type === "integer" ? 1 : "any"} min=${number.minimum ?? number.exclusiveMinimum} max=${number.maximum} placeholder=${String(schema.default ?? "auto")} value=${value ?? ""} onInput=${(/** @type {any} */ event) => onChange(event.target.value === "" ? undefined : Number(event.target.value))} /></${Field}>`;
  if (!choices.length) return null;
  return html`<${Field} title=${name} of=${of} error=${error} hint=${schema.description}><select value=${value ?? ""} onChange=${(/** @type {any} */ event) => onChange(event.target.value || undefined)}><option value="">${String(schema.default ?? "auto")}</option>${choices.filter((/** @type {any} */ one) => one !== schema.default).map((/** @type {any} */ one) => html`<option value=${one}>${String(one)}</option>`)}</select></${Field}>`;
}

/** @param {{dataset: any, onClose: () => void}} props */
export function TrainSheet({ dataset, onClose }) {
  const { data, error } = useLoad(async () => {
    const [methods, backbones] = await Promise.all([get("v1/methods"), get("v1/backbones")]);
    return { methods: methods.data.filter((/** @type {any} */ one) => one.modalities.includes(dataset.modality) && (!one.label_modes || one.label_modes.includes(dataset.label_mode ?? "single_label"))), backbones: backbones.data.filter((/** @type {any} */ one) => one.modality === dataset.modality && (one.available || one.source === "own")) };
  }, []);
  const [method, choose] = useState("auto");
  const [backbone, use] = useState("");
  const [seed, sow] = useState("");
  const [suffix, name] = useState(suffixOf(dataset.name));
  const [values, set] = useState(/** @type {Record<string, any>} */ ({}));
  const [busy, work] = useState(false);
  const [refused, fail] = useState(/** @type {any} */ (null));
  const schema = data?.methods.find((/** @type {any} */ one) => one.id === method);
  const given = Object.fromEntries(Object.entries(values).filter(([key, value]) => value !== undefined && schema?.hyperparameters.properties?.[key]));
  const body = {
    ...(backbone ? { model: backbone } : {}), training_file: dataset.id, ...(suffix ? { suffix } : {}), ...(seed ? { seed: Number(seed) } : {}),
    ...(method !== "auto" || Object.keys(given).length ? { method: { type: method, [method]: { hyperparameters: given } } } : {}),
  };
  const go = () => { work(true); fail(null); begin(body).then((job) => sentTo(`#/jobs/${job.id}`), (answer) => { fail(answer); work(false); }); };
  const text = JSON.stringify(body, null, 2);
  return html`<${Dialog} title="Train a model" kind="sheet" onClose=${onClose}><h2>Train a model</h2>
    <p class="muted" style=${{ margin: "8px 0 20px" }}>On ${dataset.name}, version ${dataset.latest ?? dataset.version}. It takes about a second once everything is read; the figures come with their interval.</p>
    <${Failed} error=${error} /><${Failed} error=${refused} fields=${[/^suffix$/, /^seed$/, ...Object.keys(schema?.hyperparameters.properties ?? {}).map((key) => new RegExp(`^method\\..*\\.${key}(\\.|$)`))]} />
    <${Button} kind="primary" busy=${busy} onClick=${go}>Train</${Button}>
    <div class="folds" style=${{ marginTop: "24px" }}>
      <${Fold} title="Backbone" summary=${backbone || "chosen by itself"}><label class="row" style=${{ alignItems: "flex-start", padding: "5px 0", flexWrap: "nowrap" }}><input type="radio" name="backbone" checked=${!backbone} onChange=${() => use("")} /><span>chosen by itself<br /><small class="hint">${dataset.modality === "text" ? "all encoders that are here, weighed for these texts; the job says which" : "the default one; the job says which"}</small></span></label>${data?.backbones.map((/** @type {any} */ one) => html`<label class="row" style=${{ alignItems: "flex-start", padding: "5px 0", flexWrap: "nowrap" }}><input type="radio" name="backbone" disabled=${!one.available} checked=${backbone === one.id} onChange=${() => use(one.id)} /><span>${one.name}${one.id === dataset.backbone && html` <span class="chip">read already</span>`}<br /><small class="hint">${one.available ? `${one.dim ? `${one.dim} numbers a ${dataset.modality === "text" ? "text" : "picture"}, ` : ""}${one.licence}` : one.reason}</small></span></label>`)}</${Fold}>
      <${Fold} title="Method" summary=${method}>${data?.methods.map((/** @type {any} */ one) => html`<label class="row" style=${{ alignItems: "flex-start", padding: "5px 0", flexWrap: "nowrap" }}><input type="radio" name="method" checked=${method === one.id} onChange=${() => { choose(one.id); set({}); }} /><span>${one.id}<br /><small class="hint">${one.description}</small></span></label>`)}</${Fold}>
      <${Fold} title="Hyperparameters" summary=${Object.keys(given).length ? Object.entries(given).map(([key, value]) => `${key} ${value}`).join(", ") : "all chosen by itself"}>${Object.entries(schema?.hyperparameters.properties ?? {}).map(([key, one]) => html`<${Parameter} key=${`${method}.${key}`} name=${key} schema=${one} value=${values[key]} error=${refused} onChange=${(/** @type {any} */ value) => set({ ...values, [key]: value })} />`)}</${Fold}>
      <${Fold} title="Name and seed" summary=${`${suffix || "no name"}${seed ? `, seed ${seed}` : ""}`}><${Field} title="Name" of=${/^suffix$/} error=${refused} hint="Becomes part of the model's id: letters (A to z), digits, dots, - and _."><input type="text" value=${suffix} pattern="[A-Za-z0-9._\\-]{1,64}" maxlength="64" onInput=${(/** @type {any} */ event) => name(event.target.value.replace(/\s/g, "-"))} /></${Field}><${Field} title="Seed" of=${/^seed$/} error=${refused} hint="The same seed and data make the same model."><input type="number" min="0" max=${2 ** 32 - 1} step="1" value=${seed} onInput=${(/** @type {any} */ event) => sow(event.target.value)} /></${Field}></${Fold}>
      <${Same} curl=${curl("v1/fine_tuning/jobs", `-H "Content-Type: application/json" -d '${text}'`)} python=${python(`job = client.post(\n    "v1/fine_tuning/jobs",\n    json=${pythonic(text)},\n    headers={"Prefer": "wait=60"},\n).json()\nprint(job["fine_tuned_model"])`)} />
    </div></${Dialog}>`;
}

/** JSON as Python writes it. @param {string} json */
export const pythonic = (json) => json.replace(/: (true|false|null)\b/g, (_, word) => `: ${{ true: "True", false: "False", null: "None" }[/** @type {"true"} */ (word)]}`).replaceAll("\n", "\n    ");
