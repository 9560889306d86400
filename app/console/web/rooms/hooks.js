// @ts-check
/** Hooks: what retrains by itself, what each waits for, and what came of it, skipped runs too. */
import { html, useState } from "../vendor/preact.js";
import { all, get, part, send } from "../api.js";
import { suffixOf } from "../parts/train.js";
import { Button, Dialog, Failed, Field, Head, Loading, Note, Same, Sure, copy, curl, python, useEvery, useLoad } from "../parts/ui.js";
import { ALIAS, ALIAS_SAID, ago, count, exactly, percent } from "../parts/words.js";

/** @type {Record<string, string>} */
const KINDS = { succeeded: "ok", failed: "bad", running: "accent", skipped: "", waiting: "" };

/** @param {any} trigger */
function saying(trigger) {
  return { labels: `${count(trigger.count ?? 0)} new or corrected labels`, schedule: `the clock: ${trigger.cron} (${trigger.timezone})`, inbound: "a call from outside", drift: "a change of what it is asked", quality: `being right less often than ${exactly(trigger.below)}, by what is drawn at random` }[/** @type {"labels"} */ (trigger.type)];
}

/** Why a run began. @param {any} cause */
function because(cause) {
  if (cause.type === "drift") return `what it is asked has changed (window ${cause.number}, by chance ${cause.p < 0.0001 ? "under 0.0001" : Number(cause.p).toPrecision(2)})`;
  if (cause.type === "quality") return `right on ${percent(cause.accuracy)} of ${count(cause.audited)} drawn at random, below ${exactly(cause.below)}`;
  return { labels: "labels", schedule: "the clock", inbound: "a call" }[/** @type {"labels"} */ (cause.type)] ?? cause.type;
}

/** What of a hook has no effect now. @param {{hook: any}} props */
function Notes({ hook }) {
  return hook.notes.map((/** @type {string} */ one) => html`<${Note} kind="miss" icon="info" key=${one}>${one}</${Note}>`);
}

/** Its last runs, asked for anew when it was `begun` once more. @param {{hook: any, begun: number}} props */
function Runs({ hook, begun }) {
  const { data, error, again } = useLoad(() => get(`v1/hooks/${hook.id}/runs`, { limit: 10 }), [hook.id, begun]);
  useEvery(again, data?.data.some((/** @type {any} */ one) => ["waiting", "running"].includes(one.status)) ? 2 : 30);
  if (!data) return html`<${Failed} error=${error} />`;
  if (!data.data.length) return html`<p class="muted dense">It has not run yet.</p>`;
  return html`<table class="blocks"><thead class="sr"><tr><th>When</th><th>Outcome</th><th>Cause and reason</th><th>Job</th></tr></thead><tbody>${data.data.map((/** @type {any} */ one) => html`<tr key=${one.id}><td class="faint" style=${{ width: "90px" }}>${ago(one.created_at)}</td><td style=${{ width: "100px" }}><span class=${`chip ${KINDS[one.status]}`}>${one.status}</span></td><td>${because(one.cause)}${one.triggers > 1 ? ` and ${one.triggers - 1} more` : ""}<br /><span class="muted">${one.reason ?? ""}</span></td><td class="right">${one.job ? html`<a href=${`#/jobs/${one.job}`}>job</a>` : ""}</td></tr>`)}</tbody></table>`;
}

/** Which of a refusal's places is which field. */
const OF = { name: /^name$/, dataset: /^dataset$/, alias: /^alias$/, set: /^gate\./, labels: /\.count$/, cron: /^triggers$|\.(cron|timezone)$/, below: /\.below$/ };

/** @param {{datasets: any[], aliases: any[], onClose: () => void, onDone: () => void}} props */
function NewHook({ datasets, aliases, onClose, onDone }) {
  const [name, call] = useState("");
  const [dataset, choose] = useState(datasets[0]?.id ?? "");
  const [alias, set] = useState("");
  const [labels, number] = useState("20");
  const [cron, at] = useState("");
  const [inbound, allow] = useState(true);
  const [drift, watch] = useState(false);
  const [below, fall] = useState("");
  const [against, compare] = useState("");
  const [made, show] = useState(/** @type {any} */ (null));
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const chosen = datasets.find((one) => one.id === dataset);
  const triggers = [...(Number(labels) ? [{ type: "labels", count: Number(labels) }] : []), ...(cron.trim() ? [{ type: "schedule", cron: cron.trim(), timezone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC" }] : []), ...(inbound ? [{ type: "inbound" }] : []), ...(drift ? [{ type: "drift" }] : []), ...(below ? [{ type: "quality", below: Number(below) / 100 }] : [])];
  const named = alias.trim() || (chosen ? `${suffixOf(chosen.name)}@production` : "");
  const unwatched = (drift || below) && !aliases.find((one) => one.name === named)?.prediction_log;
  const go = () => {
    work(true); fail(null);
    const body = { name: name.trim(), dataset, alias: alias.trim() || `${suffixOf(chosen.name)}@production`, job: { model: chosen.backbone }, gate: { evaluation_set: against || null }, triggers };
    send("POST", "v1/hooks", body).then((hook) => { show(hook); onDone(); }, (refused) => { fail(refused); work(false); });
  };
  if (made) return html`<${Dialog} title="The hook's secret" once="The secret is shown here and never again." onClose=${onClose}><h2>${made.name}</h2><p class="muted" style=${{ margin: "6px 0 12px" }}>Calls from outside are signed with this secret. It is shown here and never again.</p><pre class="panel mono" style=${{ overflowWrap: "anywhere", whiteSpace: "pre-wrap", margin: 0 }}>${made.secret}</pre><${Notes} hook=${made} /><div class="acts"><${Button} onClick=${() => copy(made.secret)}>Copy</${Button}><${Button} kind="primary" onClick=${onClose}>Done</${Button}></div></${Dialog}>`;
  return html`<${Dialog} title="A new hook" onClose=${onClose}><h2>A new hook</h2><p class="muted" style=${{ margin: "6px 0 16px" }}>It retrains when one of these happens, and promotes the model only if the gate says that it is not worse.</p>
    <${Field} title="Name" of=${OF.name} error=${error}><input type="text" maxlength="200" value=${name} placeholder="every 20 labels" onInput=${(/** @type {any} */ event) => call(event.target.value)} /></${Field}>
    <${Field} title="Dataset" of=${OF.dataset} error=${error}><select value=${dataset} onChange=${(/** @type {any} */ event) => choose(event.target.value)}>${datasets.map((one) => html`<option value=${one.id}>${one.name}</option>`)}</select></${Field}>
    <${Field} title="Alias" of=${OF.alias} error=${error}><input type="text" maxlength="128" pattern=${ALIAS} title=${ALIAS_SAID} value=${alias} placeholder=${chosen ? `${suffixOf(chosen.name)}@production` : "parts@production"} onInput=${(/** @type {any} */ event) => set(event.target.value)} /></${Field}>
    <${Field} title="Compare on" of=${OF.set} error=${error} hint="Examples that nobody trains on; on them a new model proves that it is not worse."><select value=${against} onChange=${(/** @type {any} */ event) => compare(event.target.value)}><option value="">what it holds out itself</option>${datasets.filter((one) => one.id !== dataset && one.modality === chosen?.modality && one.label_mode === chosen?.label_mode).map((one) => html`<option value=${one.id}>${one.name}</option>`)}</select></${Field}>
    <${Field} title="After so many new or corrected labels" of=${OF.labels} error=${error} hint="0 or empty: not on labels."><input type="number" min="0" step="1" value=${labels} onInput=${(/** @type {any} */ event) => number(event.target.value)} /></${Field}>
    <${Field} title="At times" of=${OF.cron} error=${error} hint="Minute, hour, day, month, weekday; empty: not by the clock."><input type="text" value=${cron} placeholder="0 3 * * *" onInput=${(/** @type {any} */ event) => at(event.target.value)} /></${Field}>
    <label class="row" style=${{ marginTop: "12px" }}><input type="checkbox" checked=${inbound} onChange=${() => allow(!inbound)} /> When it is called from outside</label>
    <label class="row" style=${{ marginTop: "12px" }}><input type="checkbox" checked=${drift} onChange=${() => watch(!drift)} /> When what the alias is asked has changed</label>
    <${Field} title="When it is evidently right less often than, in percent" of=${OF.below} error=${error} hint="Counted on labels that were drawn at random alone; empty: not by that."><input type="number" min="1" max="100" step="any" placeholder="90" value=${below} onInput=${(/** @type {any} */ event) => fall(event.target.value)} /></${Field}>
    ${unwatched && html`<${Note} kind="miss" icon="info">Nothing that ${named} is asked is written down: let its <a href=${`#/aliases/${part(named)}`}>alias's page</a> write it down, or this never starts the hook.</${Note}>`}
    <${Failed} error=${error} fields=${Object.values(OF)} /><div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="primary" busy=${busy} why=${!name.trim() ? "Give it a name" : triggers.length ? "" : "Let something start it"} onClick=${go}>Make the hook</${Button}></div></${Dialog}>`;
}

/** All hooks, or the one that is named. @param {{id?: string}} props */
export default function Hooks({ id }) {
  const { data, error, again } = useLoad(async () => {
    const [hooks, datasets, aliases] = await Promise.all([all("v1/hooks"), all("v1/datasets"), all("v1/aliases")]);
    return { hooks, datasets, aliases };
  }, []);
  const shown = data ? data.hooks.filter((one) => !id || one.id === id) : [];
  const [making, make] = useState(false);
  const [gone, drop] = useState(/** @type {any} */ (null));
  const [refused, fail] = useState(/** @type {any} */ (null));
  useEvery(again, 15);
  const done = () => { fail(null); again(); };
  const [begun, begin] = useState(0);
  const run = (/** @type {any} */ hook) => send("POST", `v1/hooks/${hook.id}/trigger`).then(() => { begin(begun + 1); done(); }, fail);
  const turn = (/** @type {any} */ hook) => send("PATCH", `v1/hooks/${hook.id}`, { enabled: !hook.enabled }).then(done, fail);
  return html`<${Head} title=${id ? shown[0]?.name ?? "Hook" : "Hooks"} crumbs=${id ? [["Hooks", "#/hooks"]] : undefined} sub=${html`<span>what retrains by itself</span>`} acts=${html`<a class="btn" href="#/webhooks">Webhooks</a><${Button} kind="primary" why=${data?.datasets.length ? "" : "First upload a dataset"} onClick=${() => make(true)}>New hook</${Button}>`} /><${Failed} error=${error} again=${again} /><${Failed} error=${refused} />${!data && !error && html`<${Loading} />`}
    ${data && (shown.length ? shown.map((hook) => html`<div class="panel" style=${{ marginTop: "20px" }} key=${hook.id}><div class="row" style=${{ flexWrap: "wrap" }}><h2 class="grow" style=${{ overflowWrap: "anywhere" }}><a href=${`#/hooks/${hook.id}`}>${hook.name}</a> ${!hook.enabled && html`<span class="chip">off</span>`}</h2>${hook.triggers.some((/** @type {any} */ one) => one.type === "inbound") && html`<${Button} kind="small" onClick=${() => run(hook)}>Run now</${Button}>`}<${Button} kind="small" onClick=${() => turn(hook)}>${hook.enabled ? "Switch off" : "Switch on"}</${Button}><${Button} kind="small bare" onClick=${() => drop(hook)}>Delete…</${Button}></div>
      <p class="muted dense" style=${{ margin: "6px 0 14px" }}>Retrains <a href=${`#/datasets/${hook.dataset}`}>${data.datasets.find((one) => one.id === hook.dataset)?.name ?? "a deleted dataset"}</a> for <a href=${`#/aliases/${part(hook.alias)}`}>${hook.alias}</a> on ${hook.triggers.map(saying).join(", or ")}.${hook.next_due ? ` Next: ${new Date(hook.next_due * 1000).toLocaleString("en-GB")}.` : ""}</p><${Notes} hook=${hook} /><${Runs} hook=${hook} begun=${begun} /></div>`) : id ? html`<p class="empty">There is no such hook.</p>` : html`<p class="empty">None yet. A hook retrains when labels were mended, by the clock, or when another program calls it; and it never lets a worse model answer.</p>`)}
    <div class="folds"><${Same} curl=${curl("v1/hooks")} python=${python('for hook in client.get("v1/hooks").json()["data"]:\n    print(hook["name"], hook["enabled"])')} /></div>
    ${making && html`<${NewHook} datasets=${data?.datasets ?? []} aliases=${data?.aliases ?? []} onClose=${() => make(false)} onDone=${again} />`}
    ${gone && html`<${Sure} title="Delete the hook" text=${`“${gone.name}” retrains no more. Its models stay.`} verb=${`Delete “${gone.name}”`} onClose=${() => drop(null)} act=${() => send("DELETE", `v1/hooks/${gone.id}`).then(again)} />`}`;
}
