// @ts-check
/** Webhooks: where events are sent to, whether they arrived, and sending one again. */
import { html, useState } from "../vendor/preact.js";
import { all, get, send } from "../api.js";
import { Button, Dialog, Failed, Field, Head, Loading, Same, Sure, copy, curl, python, toast, useEvery, useLoad } from "../parts/ui.js";
import { ago } from "../parts/words.js";

/** @type {Record<string, string>} */
const KINDS = { succeeded: "ok", failed: "bad", waiting: "", pending: "" };

/** @param {{hook: any}} props */
function Deliveries({ hook }) {
  const { data, error, again } = useLoad(() => get(`v1/webhooks/${hook.id}/deliveries`, { limit: 8 }), [hook.id]);
  const [refused, fail] = useState(/** @type {any} */ (null));
  useEvery(again, 10);
  if (!data) return html`<${Failed} error=${error} />`;
  const once = (/** @type {any} */ one) => send("POST", `v1/webhooks/${hook.id}/deliveries/${one.id}/redeliver`).then(() => { fail(null); toast("It is sent again."); again(); }, fail);
  return html`<${Failed} error=${refused} />${data.data.length ? html`<table class="blocks"><thead class="sr"><tr><th>When</th><th>Event</th><th>Outcome</th><th></th></tr></thead><tbody>${data.data.map((/** @type {any} */ one) => { const last = one.attempts.at(-1); return html`<tr key=${one.id}><td class="faint" style=${{ width: "90px" }}>${ago(one.created_at)}</td><td class="mono">${one.type}</td><td><span class=${`chip ${KINDS[one.status] ?? ""}`}>${one.status}</span> <span class="muted">${last ? last.error ?? `answered ${last.status}` : ""}${one.attempts.length > 1 ? `, ${one.attempts.length} tries` : ""}</span></td><td class="right"><${Button} kind="small" onClick=${() => once(one)}>Send again</${Button}></td></tr>`; })}</tbody></table>` : html`<p class="muted dense">Nothing was sent yet.</p>`}`;
}

/** @param {{onClose: () => void, onDone: () => void}} props */
function NewWebhook({ onClose, onDone }) {
  const [url, set] = useState("");
  const [said, say] = useState("");
  const [made, show] = useState(/** @type {any} */ (null));
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const go = () => { work(true); fail(null); send("POST", "v1/webhooks", { url: url.trim(), description: said }).then((hook) => { show(hook); onDone(); }, (refused) => { fail(refused); work(false); }); };
  if (made) return html`<${Dialog} title="The webhook's secret" once="The secret is shown here and never again." onClose=${onClose}><h2>Its secret</h2><p class="muted" style=${{ margin: "6px 0 12px" }}>Deliveries are signed with it (Standard Webhooks). It is shown here and never again.</p><pre class="panel mono" style=${{ overflowWrap: "anywhere", whiteSpace: "pre-wrap", margin: 0 }}>${made.secret}</pre><div class="acts"><${Button} onClick=${() => copy(made.secret)}>Copy</${Button}><${Button} kind="primary" onClick=${onClose}>Done</${Button}></div></${Dialog}>`;
  return html`<${Dialog} title="A new webhook" onClose=${onClose}><h2>A new webhook</h2><p class="muted" style=${{ margin: "6px 0 16px" }}>Every event of this organisation is sent there: jobs, promotions, hooks.</p><${Field} title="Address" of=${/^url$/} error=${error}><input type="text" inputmode="url" value=${url} placeholder="https://example.org/events" onInput=${(/** @type {any} */ event) => set(event.target.value)} /></${Field}><${Field} title="What it is for" of=${/^description$/} error=${error}><input type="text" value=${said} onInput=${(/** @type {any} */ event) => say(event.target.value)} /></${Field}><${Failed} error=${error} fields=${[/^url$/, /^description$/]} /><div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="primary" busy=${busy} why=${url.trim() ? "" : "Say where to"} onClick=${go}>Make the webhook</${Button}></div></${Dialog}>`;
}

export default function Webhooks() {
  const { data, error, again } = useLoad(() => all("v1/webhooks"), []);
  const [making, make] = useState(false);
  const [gone, drop] = useState(/** @type {any} */ (null));
  const [refused, fail] = useState(/** @type {any} */ (null));
  const test = (/** @type {any} */ hook) => send("POST", `v1/webhooks/${hook.id}/test`).then(() => { fail(null); toast("A test event is on its way."); }, fail);
  return html`<${Head} title="Webhooks" crumbs=${[["Hooks", "#/hooks"]]} sub=${html`<span>where events are sent to</span>`} acts=${html`<${Button} kind="primary" onClick=${() => make(true)}>New webhook</${Button}>`} /><${Failed} error=${error} again=${again} /><${Failed} error=${refused} />${!data && !error && html`<${Loading} />`}
    ${data && (data.length ? data.map((hook) => html`<div class="panel" style=${{ marginTop: "20px" }} key=${hook.id}><div class="row"><h2 class="grow" style=${{ overflowWrap: "anywhere" }}>${hook.url} ${!hook.enabled && html`<span class="chip bad">${hook.disabled_reason ?? "off"}</span>`}</h2><${Button} kind="small" onClick=${() => test(hook)}>Send a test</${Button}><${Button} kind="small bare" onClick=${() => drop(hook)}>Delete…</${Button}></div><p class="muted dense" style=${{ margin: "6px 0 14px" }}>${hook.description} ${hook.events.join(", ")}</p><${Deliveries} hook=${hook} /></div>`) : html`<p class="empty">None yet. A webhook tells another program that a job has ended or a model was promoted.</p>`)}
    <div class="folds"><${Same} curl=${curl("v1/webhooks")} python=${python('print(client.get("v1/webhooks").json()["data"])')} /></div>
    ${making && html`<${NewWebhook} onClose=${() => make(false)} onDone=${again} />`}
    ${gone && html`<${Sure} title="Delete the webhook" text=${`Nothing is sent to ${gone.url} any more.`} verb="Delete the webhook" onClose=${() => drop(null)} act=${() => send("DELETE", `v1/webhooks/${gone.id}`).then(again)} />`}`;
}
