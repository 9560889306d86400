// @ts-check
/** All jobs, newest first. */
import { html } from "../vendor/preact.js";
import { get } from "../api.js";
import { Failed, Head, Loading, Same, curl, python, useEvery, useLoad } from "../parts/ui.js";
import { ago, ended, lasted } from "../parts/words.js";

/** @type {Record<string, string>} */
export const KINDS = { succeeded: "ok", failed: "bad", cancelled: "", running: "accent", queued: "", validating_files: "", paused: "" };
/** @param {string} status */
export const said = (status) => (status === "validating_files" ? "checking" : status);

export default function Jobs() {
  const { data, error, again } = useLoad(async () => {
    const [jobs, datasets] = await Promise.all([get("v1/fine_tuning/jobs", { limit: 50 }), get("v1/datasets", { limit: 100 })]);
    return { jobs: jobs.data, names: new Map(datasets.data.map((/** @type {any} */ one) => [one.id, one.name])) };
  }, []);
  useEvery(again, data?.jobs.some((/** @type {any} */ job) => !ended(job)) ? 2 : 30);
  return html`<${Head} title="Jobs" sub=${data && html`<span>the newest ${data.jobs.length}</span>`} /><${Failed} error=${error} again=${again} />${!data && !error && html`<${Loading} />`}
    ${data && (data.jobs.length ? html`<div class="panel flush blocks" style=${{ marginTop: "24px" }}><table><thead><tr><th>Dataset</th><th>Status</th><th>Method</th><th class="num">Waited</th><th class="num">Ran</th><th class="num">Made</th></tr></thead><tbody>
      ${data.jobs.map((/** @type {any} */ job) => html`<tr key=${job.id}><td><a href=${`#/jobs/${job.id}`} style=${{ fontWeight: 500 }}>${data.names.get(job.training_file) ?? job.suffix ?? job.id}</a> <span class="faint">version ${job.dataset.version}</span></td><td><span class=${`chip ${KINDS[job.status]}`}>${said(job.status)}</span></td><td class="muted">${job.method.type} on ${job.model}</td><td class="num faint" data-of="waited">${lasted(job.timing.waited)}</td><td class="num" data-of="ran">${lasted(job.timing.ran)}</td><td class="num faint">${ago(job.created_at)}</td></tr>`)}</tbody></table></div>` : html`<p class="empty">No job yet. Open a dataset and press “Train a model”.</p>`)}
    <div class="folds"><${Same} curl=${curl("v1/fine_tuning/jobs")} python=${python('for job in client.get("v1/fine_tuning/jobs").json()["data"]:\n    print(job["id"], job["status"])')} /></div>`;
}
