// @ts-check
/** The organisation's keys. */
import { html, useState } from "../vendor/preact.js";
import { all, key, part, send } from "../api.js";
import { Button, Dialog, Failed, Field, Head, Loading, Same, Sure, copy, curl, python, settled, useLoad } from "../parts/ui.js";
import { ago } from "../parts/words.js";

/** @type {[string, string][]} */
const SCOPES = [["predict", "ask models"], ["read", "see everything"], ["write", "upload, train, move aliases"], ["admin", "make and revoke keys"]];

/** How long a new key may live, in days. @type {[string, number][]} */
const LIVES = [["never", 0], ["after a day", 1], ["after 30 days", 30], ["after 90 days", 90], ["after a year", 365]];

/** A key just made, for the only time. @param {{made: any, onClose: () => void}} props */
function Secret({ made, onClose }) {
  return html`<${Dialog} title="The new key" once="The secret is shown here and never again." onClose=${onClose}><h2>${made.name}</h2><p class="muted" style=${{ margin: "6px 0 12px" }}>Copy it now: it is shown here and never again.</p><pre class="panel mono" style=${{ overflowWrap: "anywhere", whiteSpace: "pre-wrap", margin: 0 }}>${made.key}</pre><div class="acts"><${Button} onClick=${() => copy(made.key, "The key is copied")}>Copy</${Button}><${Button} kind="primary" onClick=${onClose}>Done</${Button}></div></${Dialog}>`;
}

/** @param {{onClose: () => void, onDone: () => void}} props */
function NewKey({ onClose, onDone }) {
  const [name, set] = useState("");
  const [scopes, choose] = useState(["predict"]);
  const [days, last] = useState(0);
  const [made, show] = useState(/** @type {any} */ (null));
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const ends = () => (days ? Math.floor(Date.now() / 1000) + 86_400 * days : null);
  const go = () => { work(true); fail(null); send("POST", "v1/api_keys", { name: name.trim(), scopes, expires_at: ends() }).then((made) => { show(made); onDone(); }, (refused) => { fail(refused); work(false); }); };
  if (made) return html`<${Secret} made=${made} onClose=${onClose} />`;
  return html`<${Dialog} title="A new key" onClose=${onClose}><h2>A new key</h2>
    <div style=${{ margin: "16px 0" }}><${Field} title="What it is for" of=${/^name$/} error=${error}><input type="text" maxlength="200" value=${name} placeholder="line 4, camera" onInput=${(/** @type {any} */ event) => set(event.target.value)} /></${Field}></div>
    <fieldset style=${{ border: 0, padding: 0, margin: 0 }}><legend style=${{ fontWeight: 500, fontSize: "13px" }}>It may</legend>${SCOPES.map(([scope, said]) => html`<label class="row" style=${{ minHeight: "30px" }}><input type="checkbox" checked=${scopes.includes(scope)} onChange=${() => choose(scopes.includes(scope) ? scopes.filter((one) => one !== scope) : [...scopes, scope])} /> ${said} <span class="mono faint">${scope}</span></label>`)}</fieldset>
    <label class="field" style=${{ marginTop: "16px" }}><span>It ends</span><select value=${days} onChange=${(/** @type {any} */ event) => last(Number(event.target.value))}>${LIVES.map(([said, n]) => html`<option value=${n}>${said}</option>`)}</select></label>
    <${Failed} error=${error} fields=${[/^name$/]} /><div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="primary" busy=${busy} why=${!name.trim() ? "Say what it is for" : scopes.length ? "" : "Let it do something"} onClick=${go}>Make the key</${Button}></div></${Dialog}>`;
}

/** How long a former key goes on beside its new one. @type {[string, number][]} */
const OVERLAPS = [["not at all", 0], ["an hour", 3600], ["a day", 86_400], ["a week", 604_800]];

/** A new secret in the place of one that may have been seen. @param {{of: any, me: any, onClose: () => void, onDone: () => void}} props */
function Replace({ of, me, onClose, onDone }) {
  const [overlap, set] = useState(86_400);
  const [made, show] = useState(/** @type {any} */ (null));
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const go = () => {
    work(true); fail(null);
    const going = send("POST", `v1/api_keys/${part(of.id)}/rotate`, { overlap_seconds: overlap }).then((made) => { if (of.id === me.id) key.set(made.key); return made; });
    if (of.id === me.id) key.swap(going);
    going.then((made) => { show(made); onDone(); }, (refused) => { fail(refused); work(false); });
  };
  if (made) return html`<${Secret} made=${made} onClose=${of.id === me.id ? () => { settled(); location.reload(); } : onClose} />`;
  return html`<${Dialog} title="Replace the key" onClose=${onClose}><h2>Replace “${of.name}”</h2><p class="muted" style=${{ margin: "6px 0 16px" }}>A new key of the same name that may do the same. Whoever uses the former one needs time to take the new one.</p>
    <label class="field"><span>The former one goes on for</span><select value=${overlap} onChange=${(/** @type {any} */ event) => set(Number(event.target.value))}>${OVERLAPS.map(([said, seconds]) => html`<option value=${seconds}>${said}</option>`)}</select></label>
    ${of.id === me.id && html`<p class="hint" style=${{ marginTop: "8px" }}>It is the key of this tab, which goes on with the new one.</p>`}
    <${Failed} error=${error} /><div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="primary" busy=${busy} onClick=${go}>Replace it</${Button}></div></${Dialog}>`;
}

/** Until when a key opens anything. @param {number | null} at */
const until = (at) => (at == null ? "" : at * 1000 < Date.now() ? "has ended" : `until ${new Date(at * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })}`);

/** @param {{me: any}} props */
export default function Keys({ me }) {
  const { data, error, again } = useLoad(() => all("v1/api_keys"), []);
  const [making, make] = useState(false);
  const [gone, drop] = useState(/** @type {any} */ (null));
  const [old, swap] = useState(/** @type {any} */ (null));
  return html`<${Head} title="Keys" crumbs=${[["Usage", "#/usage"]]} sub=${html`<span>of the organisation “${me.organization_id}”</span>`} acts=${html`<${Button} kind="primary" why=${me.scopes.includes("admin") ? "" : "This key may not make others"} onClick=${() => make(true)}>New key</${Button}>`} /><${Failed} error=${error} again=${again} />${!data && !error && html`<${Loading} />`}
    ${data && html`<div class="panel flush blocks" style=${{ marginTop: "24px" }}><table><thead><tr><th>For</th><th>Begins with</th><th>May</th><th class="num">Made</th><th class="num">Last used</th><th></th></tr></thead><tbody>${data.map((one) => html`<tr key=${one.id}><td style=${{ fontWeight: 500, overflowWrap: "anywhere" }}>${one.name} ${one.id === me.id && html`<span class="chip accent">this one</span>`}</td><td class="mono faint">${one.prefix}…</td><td class="muted">${one.scopes.join(", ")}${one.expires_at != null && html`<br /><span class="faint">${until(one.expires_at)}</span>`}</td><td class="num faint"><span class="only-phone">made </span>${ago(one.created_at)}</td><td class="num faint"><span class="only-phone">used </span>${one.last_used_at == null ? "never" : ago(one.last_used_at)}</td><td class="right" style=${{ whiteSpace: "nowrap" }}><${Button} kind="small bare" onClick=${() => swap(one)}>Replace…</${Button}><${Button} kind="small bare" onClick=${() => drop(one)}>Revoke…</${Button}></td></tr>`)}</tbody></table></div>`}
    <div class="folds"><${Same} curl=${curl("v1/api_keys", `-H "Content-Type: application/json" -d '{"name": "line 4", "scopes": ["predict"]}'`)} python=${python('made = client.post("v1/api_keys", json={"name": "line 4", "scopes": ["predict"]}).json()\nprint(made["key"])')} /></div>
    ${making && html`<${NewKey} onClose=${() => make(false)} onDone=${again} />`}
    ${old && html`<${Replace} of=${old} me=${me} onClose=${() => swap(null)} onDone=${again} />`}
    ${gone && html`<${Sure} title="Revoke the key" text=${`Whoever uses “${gone.name}” is refused from now on.${gone.id === me.id ? " It is the key of this tab: you will be signed out." : ""}`} verb=${`Revoke “${gone.name}”`} onClose=${() => drop(null)} act=${() => send("DELETE", `v1/api_keys/${part(gone.id)}`).then(again)} />`}`;
}
