// @ts-check
/** System: how it is, what waits, the disk, workers, backbones and how to get their weights. */
import { html, useState } from "../vendor/preact.js";
import { get } from "../api.js";
import { Button, Failed, Fold, Head, Loading, Same, copy, curl, python, useEvery, useLoad } from "../parts/ui.js";
import { size } from "../parts/words.js";

/** @type {Record<string, string>} */
const KINDS = { embed: "Reading examples", fine_tune: "Fine-tuning", batch: "Batch predictions", export: "Exports", promote: "Promotions" };

/** @param {number} seconds */
const span = (seconds) => (seconds < 1 ? `${Math.max(1, Math.round(1000 * seconds))} ms` : `${seconds.toFixed(1)} s`);

/** @param {{bytes: any, disk: any}} props */
function Disk({ bytes, disk }) {
  const own = [["Pictures and texts", bytes.examples, "var(--accent)"], ["Embeddings", bytes.embeddings, "var(--band)"], ["Models", bytes.models, "var(--edge)"]];
  const whole = disk?.total_bytes || Math.max(1, own.reduce((sum, one) => sum + Number(one[1]), 0));
  return html`<section><header><h2>Disk</h2><small>of this organisation</small></header>
    <div class="bar" style=${{ height: "12px", display: "flex", gap: "2px" }} role="img" aria-label="How full the disk is">${own.map(([, n, fill]) => html`<i style=${{ width: `${(100 * Number(n)) / whole}%`, minWidth: n ? "3px" : 0, background: fill, borderRadius: 0 }}></i>`)}</div>
    <dl class="facts" style=${{ marginTop: "8px" }}>${own.map(([name, n, fill]) => html`<dt class="row"><i class="dot" style=${{ background: fill }}></i>${name}</dt><dd><b>${size(Number(n))}</b></dd>`)}${disk && html`<dt class="row"><i class="dot" style=${{ background: "var(--sunk)" }}></i>Free</dt><dd><b>${size(disk.free_bytes)}</b> <span class="faint">of ${size(disk.total_bytes)}</span></dd>`}</dl></section>`;
}

/** @param {{some: any[]}} props */
const Rows = ({ some }) => html`<div class="scroll"><table class="blocks"><thead><tr><th>Name</th><th>Reads</th><th class="num">Length</th><th>Weights</th><th>Licence</th><th class="num"></th></tr></thead><tbody>
    ${some.map((one) => html`<tr key=${one.id}><td style=${{ fontWeight: 500 }}>${one.name} ${one.default && html`<span class="chip">default</span>`}</td><td class="muted">${one.modality === "text" ? "text" : "images"}</td><td class="num muted" data-of="length">${one.dim}</td><td class="faint" style=${{ overflowWrap: "anywhere" }}>${one.weights ? `from ${one.weights.source === "package" ? "the package" : `a ${one.weights.source}`} · ${one.weights.sha256.slice(0, 8)}…` : one.reason}</td><td class="muted" style=${{ whiteSpace: "nowrap" }}>${one.licence}</td><td class="right" style=${{ whiteSpace: "nowrap" }}><i class=${`dot ${one.available ? "" : "off"}`}></i> ${one.available ? "ready" : "needs weights"}</td></tr>`)}</tbody></table></div>`;

/** @param {{backbones: any[]}} props */
function Backbones({ backbones }) {
  const [wanted, set] = useState("");
  const ready = backbones.filter((one) => one.available), others = backbones.filter((one) => !one.available);
  const shown = others.filter((one) => `${one.name} ${one.id} ${one.modality}`.toLowerCase().includes(wanted.toLowerCase()));
  return html`<section><header><h2>Backbones</h2><small>${ready.length} ready, ${others.length} need weights</small></header><${Rows} some=${ready} />
    ${others.length > 0 && html`<div class="folds" style=${{ marginTop: "16px" }}><${Fold} title="What else could be used" summary=${`${others.length} that need weights, and where to put them`}><label class="field" style=${{ marginBottom: "8px" }}><span class="sr">Find a backbone</span><input type="search" placeholder="Find a backbone" value=${wanted} onInput=${(/** @type {any} */ event) => set(event.target.value)} /></label><${Rows} some=${shown} /></${Fold}></div>`}</section>`;
}

export default function System() {
  const { data, error, again } = useLoad(async () => {
    const [system, backbones] = await Promise.all([get("v1/system"), get("v1/backbones")]);
    return { system, backbones: backbones.data };
  }, []);
  useEvery(again, 5);
  if (!data) return html`<${Head} title="System" /><${Failed} error=${error} again=${again} />${!error && html`<${Loading} />`}`;
  const { system, backbones } = data;
  const down = Object.entries(system.checks).filter(([, said]) => said !== "ok");
  const names = Object.keys(system.checks);
  const fine = `${names.slice(0, -1).join(", ")} and ${names.at(-1)} answer`;
  const report = () => copy(JSON.stringify({ ...system, backbones: backbones.map((/** @type {any} */ one) => ({ id: one.id, available: one.available, sha256: one.weights?.sha256 ?? null })) }, null, 2), "The report is copied; it holds no key");
  return html`<${Head} title="System" acts=${html`<${Button} onClick=${report}>Copy a report</${Button}>`} sub=${html`<span class="row"><i class=${`dot ${down.length ? "miss" : ""}`}></i>${down.length ? down.map(([name, said]) => `${name}: ${said}`).join("; ") : fine[0].toUpperCase() + fine.slice(1)}</span><span class="faint">Headstart ${system.version}</span>`} />
    <${Failed} error=${error} again=${again} />
    <div class="half"><section><header><h2>Now</h2></header><dl class="facts">
      ${system.work.length ? system.work.map((/** @type {any} */ one) => html`<dt>${KINDS[one.kind] ?? one.kind}</dt><dd><b>${one.running} running</b> <span class="faint">${one.queued} waiting</span></dd>`) : html`<dt>Work</dt><dd><b>none</b> <span class="faint">nothing waits and nothing runs</span></dd>`}
      ${system.workers.map((/** @type {any} */ one) => html`<dt class="mono">${one.name}</dt><dd>${KINDS[one.kind] ?? one.kind}${one.lease_seconds != null && one.lease_seconds < 0 ? html` <span class="miss-ink">silent; its work goes to another</span>` : ""}</dd>`)}
      <dt>Predictions</dt><dd>${system.precision ? html`<b>${system.precision.default}</b> <span class="faint">what the predictor computes in</span>` : html`<span class="miss-ink">the predictor does not answer</span>`}</dd>
      ${system.latency && html`<dt>They take</dt><dd title=${`95 of a hundred under ${span(system.latency.p95_seconds)}, 99 under ${span(system.latency.p99_seconds)}`}><b>${span(system.latency.p50_seconds)}</b> <span class="faint">half of them; 99 of a hundred under ${span(system.latency.p99_seconds)}</span></dd>`}</dl></section>
    <${Disk} bytes=${system.stored_bytes} disk=${system.disk} /></div>
    <${Backbones} backbones=${backbones} />
    <div class="folds"><${Same} curl=${curl("v1/system")} python=${python('print(client.get("v1/system").json())')} /></div>`;
}
