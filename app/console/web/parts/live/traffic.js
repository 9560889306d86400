// @ts-check
/** Who answers for an alias beside its own model: a part of the requests each, or unseen. */
import { html, useState } from "../../vendor/preact.js";
import { get, part, send } from "../../api.js";
import { Button, Dialog, Failed, Field, Fold, Interval, Note, toast, useEvery, useLoad } from "../ui.js";
import { choice, count, exactly, label, ofVersion, percent, range, several } from "../words.js";

const MOST = 10;

/** What the other models leave. @param {any[]} split */
const left = (split) => 1 - split.reduce((sum, one) => sum + one.weight, 0);

/** Change an alias, and say so with the way back. @param {any} alias @param {Record<string, any>} change @param {string} said @param {() => void} onDone */
async function changed(alias, change, said, onDone) {
  const path = `v1/aliases/${part(alias.name)}`;
  const before = "split" in change ? { split: alias.split, classes: "any" } : { shadow: alias.shadow };
  await send("PATCH", path, change);
  toast(said, { label: "Undo", act: () => { send("PATCH", path, before).then(onDone, (refused) => toast(refused.message)); } });
  onDone();
}

/** Other models for the alias, those of its own one's dataset first: they read what it reads, and say as many labels. @param {any} alias @param {any[]} models @returns {any[]} */
export function fitting(alias, models) {
  const own = models.find((one) => one.id === alias.model);
  const apart = (/** @type {any} */ one) => Number(one.dataset?.id !== own?.dataset?.id);
  return models.filter((one) => own && one.id !== own.id && one.modality === own.modality && one.label_mode === own.label_mode).sort((a, b) => apart(a) - apart(b));
}

/** @param {{models: any[], value: string, onChange: (id: string) => void}} props */
const Models = ({ models, value, onChange }) => html`<select value=${value} onChange=${(/** @type {any} */ event) => onChange(event.target.value)}>${models.map((one) => html`<option value=${one.id}>${choice(one)}</option>`)}</select>`;

/** One model's part. @param {{n: number, row: any, models: any[], error: any, onChange: (row: any) => void, onDrop: () => void}} props */
function Share({ n, row, models, error, onChange, onDrop }) {
  return html`<div class="share"><${Field} title="Model" of=${new RegExp(`^split\\.${n}\\.model`)} error=${error}><${Models} models=${models} value=${row.model} onChange=${(/** @type {string} */ model) => onChange({ ...row, model })} /></${Field}>
    <${Field} title="Percent" of=${new RegExp(`^split\\.${n}\\.weight`)} error=${error}><input type="number" min="0.0001" max="100" step="any" required value=${row.percent} onInput=${(/** @type {any} */ event) => onChange({ ...row, percent: event.target.value })} /></${Field}><${Button} kind="bare" aria-label=${`Take model ${n + 1} out of the split`} onClick=${onDrop}>Take out</${Button}></div>`;
}

/** Whether it is refused for classes that a model lacks, which can be meant: which model, and which classes. @param {any} error @param {any[]} models */
function lackOf(error, models) {
  const [, id, said] = /^(\S+): the candidate (.+); where that is meant, say "classes": "any"$/.exec(error?.message ?? "") ?? [];
  return said ? `${ofVersion(models.find((one) => one.id === id) ?? { id })}: it ${said.replaceAll("incumbent", "alias's own model")}.` : "";
}

/** @param {{alias: any, models: any[], onClose: () => void, onDone: () => void}} props */
function Split({ alias, models, onClose, onDone }) {
  const others = fitting(alias, models);
  const fresh = (/** @type {any[]} */ rows) => ({ model: others.find((one) => !rows.some((row) => row.model === one.id))?.id ?? "", percent: "10" });
  const [rows, set] = useState(() => (alias.split.length ? alias.split.map((/** @type {any} */ one) => ({ model: one.model, percent: String(Number((100 * one.weight).toFixed(4))) })) : [fresh([])]));
  const [any, allow] = useState(false);
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const split = rows.map((/** @type {any} */ row) => ({ model: row.model, weight: Number((Number(row.percent) / 100).toFixed(6)) }));
  const rest = left(split), over = rest < -1e-9;
  const refused = lackOf(error, models), lacks = refused || (any ? "It may lack classes of the alias's own model." : "");
  const twice = new Set(rows.map((/** @type {any} */ row) => row.model)).size < rows.length;
  const why = rows.some((/** @type {any} */ row) => !(Number(row.percent) > 0)) ? "Say which part each is to have" : over ? "Together more than all requests" : twice ? "A model is named twice" : "";
  const go = () => { work(true); fail(null); changed(alias, { split, classes: any ? "any" : "kept" }, "The split holds from the next request on.", onDone).then(onClose, (refused) => { fail(refused); work(false); }); };
  return html`<${Dialog} title="Split the requests" onClose=${onClose}><h2>Split the requests of ${alias.name}</h2><p class="muted" style=${{ margin: "6px 0 16px" }}>Other models answer a part of them; each answer says by which it was made. The same input, or the same <code>x-headstart-key</code>, always goes to the same model. A move of the alias ends the split.</p>
    ${rows.map((/** @type {any} */ row, /** @type {number} */ n) => html`<${Share} key=${n} n=${n} row=${row} models=${others} error=${error} onChange=${(/** @type {any} */ next) => set(rows.map((/** @type {any} */ one, /** @type {number} */ at) => (at === n ? next : one)))} onDrop=${() => set(rows.filter((/** @type {any} */ _, /** @type {number} */ at) => at !== n))} />`)}
    <div class="row" style=${{ marginTop: "12px" }}><${Button} kind="small" why=${rows.length >= Math.min(MOST, others.length) ? "There is no further model for it" : ""} onClick=${() => set([...rows, fresh(rows)])}>Another model</${Button}><span class=${`dense ${over ? "miss-ink" : "muted"}`} role="status">${over ? `Together ${exactly(1 - rest)}: more than all` : `${exactly(Math.max(0, rest))} stay with the alias's own model`}</span></div>
    <${Failed} error=${refused ? null : error} fields=${[/^split\.\d+\.(model|weight)/]} />
    ${lacks && html`<${Note} kind="miss" icon="info" role="alert"><p style=${{ marginBottom: "8px", overflowWrap: "anywhere" }}>${lacks}</p><label class="row" style=${{ flexWrap: "nowrap", alignItems: "flex-start" }}><input type="checkbox" checked=${any} onChange=${() => allow(!any)} /><span>Let it answer all the same. Its part of the requests is never told the classes that it does not know: what belongs to them is given another name, or called unknown.</span></label></${Note}>`}
    <div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="primary" busy=${busy} why=${rows.length ? why : "Add a model, or end the split on the alias's page"} onClick=${go}>Split</${Button}></div></${Dialog}>`;
}

/** @param {{alias: any, models: any[], onClose: () => void, onDone: () => void}} props */
function Shadow({ alias, models, onClose, onDone }) {
  const others = fitting(alias, models);
  const [shadow, set] = useState(alias.shadow ?? others[0]?.id ?? "");
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const go = () => { work(true); fail(null); changed(alias, { shadow }, "It answers unseen from the next request on.", onDone).then(onClose, (refused) => { fail(refused); work(false); }); };
  return html`<${Dialog} title="A shadow" onClose=${onClose}><h2>Let a model answer unseen</h2><p class="muted" style=${{ margin: "6px 0 16px" }}>It is asked whatever ${alias.name} is asked. Nobody is told its answers; how often they are the same is counted here. A move of the alias ends it.</p>
    <${Field} title="Model" of=${/^shadow$/} error=${error}><${Models} models=${others} value=${shadow} onChange=${set} /></${Field}>
    <${Failed} error=${error} fields=${[/^shadow$/]} /><div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="primary" busy=${busy} why=${shadow === alias.shadow ? "It does already" : ""} onClick=${go}>Let it answer unseen</${Button}></div></${Dialog}>`;
}

/** How often the shadow says the same. @param {{alias: any, model: any}} props */
function Agreement({ alias, model }) {
  const { data, error, again } = useLoad(() => get(`v1/aliases/${part(alias.name)}/shadow`), [alias.name, alias.model, alias.shadow]);
  useEvery(again, 15);
  if (!data) return html`<${Failed} error=${error} again=${again} />`;
  if (!data.compared) return html`<p class="muted dense">Nothing was asked since.</p>`;
  const said = (/** @type {string | null} */ name) => (name != null ? label(name) : model?.label_mode === "multi_label" ? "not given" : "unknown");
  return html`<p class="dense" style=${{ margin: "4px 0 6px" }}><b>${percent(data.agreement.value)}</b> <span class="muted">${range(data.agreement)} · the same on ${count(data.agreed)} of ${count(data.compared)}</span></p><${Interval} figure=${data.agreement} name="the same answer" />
    ${data.differences.length > 0 && html`<div class="folds" style=${{ marginTop: "10px" }}><${Fold} title="Where they differ" summary=${`${said(data.differences[0].label)} → ${said(data.differences[0].shadow_label)} ${several(data.differences[0].count, "time")}`}><table><thead><tr><th>It says</th><th>The shadow says</th><th class="num">Times</th></tr></thead><tbody>${data.differences.map((/** @type {any} */ one) => html`<tr><td style=${{ overflowWrap: "anywhere" }}>${said(one.label)}</td><td style=${{ overflowWrap: "anywhere" }}>${said(one.shadow_label)}</td><td class="num">${count(one.count)}</td></tr>`)}</tbody></table></${Fold}></div>`}`;
}

/** @param {{alias: any, models: any[], named: (id: string | null) => any, onChanged: () => void}} props */
export function Traffic({ alias, models, named, onChanged }) {
  const [open, show] = useState("");
  const none = fitting(alias, models).length ? "" : "There is no other model that reads the same and says as many labels";
  const end = (/** @type {Record<string, any>} */ change, /** @type {string} */ said) => () => changed(alias, change, said, onChanged).catch((refused) => toast(refused.message));
  const rest = left(alias.split);
  return html`<section><header><h2>Who else answers</h2><small>before it is moved: try another model on a part of the requests, or unseen</small></header>
    <div class="half" style=${{ gap: "16px" }}><div class="panel"><div class="row"><h3 class="grow">A part of the requests</h3><${Button} kind="small" why=${none} onClick=${() => show("split")}>${alias.split.length ? "Change…" : "Split…"}</${Button}>${alias.split.length > 0 && html`<${Button} kind="small bare" onClick=${end({ split: [] }, "The split has ended.")}>End</${Button}>`}</div>
      ${alias.split.length ? html`<dl class="facts" style=${{ gridTemplateColumns: "72px minmax(0, 1fr)", marginTop: "10px" }}>${alias.split.map((/** @type {any} */ one) => html`<dt>${exactly(one.weight)}</dt><dd>${named(one.model)}</dd>`)}<dt>${exactly(Math.max(0, rest))}</dt><dd>${named(alias.model)}, its own</dd></dl>` : html`<p class="muted dense" style=${{ marginTop: "6px" }}>None: all of them go to its own model.</p>`}</div>
    <div class="panel"><div class="row"><h3 class="grow">Unseen, a shadow</h3><${Button} kind="small" why=${none} onClick=${() => show("shadow")}>${alias.shadow ? "Change…" : "Add a shadow…"}</${Button}>${alias.shadow && html`<${Button} kind="small bare" onClick=${end({ shadow: null }, "The shadow answers no more.")}>End</${Button}>`}</div>
      ${alias.shadow ? html`<p class="dense" style=${{ marginTop: "6px" }}>${named(alias.shadow)}</p><${Agreement} alias=${alias} model=${models.find((one) => one.id === alias.model)} />` : html`<p class="muted dense" style=${{ marginTop: "6px" }}>None: nothing is compared.</p>`}</div></div></section>
    ${open === "split" && html`<${Split} alias=${alias} models=${models} onClose=${() => show("")} onDone=${onChanged} />`}${open === "shadow" && html`<${Shadow} alias=${alias} models=${models} onClose=${() => show("")} onDone=${onChanged} />`}`;
}

/** What of an alias's traffic a line of its history has set. @param {{evidence: any, named: (id: string | null) => any}} props */
export function TrafficSet({ evidence, named }) {
  const { split = [], shadow, prediction_log: log } = evidence ?? {};
  return html`${split.map((/** @type {any} */ one) => html`${exactly(one.weight)} to ${named(one.model)}, `)}${shadow ? html`unseen ${named(shadow)}` : split.length ? "none unseen" : "its own model alone"}${log ? "; written down" : ""}`;
}
