// @ts-check
/** One example by itself: what it is, and how to change that. */
import { html, useState } from "../vendor/preact.js";
import { part, send } from "../api.js";
import { Erase } from "./versions/erase.js";
import { Text } from "./grid.js";
import { Neighbours } from "./neighbours.js";
import { Button, Dialog, Failed, Picture, toast } from "./ui.js";
import { label, size } from "./words.js";

/** Several labels: those that there are, each to be taken away, and one to be added. @param {{labels: string[], onChange: (labels: string[]) => void}} props */
function Labels({ labels, onChange }) {
  const [next, set] = useState("");
  const add = (/** @type {string} */ name) => { if (name.trim() && !labels.includes(name.trim())) onChange([...labels, name.trim()]); set(""); };
  return html`<div class="field"><span>Labels</span><div class="row" style=${{ flexWrap: "wrap", gap: "6px" }}>${labels.map((name) => html`<button type="button" class="chip" key=${name} aria-label=${`Take ${label(name)} away`} onClick=${() => onChange(labels.filter((one) => one !== name))}>${label(name)} ×</button>`)}${!labels.length && html`<small class="faint">none: it belongs to no class</small>`}</div></div>
    <label class="field" style=${{ marginTop: "8px" }}><span>Add a label</span><input type="text" list="labels" value=${next} maxlength="256" onInput=${(/** @type {any} */ event) => set(event.target.value)} onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter") { event.preventDefault(); add(next); } }} onChange=${(/** @type {any} */ event) => add(event.target.value)} /></label>`;
}

/** @param {{dataset: any, example: any, said?: any, onClose: () => void, onChanged: () => void}} props */
export function ExampleDialog({ dataset, example, said, onClose, onChanged }) {
  const many = dataset.label_mode === "multi_label";
  const [name, set] = useState(example.label);
  const [labels, choose] = useState(/** @type {string[]} */ (example.labels ?? []));
  const [split, move] = useState(example.split);
  const [busy, work] = useState("");
  const [error, fail] = useState(/** @type {any} */ (null));
  const [erasing, erase] = useState(false);
  const path = `v1/datasets/${part(dataset.id)}/examples/${example.id}`;
  const old = dataset.latest && dataset.version !== dataset.latest;
  const go = (/** @type {string} */ what, /** @type {() => Promise<any>} */ act, /** @type {string} */ told) => {
    work(what); fail(null);
    act().then((made) => { toast(`${told} in version ${made.version}.`); onChanged(); onClose(); }, (refused) => { fail(refused); work(""); });
  };
  const relabelled = many ? [...labels].sort().join("\n") !== [...(example.labels ?? [])].sort().join("\n") : name !== example.label;
  const changed = relabelled || split !== example.split;
  const saidToBe = many ? { labels } : { label: name };
  if (erasing) return html`<${Erase} dataset=${dataset} example=${example} onClose=${onClose} onChanged=${onChanged} />`;
  return html`<${Dialog} title=${example.path} kind="wide" onClose=${onClose}>
    <div class="half" style=${{ gap: "24px" }}><div>${dataset.modality === "text" ? html`<p style=${{ fontSize: "17px", lineHeight: "26px", overflowWrap: "anywhere" }}><${Text} dataset=${dataset.id} example=${example} /></p>` : html`<${Picture} dataset=${dataset.id} example=${example.id} version=${dataset.version} alt=${`${label(example.label)}, ${example.split}, ${example.path}`} whole edge=${400} />`}</div>
    <div style=${{ minWidth: 0 }}><h2 style=${{ overflowWrap: "anywhere" }}>${example.path}</h2>
      <dl class="facts" style=${{ gridTemplateColumns: "80px minmax(0, 1fr)", margin: "12px 0" }}><dt>Group</dt><dd>${example.group ?? "none"}</dd><dt>Size</dt><dd>${size(example.bytes)}</dd>${said}</dl>
      ${many ? html`<${Labels} labels=${labels} onChange=${choose} />` : html`<label class="field"><span>Label</span><input type="text" list="labels" value=${name} maxlength="256" onInput=${(/** @type {any} */ event) => set(event.target.value)} /></label>`}<datalist id="labels">${dataset.classes.map((/** @type {any} */ one) => html`<option value=${one.label}></option>`)}</datalist>
      <label class="field" style=${{ marginTop: "12px" }}><span>Split</span><select value=${split} onChange=${(/** @type {any} */ event) => move(event.target.value)}>${["train", "val", "test"].map((one) => html`<option value=${one}>${one}</option>`)}</select></label>
      <${Failed} error=${error} /></div></div>
    <${Neighbours} dataset=${dataset} example=${example} />
    <div class="acts"><${Button} kind="danger" why=${old ? "Only the latest version can be changed" : ""} busy=${busy === "drop"} onClick=${() => go("drop", () => send("DELETE", path), "Left out")}>Leave out</${Button}><${Button} kind="bare" onClick=${() => erase(true)}>Erase for good…</${Button}><span class="grow"></span><${Button} onClick=${onClose}>Close</${Button}><${Button} kind="primary" busy=${busy === "save"} why=${old ? "Only the latest version can be changed" : changed && (many || name.trim()) ? "" : "Nothing is changed"} onClick=${() => go("save", () => send("PATCH", path, { ...(relabelled ? saidToBe : {}), split }), "Changed")}>Save</${Button}></div></${Dialog}>`;
}
