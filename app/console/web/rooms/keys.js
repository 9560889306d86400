// @ts-check
/** The organisation's keys. */
import { html, useState } from "../vendor/preact.js";
import { all, get, part, send } from "../api.js";
import { Button, Dialog, Failed, Head, Loading, Same, Sure, copy, curl, python, useLoad } from "../parts/ui.js";
import { ago, count, size } from "../parts/words.js";

/** @type {[string, string][]} */
const SCOPES = [["predict", "ask models"], ["read", "see everything"], ["write", "upload, train, move aliases"], ["admin", "make and revoke keys"]];

/** @param {{onClose: () => void, onDone: () => void}} props */
function NewKey({ onClose, onDone }) {
  const [name, set] = useState("");
  const [scopes, choose] = useState(["predict"]);
  const [made, show] = useState(/** @type {any} */ (null));
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const go = () => { work(true); fail(null); send("POST", "v1/api_keys", { name: name.trim(), scopes }).then((key) => { show(key); onDone(); }, (refused) => { fail(refused); work(false); }); };
  if (made) return html`<${Dialog} title="The new key" onClose=${onClose}><h2>${made.name}</h2><p class="muted" style=${{ margin: "6px 0 12px" }}>Copy it now: it is shown here and never again.</p><pre class="panel mono" style=${{ overflowWrap: "anywhere", whiteSpace: "pre-wrap", margin: 0 }}>${made.key}</pre><div class="acts"><${Button} onClick=${() => copy(made.key, "The key is copied")}>Copy</${Button}><${Button} kind="primary" onClick=${onClose}>Done</${Button}></div></${Dialog}>`;
  return html`<${Dialog} title="A new key" onClose=${onClose}><h2>A new key</h2>
    <label class="field" style=${{ margin: "16px 0" }}><span>What it is for</span><input type="text" maxlength="200" value=${name} placeholder="line 4, camera" onInput=${(/** @type {any} */ event) => set(event.target.value)} /></label>
    <fieldset style=${{ border: 0, padding: 0, margin: 0 }}><legend style=${{ fontWeight: 500, fontSize: "13px" }}>It may</legend>${SCOPES.map(([scope, said]) => html`<label class="row" style=${{ minHeight: "30px" }}><input type="checkbox" checked=${scopes.includes(scope)} onChange=${() => choose(scopes.includes(scope) ? scopes.filter((one) => one !== scope) : [...scopes, scope])} /> ${said} <span class="mono faint">${scope}</span></label>`)}</fieldset>
    <${Failed} error=${error} /><div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="primary" busy=${busy} why=${!name.trim() ? "Say what it is for" : scopes.length ? "" : "Let it do something"} onClick=${go}>Make the key</${Button}></div></${Dialog}>`;
}

/** @type {Record<string, string>} */
const COUNTED = { stored_bytes: "Bytes of uploads", examples: "Examples", jobs: "Jobs under way", keys: "Keys", requests_per_minute: "Requests a minute" };

function Usage() {
  const { data, error } = useLoad(() => get("v1/organizations/me"), []);
  if (!data) return html`<${Failed} error=${error} />`;
  const said = (/** @type {string} */ name, /** @type {number} */ n) => (name === "stored_bytes" ? size(n) : count(n));
  return html`<section><header><h2>Usage</h2><small>and what is allowed</small></header><dl class="facts">${Object.entries(COUNTED).map(([name, what]) => html`<dt>${what}</dt><dd>${name in data.usage ? html`<b>${said(name, data.usage[name])}</b> ` : ""}<span class="faint">${data.quotas[name] ? `of ${said(name, data.quotas[name])}` : "no bound"}</span></dd>`)}</dl></section>`;
}

/** @param {{me: any}} props */
export default function Keys({ me }) {
  const { data, error, again } = useLoad(() => all("v1/api_keys"), []);
  const [making, make] = useState(false);
  const [gone, drop] = useState(/** @type {any} */ (null));
  return html`<${Head} title="Keys and usage" sub=${html`<span>of ${me.organization_id}</span>`} acts=${html`<${Button} kind="primary" why=${me.scopes.includes("admin") ? "" : "This key may not make others"} onClick=${() => make(true)}>New key</${Button}>`} /><${Failed} error=${error} again=${again} />${!data && !error && html`<${Loading} />`}
    ${data && html`<div class="panel flush blocks" style=${{ marginTop: "24px" }}><table><thead><tr><th>For</th><th>Begins with</th><th>May</th><th class="num">Made</th><th></th></tr></thead><tbody>${data.map((one) => html`<tr key=${one.id}><td style=${{ fontWeight: 500, overflowWrap: "anywhere" }}>${one.name} ${one.id === me.id && html`<span class="chip accent">this one</span>`}</td><td class="mono faint">${one.prefix}…</td><td class="muted">${one.scopes.join(", ")}</td><td class="num faint">${ago(one.created_at)}</td><td class="right"><${Button} kind="small" onClick=${() => drop(one)}>Revoke…</${Button}></td></tr>`)}</tbody></table></div>`}
    <${Usage} />
    <div class="folds"><${Same} curl=${curl("v1/api_keys", `-H "Content-Type: application/json" -d '{"name": "line 4", "scopes": ["predict"]}'`)} python=${python('made = client.post("v1/api_keys", json={"name": "line 4", "scopes": ["predict"]}).json()\nprint(made["key"])')} /></div>
    ${making && html`<${NewKey} onClose=${() => make(false)} onDone=${again} />`}
    ${gone && html`<${Sure} title="Revoke the key" text=${`Whoever uses “${gone.name}” is refused from now on.${gone.id === me.id ? " It is the key of this tab: you will be signed out." : ""}`} verb=${`Revoke “${gone.name}”`} onClose=${() => drop(null)} act=${() => send("DELETE", `v1/api_keys/${part(gone.id)}`).then(again)} />`}`;
}
