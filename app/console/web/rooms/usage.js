// @ts-check
/** Usage: what the organisation may hold and ask, and what it has used, day by day and by model. */
import { html, useState } from "../vendor/preact.js";
import { get, part, save } from "../api.js";
import { DayBars } from "../parts/usage/day_bars.js";
import { Button, Failed, Head, Loading, Same, curl, python, useEvery, useLoad } from "../parts/ui.js";
import { count, lasted, percent, size } from "../parts/words.js";

/** What is counted, what it is called, and how its numbers are said. @type {[string, string, (n: number) => string][]} */
const KINDS = [
  ["predictions", "Predictions", count],
  ["requests", "Requests", count],
  ["embedded_images", "Pictures read", count],
  ["embedded_texts", "Texts read", count],
  ["job_seconds", "Training", lasted],
  ["worker_seconds", "All work", lasted],
  ["stored_bytes", "Stored, at most", size],
];
/** @type {[string, string, (n: number) => string][]} */
const BOUNDS = [
  ["stored_bytes", "Uploads and kept inputs", size],
  ["examples", "Examples", count],
  ["jobs", "Jobs at once", count],
  ["keys", "Keys", count],
  ["requests_per_minute", "Requests a minute", count],
];
/** @type {[string, number][]} */
const PERIODS = [["7 days", 7], ["30 days", 30], ["90 days", 90], ["a year", 365]];
const NEARLY = 0.8, SHOWN = 12;

/** @param {number} days */
const ago = (days) => new Date(Date.now() - 86_400_000 * days).toISOString().slice(0, 10);

/** A bound and how much of it is taken. @param {{name: string, what: string, said: (n: number) => string, used?: number, most: number}} props */
function Bound({ name, what, said, used, most }) {
  const share = most && used != null ? used / most : 0;
  const words = share >= 1 ? "nothing is left" : share >= NEARLY ? `${percent(share, 0)}, nearly all` : "";
  return html`<tr key=${name}><td>${what}</td><td class="num">${used == null ? "" : html`<b>${said(used)}</b>`}</td><td class="muted">${most ? `of ${said(most)}` : "no bound"}${name === "requests_per_minute" && most ? " that predict or embed" : ""}</td>
    <td class="stretch" style=${{ width: "34%" }}>${most > 0 && used != null && html`<div class=${`bar ${share >= NEARLY ? "miss" : ""}`} role="img" aria-label=${`${what}: ${percent(share, 0)} of what is allowed`}><i style=${{ width: `${Math.min(100, 100 * share)}%` }}></i></div>`}${words && html`<div class="miss-ink dense" style=${{ marginTop: "4px" }}>${words}</div>`}</td></tr>`;
}

function Bounds() {
  const { data, error, again } = useLoad(() => get("v1/organizations/me"), []);
  useEvery(again, 30);
  if (!data) return html`<section><header><h2>Bounds</h2></header><${Failed} error=${error} again=${again} />${!error && html`<${Loading} lines=${1} height=${160} />`}</section>`;
  return html`<section><header><h2>Bounds</h2><small>what is held now, and what may be; whoever runs the service sets them</small></header>
    <div class="panel flush blocks"><table><thead class="sr"><tr><th>What</th><th>Now</th><th>Allowed</th><th>Share</th></tr></thead><tbody>${BOUNDS.map(([name, what, said]) => html`<${Bound} name=${name} what=${what} said=${said} used=${data.usage[name]} most=${data.quotas[name] ?? 0} />`)}</tbody></table></div>
    ${data.quotas.requests_per_minute > 0 && html`<p class="hint" style=${{ marginTop: "8px" }}>Each answer says how many are left this minute, in <code>RateLimit-Remaining</code>; whoever asks more often gets 429 and is told when to come back.</p>`}</section>`;
}

/** @param {{report: any, period: number}} props */
function ByModel({ report, period }) {
  const [most, more] = useState(SHOWN);
  const whole = report.models.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.predictions, 0);
  if (!report.models.length) return null;
  const shown = report.models.slice(0, most);
  return html`<section><header><h2>By model</h2><small>the last ${period} days, the most used first</small></header>
    <div class="panel flush blocks"><table><thead><tr><th>Model</th><th class="num hide-phone">Requests</th><th class="num">Inputs</th><th class="hide-phone" style=${{ paddingLeft: "24px" }}>Share</th></tr></thead><tbody>${shown.map((/** @type {any} */ one) => { const tuned = one.model.startsWith("ft:"); const [, backbone, , suffix] = one.model.split(":");
      return html`<tr key=${one.model}><td class="inline" style=${{ fontWeight: 500, overflowWrap: "anywhere" }} title=${one.model}>${tuned ? html`<a href=${`#/models/${part(one.model)}`}>${suffix || backbone}</a> <span class="mono faint">…${one.model.slice(-6)}</span>` : one.model}</td><td class="num hide-phone">${count(one.requests)}</td><td class="num" data-of="inputs">${count(one.predictions)}<span class="only-phone"> inputs</span></td><td class="hide-phone" style=${{ width: "32%", paddingLeft: "24px" }}><div class="bar grey"><i style=${{ width: `${whole ? (100 * one.predictions) / whole : 0}%` }}></i></div></td></tr>`; })}</tbody></table></div>
    ${report.models.length > most && html`<p style=${{ marginTop: "12px" }}><${Button} onClick=${() => more(most + 100)}>More</${Button}></p>`}</section>`;
}

/** What every tenant has used, for who runs the service. @param {{from: string}} props */
function Tenants({ from }) {
  const { data, error, again } = useLoad(() => tenants(from), [from]);
  if (!data) return html`<${Failed} error=${error} again=${again} />`;
  if (data.length < 2) return null;
  return html`<section><header><h2>Organisations</h2><small>of this service; seen by keys of who runs it</small></header><div class="panel flush blocks"><table><thead><tr><th>Organisation</th><th class="num">Predictions</th><th class="num">All work</th><th class="num">Stored, at most</th></tr></thead><tbody>${data.map((one) => html`<tr key=${one.organization_id}><td style=${{ fontWeight: 500, overflowWrap: "anywhere" }}>${one.organization_id}</td><td class="num" data-of="predictions">${count(one.total.predictions)}<span class="only-phone"> predictions</span></td><td class="num" data-of="work">${lasted(one.total.worker_seconds)}<span class="only-phone"> of work</span></td><td class="num" data-of="stored">${size(one.total.stored_bytes)}</td></tr>`)}</tbody></table></div></section>`;
}

/** @param {string} from @returns {Promise<any[]>} */
async function tenants(from) {
  const found = [];
  for (let after; found.length < 500; ) {
    const page = await get("v1/usage/organizations", { from, limit: 100, after });
    found.push(...page.data);
    if (!page.has_more) break;
    after = page.data.at(-1).organization_id;
  }
  return found;
}

/** The days as a table that spreadsheets open. @param {any} report */
function table(report) {
  const names = KINDS.map(([name]) => name);
  const rows = report.days.map((/** @type {any} */ day) => [day.date, ...names.map((name) => day[name])].join(","));
  save(new Blob([[["date", ...names].join(","), ...rows].join("\r\n")], { type: "text/csv" }), `usage-${report.from}-${report.to}.csv`);
}

/** @param {{me: any}} props */
export default function Usage({ me }) {
  const [period, last] = useState(30);
  const [kind, choose] = useState("predictions");
  const from = ago(period - 1);
  const { data, error, again } = useLoad(() => get("v1/usage", { from }), [from]);
  useEvery(again, 30);
  const [, what, said] = KINDS.find(([name]) => name === kind) ?? KINDS[0];
  return html`<${Head} title="Usage" sub=${html`<span>of the organisation “${me.organization_id}”, by days of UTC</span>`} acts=${html`${me.scopes.includes("admin") && html`<a class="btn" href="#/keys">Keys</a>`}<${Button} why=${data?.days.length ? "" : "Nothing was used yet"} onClick=${() => table(data)}>Download as CSV</${Button}>`} />
    <${Bounds} />
    <section><header><h2 class="grow">Over time</h2><div class="seg" role="group" aria-label="Period">${PERIODS.map(([name, days]) => html`<button type="button" aria-pressed=${period === days} onClick=${() => last(days)}>${name}</button>`)}</div></header>
      <${Failed} error=${error} again=${again} />${!data && !error && html`<${Loading} lines=${1} height=${240} />`}
      ${data && html`<div class="amounts" role="group" aria-label="What is shown">${KINDS.map(([name, title, say]) => html`<button type="button" aria-pressed=${kind === name} onClick=${() => choose(name)}><span>${title}</span><b>${data.total[name] ? say(data.total[name]) : "none"}</b></button>`)}</div>
        <${DayBars} days=${data.days} from=${data.from} to=${data.to} kind=${kind} what=${what} said=${said} most=${kind === "stored_bytes"} />
        <p class="hint" style=${{ marginTop: "8px" }}>Some seconds behind. What is asked again is counted again; what was read once is not read twice.</p>`}</section>
    ${data && html`<${ByModel} report=${data} period=${period} />`}
    ${me.scopes.includes("operator") && html`<${Tenants} from=${from} />`}
    <div class="folds"><${Same} curl=${curl(`v1/usage?from=${from}`)} python=${python(`report = client.get("v1/usage", params={"from": "${from}"}).json()\nfor day in report["days"]:\n    print(day["date"], day["predictions"], day["job_seconds"])\nprint(client.get("v1/organizations/me").json()["quotas"])`)} /></div>`;
}
