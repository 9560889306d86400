// @ts-check
/** A job as it runs: steps with times, the pictures it has seen, the log; it goes on without the page. */
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { follow, get, part, save, send } from "../api.js";
import { Epochs } from "../parts/charts.js";
import { begun } from "../parts/train.js";
import { Button, Failed, Fold, Head, Icon, Loading, Note, Picture, Same, curl, python, useEvery, useLoad } from "../parts/ui.js";
import { clock, count, ended, label, lasted, several, thing } from "../parts/words.js";
import { KINDS, said } from "./jobs.js";

const FILM = 320;
/** What a person can do about a failure. @type {Record<string, string>} */
const TODO = {
  insufficient_classes: "Give at least two classes examples to learn from, then train again.", dataset_failed: "See the dataset's problems, mend the files, and upload them again.",
  backbone_unavailable: "System says how to supply the weights.", worker_lost: "It was tried several times. System shows whether a trainer is there; then train again.",
  diverged: "Lower the learning rate, or let the method choose it.", storage_full: "Make room on the disk, then train again.",
};

/** @param {{job: any, dataset: any, rate: number}} props */
function Steps({ job, dataset, rate }) {
  const stage = job.progress?.stage;
  const share = job.progress?.total ? job.progress.done / job.progress.total : 0;
  const over = ended(job);
  const at = over && job.status === "succeeded" ? 4 : job.status === "running" ? (stage === "fitting" || stage === "done" ? 2 : 1) : 0;
  const left = rate > 0 && job.progress?.total ? (job.progress.total - job.progress.done) / rate : null;
  const things = thing(dataset?.modality ?? "image", 2);
  /** @type {[string, any][]} */
  const steps = [
    ["Checked", job.status === "validating_files" ? `the ${things} are being read` : job.status === "queued" ? "waiting for a worker" : lasted(job.timing.waited)],
    ["Embedding", job.embedding && (job.embedding.new || job.embedding.cached) ? `${count(job.embedding.new)} new, ${count(job.embedding.cached ?? 0)} read before` : stage === "embedding" ? `${count(job.progress.done)} of ${count(job.progress.total)}${left != null ? ` · about ${lasted(left)} left` : ""}` : `each of the ${things} once, never again`],
    ["Fitting", over && job.timing.ran != null ? lasted(job.timing.ran) : "usually under 1 s"], ["Measuring", "folds, interval, advice"],
  ];
  return html`<ol class="steps">${steps.map(([name, text], n) => html`<li class=${n < at ? "done" : n === at && !over ? "now" : ""} aria-current=${n === at && !over ? "step" : null}><b>${n < at ? html`<${Icon} name="check" size=${16} />` : n === at && !over ? html`<i class="dot" style=${{ background: "var(--accent)" }}></i>` : ""}${name}</b>${text}${n === 1 && at === 1 && stage === "embedding" ? html`<div class="bar" role="progressbar" aria-label="Embedding" aria-valuenow=${Math.round(100 * share)}><i style=${{ width: `${100 * share}%` }}></i></div>` : ""}</li>`)}</ol>`;
}

/** @param {{id: string}} props */
export default function Job({ id }) {
  const { data: job, error, again } = useLoad(() => get(`v1/fine_tuning/jobs/${part(id)}`), [id]);
  const source = useLoad(async () => {
    if (!job) return null;
    const dataset = await get(`v1/datasets/${job.training_file}`).catch(() => null);
    const examples = dataset?.modality === "image" ? await get(`v1/datasets/${dataset.id}/examples`, { version: job.dataset.version, limit: FILM, split: "train" }).catch(() => null) : null;
    return { dataset, examples: examples?.data ?? [] };
  }, [job?.training_file, job?.status === "validating_files"]);
  const [events, add] = useState(/** @type {any[]} */ ([]));
  const [lost, lose] = useState(/** @type {{since: number, until: number} | null} */ (null));
  const [, tick] = useState(0);
  const [busy, work] = useState(false);
  const [refused, fail] = useState(/** @type {any} */ (null));
  const line = useRef({ stop: () => {}, now: () => {} });
  const was = useRef({ at: 0, done: 0, rate: 0 });
  const watched = useRef(false);
  const over = job && ended(job);

  useEffect(() => {
    line.current = follow(id, {
      event: (event) => { add((old) => (old.some((one) => one.id === event.id) ? old : [...old, event])); again(); },
      lost: (seconds) => lose((old) => ({ since: old?.since ?? Date.now(), until: Date.now() + seconds * 1000 })),
      back: () => lose(null), done: again,
    });
    return () => line.current.stop();
  }, [id]);
  useEffect(() => { import("./model.js").catch(() => {}); }, []); // whereto this page goes on
  useEvery(again, job && !over && !lost ? 0.7 : 0);
  useEvery(() => tick((n) => n + 1), lost ? 1 : 0);
  useEffect(() => {
    if (!job) return;
    if (!over || begun.delete(id)) watched.current = true;
    const share = job.progress?.total && job.progress.stage === "embedding" ? Math.round((100 * job.progress.done) / job.progress.total) : null;
    document.title = `${over ? said(job.status) : share != null ? `${share}%` : said(job.status)} · ${job.suffix ?? "job"} · Headstart`;
    if (job.status === "succeeded" && watched.current && scrollY < 40) {
      const timer = setTimeout(() => { if (location.hash === `#/jobs/${id}`) location.replace(`#/models/${part(job.fine_tuned_model)}`); }, 900);
      return () => clearTimeout(timer);
    }
  }, [job]);
  const done = job?.progress?.stage === "embedding" ? job.progress.done : 0;
  if (done > was.current.done) {
    const now = performance.now();
    if (was.current.at) was.current.rate = (1000 * (done - was.current.done)) / (now - was.current.at);
    was.current = { ...was.current, at: now, done };
  }
  if (!job) return html`<${Head} title="Job" crumbs=${[["Jobs", "#/jobs"]]} /><${Failed} error=${error} again=${again} />${!error && html`<${Loading} />`}`;
  const { dataset, examples = [] } = source.data ?? {};
  const cancel = () => { work(true); fail(null); send("POST", `v1/fine_tuning/jobs/${part(id)}/cancel`).then(() => { work(false); again(); }, (answer) => { fail(answer); work(false); }); };
  const seen = over || job.progress?.stage === "fitting" ? examples.length : job.progress?.total ? Math.round((examples.length * job.progress.done) / job.progress.total) : dataset?.status === "ready" ? examples.length : 0;
  const metrics = events.filter((event) => event.type === "metrics" && event.data?.train_loss !== undefined).map((event) => event.data);
  const acts = over ? job.status === "succeeded" && html`<a class="btn primary" href=${`#/models/${part(job.fine_tuned_model)}`}>See the model</a>` : html`<${Button} busy=${busy} onClick=${cancel}>Cancel</${Button}>`;
  return html`<${Head} title=${dataset?.name ?? job.suffix ?? "Job"} crumbs=${[["Jobs", "#/jobs"]]} acts=${acts} sub=${html`<span class=${`chip ${KINDS[job.status]}`}>${said(job.status)}</span><span>method ${job.method.type}</span><span>${job.model}</span><span class="mono">${job.id}</span>`} />
    <${Failed} error=${refused} />
    ${lost && !over && html`<${Note} kind="miss" icon="wifi" role="status"><div class="row"><span class="grow"><b>Connection lost ${Math.max(0, Math.round((Date.now() - lost.since) / 1000))} s ago.</b> The job goes on without this page. Trying again in ${Math.max(0, Math.ceil((lost.until - Date.now()) / 1000))} s.</span><${Button} kind="small" onClick=${() => line.current.now()}>Try now</${Button}></div></${Note}>`}
    <${Steps} job=${job} dataset=${dataset} rate=${was.current.rate} />
    ${job.status === "failed" && html`<${Note} kind="bad" icon="info" role="alert"><b>${job.error?.message}</b> <span class="mono">${job.error?.code}</span><br />${TODO[job.error?.code] ?? ""} <a href=${`#/datasets/${job.training_file}`}>Open the dataset</a></${Note}>`}
    ${job.status === "cancelled" && html`<${Note}>It was cancelled; no model came of it. What was read is kept, so that the next job begins there. <a href=${`#/datasets/${job.training_file}`}>Open the dataset</a></${Note}>`}
    <p class="sr" role="status">${said(job.status)}${job.progress?.stage === "embedding" ? `, ${Math.floor((10 * done) / (job.progress.total || 1)) * 10}%` : ""}</p>
    <div class="wide-left" style=${{ marginTop: "32px" }}><div>
      ${metrics.length > 0 && html`<section style=${{ marginTop: 0, marginBottom: "32px" }}><header><h2>Epoch by epoch</h2></header><${Epochs} metrics=${metrics} /></section>`}
      ${examples.length > 0 && html`<header class="row" style=${{ marginBottom: "12px" }}><h2>What it learns from</h2><small class="hint">${was.current.rate > 0 && !over ? `${Math.round(was.current.rate)} pictures a second; ` : ""}each is seen once and never again</small></header><div class="film">${examples.map((/** @type {any} */ one, /** @type {number} */ n) => html`<${Picture} key=${one.id} dataset=${dataset.id} example=${one.id} version=${job.dataset.version} alt=${label(one.label)} edge=${36} wait=${n >= seen} />`)}</div>`}
      ${!examples.length && !metrics.length && dataset && html`<p class="muted">${several(dataset.num_examples, thing(dataset.modality))} of ${several(dataset.classes.length, "class", "classes")}, from <a href=${`#/datasets/${dataset.id}`}>${dataset.name}</a>.</p>`}
    </div><div><header class="row" style=${{ marginBottom: "12px" }}><h2 class="grow">Log</h2>${events.length > 0 && html`<button type="button" class="link" onClick=${() => save(new Blob([events.map((event) => `${new Date(event.created_at * 1000).toISOString()} ${event.level} ${event.message}\n`).join("")]), `${id}.log`)}>Save</button>`}</header>
      <ol class="log" tabindex="0" aria-label="Log">${events.map((event) => html`<li key=${event.id} class=${event.level === "error" ? "miss-ink" : ""}><time>${clock(event.created_at)}</time><span>${event.message}</span></li>`)}</ol>
      <div class="folds" style=${{ marginTop: "20px" }}><${Fold} title="As asked" summary=${`seed ${job.seed}`}><pre class="mono" style=${{ whiteSpace: "pre-wrap", overflowWrap: "anywhere", margin: 0 }}>${JSON.stringify(job.method, null, 2)}</pre></${Fold}>
      <${Same} curl=${curl(`v1/fine_tuning/jobs/${id}/events`, '-H "Accept: text/event-stream" --no-buffer')} python=${python(`job = client.get("v1/fine_tuning/jobs/${id}", headers={"Prefer": "wait=60"}).json()\nprint(job["status"], job["fine_tuned_model"])`)} /></div>
      ${!over && html`<p class="dense muted" style=${{ marginTop: "16px" }}>You may leave. The model appears under Models.</p>`}</div></div>`;
}
