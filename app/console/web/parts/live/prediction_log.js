// @ts-check
/** The switch of an alias's prediction log: what of its requests is written down, and for how long. */
import { html, useState } from "../../vendor/preact.js";
import { part, send } from "../../api.js";
import { Button, Dialog, Failed, Sure, toast } from "../ui.js";
import { exactly, several } from "../words.js";

/** @type {[number, string][]} */
const RATES = [[1, "every request"], [0.5, "every second one"], [0.2, "one in five"], [0.1, "one in ten"], [0.01, "one in a hundred"], [0, "none for now (a pause)"]];

/** @param {number} rate */
const drawn = (rate) => RATES.find(([one]) => one === rate)?.[1] ?? `${exactly(rate)} of the requests`;

/** What is written down, in words. @param {any} log */
export const logSaid = (log) => `${drawn(log.rate)}, kept for ${several(log.retention_days, "day")}${log.content === "hash" ? ", without the inputs themselves" : ""}`;

/** @param {{alias: any, onClose: () => void, onDone: () => void}} props */
function Rule({ alias, onClose, onDone }) {
  const old = alias.prediction_log;
  const [rate, draw] = useState(old?.rate ?? 1);
  const [days, keep] = useState(old?.retention_days ?? 30);
  const [content, hold] = useState(old?.content ?? "keep");
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const known = RATES.some(([one]) => one === rate);
  const go = () => {
    work(true); fail(null);
    send("PATCH", `v1/aliases/${part(alias.name)}`, { prediction_log: { ...old, rate, retention_days: days, content } }).then(() => { onDone(); onClose(); }, (refused) => { fail(refused); work(false); });
  };
  return html`<${Dialog} title="Write down what it is asked" onClose=${onClose}><h2>Write down what ${alias.name} is asked</h2>
    <p class="muted" style=${{ margin: "6px 0 16px" }}>So that you can see whether it is still right, and teach it what it meets. It costs no answer its time. Requests with <code>Cache-Control: no-store</code> are never written down, and nothing leaves this machine.</p>
    <label class="field"><span>Which requests, drawn at random</span><select value=${String(rate)} onChange=${(/** @type {any} */ event) => draw(Number(event.target.value))}>${RATES.map(([value, said]) => html`<option value=${String(value)}>${said}</option>`)}${!known && html`<option value=${String(rate)}>${drawn(rate)}</option>`}</select></label>
    <label class="field" style=${{ marginTop: "12px" }}><span>Deleted after so many days</span><input type="number" min="0.1" max="3650" step="any" value=${days} onInput=${(/** @type {any} */ event) => keep(Number(event.target.value))} /></label>
    <label class="field" style=${{ marginTop: "12px" }}><span>What is kept</span><select value=${content} onChange=${(/** @type {any} */ event) => hold(event.target.value)}><option value="keep">the pictures or texts, to be looked at and labelled</option><option value="hash">only their fingerprint: enough for drift, nothing to label</option></select></label>
    <${Failed} error=${error} /><div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="primary" busy=${busy} why=${days > 0 ? "" : "Say for how many days"} onClick=${go}>${old ? "Change it" : "Write it down"}</${Button}></div></${Dialog}>`;
}

/** @param {{alias: any, onChanged: () => void, primary?: boolean}} props */
export function LogSwitch({ alias, onChanged, primary = false }) {
  const [open, show] = useState("");
  const log = alias.prediction_log;
  const end = () => send("PATCH", `v1/aliases/${part(alias.name)}`, { prediction_log: null }).then(() => { toast("Nothing is written down any more, and what was is deleted."); onChanged(); });
  return html`<div class="row dense">${log
      ? html`<span class="grow">Written down: ${logSaid(log)}.</span><${Button} kind="small" onClick=${() => show("rule")}>Change…</${Button}><${Button} kind="small bare" onClick=${() => show("end")}>End and delete…</${Button}>`
      : html`${!primary && html`<span class="grow muted">What it is asked is not written down.</span>`}<${Button} kind=${primary ? "primary" : "small"} onClick=${() => show("rule")}>Write it down…</${Button}>`}</div>
    ${open === "rule" && html`<${Rule} alias=${alias} onClose=${() => show("")} onDone=${onChanged} />`}
    ${open === "end" && html`<${Sure} title="End the log" text=${`What ${alias.name} was asked, and every comparison made with it, is deleted now. Feedback stays.`} verb="End it and delete all" onClose=${() => show("")} act=${end} />`}`;
}
