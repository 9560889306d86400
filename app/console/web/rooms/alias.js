// @ts-check
/** One alias: what answers, what was tried on it and why it moved or stayed, the way back. */
import { html, useState } from "../vendor/preact.js";
import { get, part, send } from "../api.js";
import { Button, Dialog, Failed, Field, Head, Interval, Loading, Same, curl, python, toast, useEvery, useFigure, useLoad } from "../parts/ui.js";
import { InUse } from "../parts/live/in_use.js";
import { Traffic, TrafficSet, fitting } from "../parts/live/traffic.js";
import { axis } from "../parts/dataset_rows.js";
import { ago, choice, ofVersion, percent, range } from "../parts/words.js";

/** @type {Record<string, string>} */
const KINDS = { promoted: "ok", refused: "bad", inconclusive: "miss" };

/** @param {{one: any, named: (id: string | null) => any}} props */
function Promotion({ one, named }) {
  const pairs = one.evidence?.discordant;
  const won = pairs?.candidate_right ?? null, lost = pairs?.incumbent_right ?? null;
  const verdict = one.verdict ?? (one.status === "failed" ? "failed" : "waiting");
  return html`<div class="item models" style=${{ gridTemplateColumns: "130px minmax(0, 1fr) minmax(0, 300px)", alignItems: "start" }}><div><span class=${`chip ${KINDS[verdict] ?? (verdict === "failed" ? "bad" : "")}`}>${one.forced ? "forced" : verdict}</span><small>${ago(one.decided_at ?? one.created_at)}</small></div>
    <div style=${{ minWidth: 0 }}><b>${named(one.candidate)}</b>${one.incumbent && html` <span class="muted">against</span> ${named(one.incumbent)}`}<p class="muted dense" style=${{ marginTop: "2px" }}>${one.reason ?? one.error?.message ?? "Both are asked about the same held-out examples now."}</p>${one.note && html`<small>“${one.note}”</small>`}${one.evidence?.more_labels ? html`<small>About ${one.evidence.more_labels} more labels would decide.</small>` : ""}
      ${one.incumbent && html`<a class="dense" href=${`#/compare?a=${part(one.incumbent)}&b=${part(one.candidate)}`}>See where they differ</a>`}</div>
    ${won != null && lost != null ? html`<div><div class="row dense" style=${{ justifyContent: "space-between" }}><span>only the incumbent right <b>${lost}</b></span><span><b>${won}</b> only the candidate</span></div><div class="dis" style=${{ marginTop: "4px", height: "9px" }} role="img" aria-label=${`only the incumbent right ${lost}, only the candidate right ${won}`}><i style=${{ flex: lost || 0.001 }}></i><i style=${{ flex: won || 0.001 }}></i></div></div>` : html`<div></div>`}</div>`;
}

/** @param {{alias: any, models: any[], onClose: () => void, onDone: () => void}} props */
function Offer({ alias, models, onClose, onDone }) {
  const others = fitting(alias, models);
  const [candidate, set] = useState(others[0]?.id ?? "");
  const [force, push] = useState(false);
  const [reason, say] = useState("");
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const go = () => {
    work(true); fail(null);
    send("POST", `v1/aliases/${part(alias.name)}/promotions`, { candidate, ...(force ? { force } : {}), ...(reason ? { reason } : {}) }).then((made) => { toast(made.reason ?? made.verdict ?? "It is being decided."); onDone(); onClose(); }, (refused) => { fail(refused); work(false); });
  };
  const why = !candidate ? "There is no other model of this kind" : force && !reason.trim() ? "Say why: it is kept in the history" : "";
  return html`<${Dialog} title="Offer a candidate" onClose=${onClose}><h2>Offer a candidate</h2><p class="muted" style=${{ margin: "6px 0 16px" }}>Both are asked about held-out examples that neither learned from. The alias moves only if the candidate is evidently not worse.</p>
    <${Field} title="Candidate" of=${/^candidate$/} error=${error}><select value=${candidate} onChange=${(/** @type {any} */ event) => set(event.target.value)}>${others.map((one) => html`<option value=${one.id}>${choice(one)}</option>`)}</select></${Field}>
    <label class="field" style=${{ marginTop: "12px" }}><span>Why</span><input type="text" maxlength="1000" value=${reason} placeholder="labels mended" onInput=${(/** @type {any} */ event) => say(event.target.value)} /></label>
    <label class="row" style=${{ marginTop: "12px" }}><input type="checkbox" checked=${force} onChange=${() => push(!force)} /> Move it without asking the gate; recorded as forced</label>
    <${Failed} error=${error} fields=${[/^candidate$/]} /><div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind=${force ? "danger" : "primary"} busy=${busy} why=${why} onClick=${go}>${force ? "Move it by force" : "Ask the gate"}</${Button}></div></${Dialog}>`;
}

/** @param {{alias: any, onClose: () => void, onDone: () => void}} props */
function Back({ alias, onClose, onDone }) {
  const [reason, say] = useState("");
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const go = () => { work(true); fail(null); send("POST", `v1/aliases/${part(alias.name)}/rollback`, reason ? { reason } : {}).then(() => { toast("It means what it meant before."); onDone(); onClose(); }, (refused) => { fail(refused); work(false); }); };
  return html`<${Dialog} title="Roll back" onClose=${onClose}><h2>Roll back ${alias.name}</h2><p class="muted" style=${{ margin: "6px 0 16px" }}>It answers with the model before, from the next request on. Once more goes back once more.</p><label class="field"><span>Why</span><input type="text" maxlength="1000" value=${reason} placeholder="line 4 reported hats called shoes" onInput=${(/** @type {any} */ event) => say(event.target.value)} /></label><${Failed} error=${error} /><div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="primary" busy=${busy} onClick=${go}>Roll back</${Button}></div></${Dialog}>`;
}

/** @param {{model: any}} props */
function Answers({ model }) {
  const { figure, name } = useFigure(model);
  return html`<div class="row"><b style=${{ fontSize: "22px", lineHeight: "28px" }}>${percent(figure?.value)}</b><span class="muted">${range(figure)}${name !== "accuracy" && figure && `, ${name}`}</span></div><${Interval} figure=${figure} from=${axis([figure])} name=${name} />`;
}

/** @param {{id: string}} props */
export default function Alias({ id }) {
  const base = `v1/aliases/${part(id)}`;
  const { data, error, again } = useLoad(async () => {
    const [alias, promotions, history, models] = await Promise.all([get(base), get(`${base}/promotions`), get(`${base}/history`, { limit: 50 }), get("v1/models")]);
    return { alias, promotions: promotions.data, history: history.data, models: models.data };
  }, [id]);
  const [open, show] = useState("");
  useEvery(again, data?.promotions.some((/** @type {any} */ one) => one.status === "waiting") ? 2 : 15);
  if (!data) return html`<${Head} title=${id} crumbs=${[["Aliases", "#/aliases"]]} /><${Failed} error=${error} again=${again} />${!error && html`<${Loading} />`}`;
  const { alias, promotions, history, models } = data;
  const of = (/** @type {string | null} */ name) => models.find((/** @type {any} */ one) => one.id === name);
  const named = (/** @type {string | null} */ name) => { const one = of(name); return one ? html`<a href=${`#/models/${part(one.id)}`}>${ofVersion(one)}</a>` : html`<span class="faint">${name ? "a deleted model" : "nothing"}</span>`; };
  const model = of(alias.model);
  const left = promotions.find((/** @type {any} */ one) => one.evidence?.alpha?.left != null)?.evidence.alpha;
  const acts = html`<${Button} onClick=${() => show("back")} why=${history.length > 1 ? "" : "It has meant nothing else yet"}>Roll back</${Button}><${Button} kind="primary" onClick=${() => show("offer")}>Offer a candidate</${Button}>`;
  return html`<${Head} title=${alias.name} crumbs=${[["Aliases", "#/aliases"]]} acts=${acts} sub=${html`<span class="row"><i class="dot"></i>answers with ${named(alias.model)}</span><span class="faint">since ${ago(alias.updated_at)}</span>`} /><${Failed} error=${error} />
    <div class=${`panel ${left ? "half" : ""}`} style=${{ marginTop: "24px", gap: "16px 40px" }}><div><small class="hint">Answers</small>${model && html`<${Answers} model=${model} />`}</div>
      ${left && html`<div class="dense"><small class="hint">Looks left at the held-out set</small><p>${percent(left.left / (left.total || 1), 0)}</p></div>`}</div>
    <${Traffic} alias=${alias} models=${models} named=${named} onChanged=${again} />
    ${model && html`<${InUse} alias=${alias} modality=${model.modality} onChanged=${again} />`}
    <section><header><h2>Promotions</h2><small>newest first</small></header>${promotions.length ? html`<div class="list">${promotions.map((/** @type {any} */ one) => html`<${Promotion} key=${one.id} one=${one} named=${named} />`)}</div>` : html`<p class="muted">Nothing was offered yet. A candidate that is offered takes over only if held-out examples say that it is not worse.</p>`}</section>
    <section><header><h2>History</h2></header><div class="panel flush blocks"><table><thead><tr><th>When</th><th>How</th><th>From</th><th>To</th><th>Why</th></tr></thead><tbody>${history.map((/** @type {any} */ one) => html`<tr key=${one.id}><td class="faint">${ago(one.created_at)}</td><td><span class="chip">${{ put: "moved", promotion: "promoted", rollback: "rolled back", traffic: "traffic", deleted: "deleted" }[/** @type {"put"} */ (one.cause)]}</span></td><td>${named(one.from_model)}</td><td>${named(one.model)}</td><td class="muted" style=${{ overflowWrap: "anywhere" }}>${one.cause === "traffic" ? html`<${TrafficSet} evidence=${one.evidence} named=${named} />` : one.reason ?? ""}</td></tr>`)}</tbody></table></div></section>
    <div class="folds"><${Same} curl=${curl(`${base}/promotions`, `-H "Content-Type: application/json" -d '{"candidate": "${models.find((/** @type {any} */ one) => one.id !== alias.model)?.id ?? "ft:…"}"}'`)} python=${python(`made = client.post("${base}/promotions", json={"candidate": "ft:…"}).json()\nprint(made["verdict"], made["reason"])`)} /></div>
    ${open === "offer" && html`<${Offer} alias=${alias} models=${models} onClose=${() => show("")} onDone=${again} />`}${open === "back" && html`<${Back} alias=${alias} onClose=${() => show("")} onDone=${again} />`}`;
}
