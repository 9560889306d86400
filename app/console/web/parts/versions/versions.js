// @ts-check
/** The versions of a dataset, and what each has changed. */
import { html, useState } from "../../vendor/preact.js";
import { get, part } from "../../api.js";
import { Erasures } from "./erase.js";
import { Failed, Loading, useLoad } from "../ui.js";
import { ago, count, label, several } from "../words.js";

const SHOWN = 50;

/** @param {any} told what of an example was, or is */
const said = (told) => Object.entries(told).map(([name, value]) => (name === "label" ? label(String(value)) : name === "labels" ? (/** @type {string[]} */ (value)).map(label).join(", ") || "no label" : `${name} ${value ?? "none"}`)).join(", ");

/** @param {{title: string, rows: [string, string][], of: number}} props */
function Some({ title, rows, of }) {
  if (!of) return null;
  return html`<h3 style=${{ margin: "12px 0 4px" }}>${title}: ${count(of)}</h3><table><tbody>${rows.slice(0, SHOWN).map(([path, what]) => html`<tr key=${path}><td style=${{ overflowWrap: "anywhere" }}>${path}</td><td class="right muted">${what}</td></tr>`)}</tbody></table>${of > SHOWN && html`<p class="hint">the first ${Math.min(SHOWN, rows.length)}</p>`}`;
}

/** What a version has changed since the one before. @param {{dataset: any, version: number}} props */
function Changes({ dataset, version }) {
  const { data, error, again } = useLoad(() => get(`v1/datasets/${part(dataset.id)}/versions/${version}/diff`), [dataset.id, version]);
  if (!data) return error ? html`<${Failed} error=${error} again=${again} />` : html`<${Loading} lines=${1} />`;
  const { added, removed, relabelled, moved } = data;
  const only = (/** @type {any} */ some) => some.examples.map((/** @type {any} */ one) => [one.path, label(one.label)]);
  const both = (/** @type {any} */ some) => some.examples.map((/** @type {any} */ one) => [one.path, `${said(one.before)} → ${said(one.after)}`]);
  const any = added.count + removed.count + relabelled.count + moved.count;
  return html`<p class="muted dense">${any ? `${several(data.unchanged, "example")} of version ${data.from_version} stayed as they were.` : `Nothing was added, taken out, relabelled or moved since version ${data.from_version}: a label was confirmed, or a doubt settled.`}</p>
    <${Some} title="Relabelled" rows=${both(relabelled)} of=${relabelled.count} /><${Some} title="Added" rows=${only(added)} of=${added.count} /><${Some} title="Taken out" rows=${only(removed)} of=${removed.count} /><${Some} title="Moved to another group or split" rows=${both(moved)} of=${moved.count} />`;
}

/** @param {{dataset: any, versions: any[], models: any[]}} props */
export function Versions({ dataset, versions, models }) {
  const [open, show] = useState(0);
  const first = Math.min(...versions.map((one) => one.version));
  const erased = versions.some((one) => one.num_erased);
  return html`<div class="panel flush blocks" style=${{ marginTop: "24px" }}><table><thead><tr><th>Version</th><th class="num">Examples</th>${erased && html`<th class="num">Erased</th>`}<th class="num">Classes</th><th class="num">Problems</th><th>Models</th><th class="num">Made</th><th></th></tr></thead><tbody>
    ${versions.map((one) => html`<tr key=${one.id}><td><a href=${`#/datasets/${dataset.id}?version=${one.version}`}>version ${one.version}</a> ${one.status !== "ready" && html`<span class=${`chip ${one.status === "failed" ? "bad" : ""}`}>${one.status}</span>`}</td><td class="num" data-of="examples">${count(one.num_examples)}</td>${erased && html`<td class="num miss-ink" data-of="erased" title=${one.erased_at ? `last ${new Date(one.erased_at * 1000).toLocaleString("en-GB")}` : null}>${one.num_erased || ""}</td>`}<td class="num" data-of="classes">${one.classes.length}</td><td class="num" data-of="problems">${one.num_problems}</td><td data-of="models">${models.filter((model) => model.dataset?.version === one.version).length || ""}</td><td class="num faint">${ago(one.created_at)}</td><td class="right">${one.version > first && one.status === "ready" && html`<button type="button" class="link" aria-expanded=${open === one.version ? "true" : "false"} aria-label=${`What version ${one.version} changed`} onClick=${() => show(open === one.version ? 0 : one.version)}>what changed</button>`}</td></tr>`)}</tbody></table></div>
    ${open > 0 && html`<section><header><h2>What version ${open} changed</h2></header><${Changes} key=${open} dataset=${dataset} version=${open} /></section>`}
    <${Erasures} dataset=${dataset} />`;
}
