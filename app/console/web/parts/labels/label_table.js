// @ts-check
/** Several labels: each class with its average precision, and a slider for the threshold from which on it is given. */
import { html, useState } from "../../vendor/preact.js";
import { Button, Code, Interval, curl } from "../ui.js";
import { label, percent, range, several } from "../words.js";

/** What is known of a class at thresholds: its own, and the tenths that were measured. @param {any} one */
const points = (one) => [...(one.operating_points ?? []), { threshold: one.threshold, precision: one.precision, recall: one.recall }].sort((a, b) => a.threshold - b.threshold);

/** @param {{one: any, at: number | undefined, onMove: (threshold: number | undefined) => void}} props */
function Row({ one, at, onMove }) {
  const known = points(one);
  const own = known.findIndex((point) => point.threshold === one.threshold);
  const place = at === undefined ? own : known.findIndex((point) => point.threshold === at);
  const now = known[place];
  const said = `given from ${percent(now.threshold, 0)} on`;
  return html`<tr><td style=${{ fontWeight: 500, overflowWrap: "anywhere" }} title=${one.label}>${label(one.label)}<br /><small class="faint">${several(one.support, "example has it", "examples have it")}</small></td>
    <td data-is="average precision" style=${{ width: "17%" }}><${Interval} figure=${one.average_precision} name=${`${label(one.label)}, average precision`} /><small class="muted">${percent(one.average_precision?.value, 0)} <span class="faint">${range(one.average_precision)}</span></small></td>
    <td data-is="threshold" style=${{ width: "20%" }}><label><span class="sr">${label(one.label)}: from which probability on it is given</span><input type="range" min="0" max=${known.length - 1} step="1" value=${place} aria-valuetext=${said} onInput=${(/** @type {any} */ event) => { const next = Number(event.target.value); onMove(next === own ? undefined : known[next].threshold); }} /></label><small class="muted">${said}${place === own ? html` <span class="faint">its own</span>` : ""}</small></td>
    <td data-is="found" style=${{ width: "17%" }}><${Interval} figure=${now.recall} name=${`${label(one.label)} found`} /><small class="muted">${percent(now.recall?.value, 0)} <span class="faint">${range(now.recall)}</span></small></td>
    <td data-is="right when said" style=${{ width: "17%" }}>${now.precision?.value == null ? html`<small class="faint">never said</small>` : html`<${Interval} figure=${now.precision} name=${`${label(one.label)} right when said`} /><small class="muted">${percent(now.precision.value, 0)} <span class="faint">${range(now.precision)}</span></small>`}</td></tr>`;
}

/** @param {{classes: any[], model: any}} props */
export function LabelTable({ classes, model }) {
  const [moved, move] = useState(/** @type {Map<string, number>} */ (new Map())) /* no plain object: a class may be called `constructor` */;
  const [most, more] = useState(30);
  const sorted = [...classes].sort((a, b) => (a.average_precision?.value ?? 2) - (b.average_precision?.value ?? 2));
  const set = (/** @type {string} */ name, /** @type {number | undefined} */ value) => { const now = new Map(moved); value === undefined ? now.delete(name) : now.set(name, value); move(now); };
  const asked = encodeURIComponent(JSON.stringify(Object.fromEntries(moved)));
  const body = model.modality === "text" ? `-H "Content-Type: application/json" -d '{"inputs": [{"text": "…"}]}'` : '-H "Content-Type: image/jpeg" --data-binary @picture.jpg';
  return html`<section><header><h2>Label by label</h2><small>found: of those that have it, how many; right when said: of those it is given to, how many. Worst first.</small></header>
    <div class="scroll"><table class="labels"><thead><tr><th>Label</th><th>average precision</th><th>threshold</th><th>found</th><th>right when said</th></tr></thead><tbody>${sorted.slice(0, most).map((one) => html`<${Row} key=${one.label} one=${one} at=${moved.get(one.label)} onMove=${(/** @type {number | undefined} */ value) => set(one.label, value)} />`)}</tbody></table></div>
    ${sorted.length > most && html`<p><button type="button" class="link" onClick=${() => more(10_000)}>All ${sorted.length} labels</button></p>`}
    ${moved.size > 0 && html`<div style=${{ marginTop: "14px" }}><p class="dense row"><span class="grow">${several(moved.size, "threshold is", "thresholds are")} moved here. The model keeps its own; a request asks for these:</span><${Button} kind="small" onClick=${() => move(new Map())}>Its own again</${Button}></p><${Code} text=${curl(`v1/models/${model.aliases[0] ?? model.id}/predictions?thresholds=${asked}`, body)} /></div>`}</section>`;
}
