// @ts-check
/** Erasing examples for good: what that means, which ones, and what became of it until it is done. */
import { html, useState } from "../../vendor/preact.js";
import { forgetContents, get, part, send } from "../../api.js";
import { Button, Dialog, Failed, Fold, Note, Same, curl, python, useEvery, useLoad } from "../ui.js";
import { several, thing } from "../words.js";

/** What a person can do about a refusal. @type {Record<string, string>} */
const TODO = {
  in_use: "Wait until it has ended, or cancel it; where an alias answers with a model that is to go, move the alias first.",
  model_holds_example: "Tick that these models go, too.",
};

/** What an erasure has done so far. @param {{told: any, modality: string}} props */
export function Told({ told, modality }) {
  const things = thing(modality, told.contents);
  return html`<dl class="facts"><dt>State</dt><dd><span class=${`chip ${told.status === "done" ? "ok" : "miss"}`}>${told.status === "done" ? "done" : "under way"}</span> <span class="muted">${told.status === "done" ? "nothing stored has any of it" : `it cannot be read any more; a trainer takes the rest of it out of what other examples share with it`}</span></dd>
    <dt>Erased</dt><dd>${told.contents} ${things}: ${told.versions.map((/** @type {any} */ one) => `${one.erased} of version ${one.version}`).join(", ")}</dd>
    ${told.models_fitted_on_it.length > 0 && html`<dt>Models</dt><dd>${told.models_fitted_on_it.map((/** @type {any} */ one) => html`<p style=${{ overflowWrap: "anywhere" }}>${one.kept ? html`<a class="mono" href=${`#/models/${part(one.model)}`}>${one.model}</a>` : html`<span class="mono">${one.model}</span>`} <span class="muted">learned from ${one.trained_on}, judged on ${one.judged_on}: ${one.kept ? "kept" : "deleted"}</span></p>`)}</dd>`}
    ${told.elsewhere.length > 0 && html`<dt>Elsewhere</dt><dd>${told.elsewhere.map((/** @type {any} */ one) => html`<p>${one.object === "dataset" ? html`<a href=${`#/datasets/${one.id}`}>another dataset</a>` : html`batch predictions <code>${one.id}</code>`} <span class="muted">has ${one.contents} of the same: erase it there, too</span></p>`)}</dd>`}</dl>`;
}

/** A receipt, asked for again until all of it is gone. @param {{dataset: any, first: any, onClose: () => void}} props */
function Receipt({ dataset, first, onClose }) {
  const { data, error, again } = useLoad(() => get(`v1/datasets/${part(dataset.id)}/erasures/${first.id}`), [first.id]);
  const told = data ?? first;
  useEvery(again, told.status === "done" ? 0 : 2);
  return html`<h2>Erased</h2><div role="status" style=${{ marginTop: "12px" }}><${Told} told=${told} modality=${dataset.modality} /></div><${Failed} error=${error} />
    <p class="muted dense" style=${{ marginTop: "12px" }}>The versions page of the dataset keeps this receipt; it tells how many, and not which.</p>
    <div class="acts"><${Button} kind="primary" onClick=${onClose}>Done</${Button}></div>`;
}

/** @typedef {{dataset: any, example?: any, onClose: () => void, onChanged: () => void}} EraseProps */

/** What there is to choose from: the example and its group, or a group and a content by name. @param {any} example @returns {[string, any][]} */
function choices(example) {
  if (!example) return [["group", "all of one group, as of one patient"], ["sha256", "all with one content, by its SHA-256"]];
  return [["examples", "this one, and every copy of it"], ...(example.group ? [/** @type {[string, any]} */ (["group", html`all of the group <b>${example.group}</b>`])] : [])];
}

/** @param {EraseProps} props */
export function Erase({ dataset, example, onClose, onChanged }) {
  const [by, choose] = useState(example ? "examples" : "group");
  const [named, name] = useState("");
  const [models, take] = useState(false);
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const [told, tell] = useState(/** @type {any} */ (null));
  const path = `v1/datasets/${part(dataset.id)}/erasures`;
  const which = by === "examples" ? [example.id] : example ? example.group : named.trim();
  const body = { [by]: which, ...(models ? { models: "delete" } : {}) };
  const close = () => { if (told) onChanged(); onClose(); };
  const go = () => {
    work(true); fail(null);
    send("POST", path, body).then((made) => { forgetContents(`v1/datasets/${dataset.id}/`); tell(made); }, (refused) => { fail(refused); work(false); });
  };
  if (told) return html`<${Dialog} title="Erased" kind="wide" onClose=${close}><${Receipt} dataset=${dataset} first=${told} onClose=${close} /></${Dialog}>`;
  const it = example ? thing(dataset.modality) : "examples";
  const text = JSON.stringify(body);
  return html`<${Dialog} title="Erase for good" kind="wide" onClose=${close}><h2>Erase for good</h2>
    <p class="muted" style=${{ margin: "6px 0 14px" }}>It goes from every version of “${dataset.name}”, and from all that was made of it: what was read of it, results of batches, what was written down of predictions, feedback. Nothing brings it back, and a later upload to this dataset leaves it out. To keep it and only train without it, leave it out instead.</p>
    <fieldset class="plain"><legend class="sr">What is erased</legend>${choices(example).map(([value, said]) => html`<label class="row" style=${{ padding: "4px 0", flexWrap: "nowrap" }}><input type="radio" name="erased" checked=${by === value} onChange=${() => choose(value)} /><span style=${{ overflowWrap: "anywhere" }}>${said}</span></label>`)}</fieldset>
    ${!example && html`<label class="field" style=${{ marginTop: "8px" }}><span>${by === "group" ? "Group" : "SHA-256 of the content"}</span><input type="text" class=${by === "group" ? "" : "mono"} spellcheck=${false} maxlength="256" value=${named} placeholder=${by === "group" ? "patient-7" : "64 hexadecimal digits"} onInput=${(/** @type {any} */ event) => name(event.target.value)} /></label>`}
    <label class="row" style=${{ marginTop: "12px", alignItems: "flex-start", flexWrap: "nowrap" }}><input type="checkbox" checked=${models} onChange=${() => take(!models)} /><span>Delete the models that learned from ${example && by === "examples" ? "it" : "them"}, too<br /><small class="hint">Else they stay: their weights remain what they were fitted to, and the models say so. Training anew makes one that has never seen ${example && by === "examples" ? `this ${it}` : "them"}.</small></span></label>
    ${error && html`<${Failed} error=${error} />${TODO[error.code] && html`<p class="dense" style=${{ marginTop: "8px" }}>${TODO[error.code]}</p>`}`}
    <div class="folds" style=${{ marginTop: "16px" }}><${Same} curl=${curl(path, `-H "Content-Type: application/json" -d '${text}'`)} python=${python(`told = client.post("${path}", json=${text}).json()\nprint(told["status"], told["contents"], told["elsewhere"])`)} /></div>
    <div class="acts"><${Button} onClick=${close}>Cancel</${Button}><${Button} kind="danger" busy=${busy} why=${which.length ? "" : "Say which"} onClick=${go}>Erase for good</${Button}></div></${Dialog}>`;
}

/** What was erased of a dataset, newest first; nothing where nothing was. @param {{dataset: any}} props */
export function Erasures({ dataset }) {
  const { data, error, again } = useLoad(() => get(`v1/datasets/${part(dataset.id)}/erasures`, { limit: 100 }), [dataset.id, dataset.num_examples, dataset.num_erased]);
  const told = data?.data ?? [];
  useEvery(again, told.some((/** @type {any} */ one) => one.status !== "done") ? 2 : 0);
  if (error) return html`<${Failed} error=${error} again=${again} />`;
  if (!told.length) return null;
  return html`<section><header><h2>Erased for good</h2><small>${told.length}${data.has_more ? " and more" : ""}</small></header><div class="folds">${told.map((/** @type {any} */ one) => html`<${Fold} key=${one.id} title=${new Date(one.created_at * 1000).toLocaleString("en-GB")} summary=${`${several(one.contents, thing(dataset.modality))}, ${one.status === "done" ? "done" : "under way"}`} open=${one.status !== "done"}><${Told} told=${one} modality=${dataset.modality} /></${Fold}>`)}</div></section>`;
}

/** Of a model that has learned from what is gone. @param {{model: any}} props */
export const LearnedFromErased = ({ model }) => (model.trained_on_erased ? html`<${Note} kind="miss" icon="info">It has learned from ${several(model.trained_on_erased, thing(model.modality))} that ${model.trained_on_erased === 1 ? "was" : "were"} erased since: its weights and figures are what they were. ${model.dataset ? html`<a href=${`#/datasets/${model.dataset.id}`}>Train anew</a>, then delete it.` : "Delete it."}</${Note}>` : null);
