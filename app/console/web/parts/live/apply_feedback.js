// @ts-check
/** What feedback brought becomes a dataset's next version. */
import { html, useState } from "../../vendor/preact.js";
import { all, part, send } from "../../api.js";
import { Button, Dialog, Failed, Loading, useLoad } from "../ui.js";
import { several } from "../words.js";

/** Feedback that a dataset could have and has not. @param {any[]} given */
export const unapplied = (given) => given.filter((one) => !one.applied && one.content && (one.label != null || one.labels != null));

/** @param {{target: string, model: any, onClose: () => void, onDone: () => void}} props */
export function ApplyFeedback({ target, model, onClose, onDone }) {
  const { data, error } = useLoad(() => all("v1/datasets", {}, 500), []);
  const fitting = (data ?? []).filter((/** @type {any} */ one) => one.modality === model.modality && (one.label_mode ?? "single_label") === (model.label_mode ?? "single_label"));
  const [dataset, set] = useState(model.dataset?.id ?? "");
  const [busy, work] = useState(false);
  const [made, show] = useState(/** @type {any} */ (null));
  const [refused, fail] = useState(/** @type {any} */ (null));
  const chosen = fitting.some((/** @type {any} */ one) => one.id === dataset) ? dataset : fitting[0]?.id ?? "";
  const go = () => { work(true); fail(null); send("POST", `v1/models/${part(target)}/feedback/apply`, { dataset: chosen }).then((version) => { show(version); work(false); onDone(); }, (answer) => { fail(answer); work(false); }); };
  if (made) {
    const { added, relabelled, unchanged, left_out: left } = made.feedback;
    return html`<${Dialog} title="Added to the dataset" onClose=${onClose}><h2>${added + relabelled ? `Version ${made.version} has them` : "It had all of them already"}</h2>
      <dl class="facts" style=${{ marginTop: "12px" }}><dt>New examples</dt><dd>${added}</dd><dt>Labels mended</dt><dd>${relabelled}</dd><dt>Known already</dt><dd>${unchanged}</dd><dt>Left out</dt><dd>${left.length}</dd></dl>
      ${left.length > 0 && html`<p class="muted dense" style=${{ marginTop: "10px" }}>${[...new Set(left.map((/** @type {any} */ one) => one.reason))].slice(0, 5).join("; ")}.</p>`}
      <div class="acts"><${Button} onClick=${onClose}>Close</${Button}><a class="btn primary" href=${`#/datasets/${chosen}`}>Train on it</a></div></${Dialog}>`;
  }
  return html`<${Dialog} title="Add to a dataset" onClose=${onClose}><h2>Add what was said to a dataset</h2>
    <p class="muted" style=${{ margin: "6px 0 16px" }}>New inputs become examples to learn from; examples that it has get the label that was said. It makes one version, and nothing comes twice.</p>
    <${Failed} error=${error ?? refused} />${!data && !error && html`<${Loading} lines=${1} height=${40} />`}
    ${data && (fitting.length ? html`<label class="field"><span>Dataset</span><select value=${chosen} onChange=${(/** @type {any} */ event) => set(event.target.value)}>${fitting.map((/** @type {any} */ one) => html`<option value=${one.id}>${one.name} · version ${one.version} · ${several(one.num_examples, "example")}</option>`)}</select></label>` : html`<p>There is no dataset of this kind. <a href="#/">Upload one first.</a></p>`)}
    <div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="primary" busy=${busy} why=${chosen ? "" : "There is no dataset for it"} onClick=${go}>Add them</${Button}></div></${Dialog}>`;
}
