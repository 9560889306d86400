// @ts-check
/** Labels that look wrong: Enter relabels, K keeps, Z undoes; a run of changes makes one version. */
import { html, useState } from "../vendor/preact.js";
import { get, part, send } from "../api.js";
import { Text } from "./grid.js";
import { Button, Failed, Picture, toast, useKeys, useLoad } from "./ui.js";
import { label, percent, several } from "./words.js";

/** @param {{dataset: any, suspects: any[], onChanged: () => void}} props */
export function Suspects({ dataset, suspects, onChanged }) {
  const [done, set] = useState(/** @type {any[]} */ ([]));
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  // What has become of them since the model was made: a relabelled or confirmed one is none any more.
  const { data } = useLoad(async () => {
    if (!suspects.length) return [];
    const still = await get(`v1/datasets/${part(dataset.id)}/examples`, { suspect: suspects[0].model, limit: 1000 });
    const now = new Map(still.data.map((/** @type {any} */ one) => [one.id, one]));
    return suspects.map((one) => ({ ...one, now: now.get(one.example_id) })).filter((one) => one.now);
  }, [dataset.version, suspects]);
  const left = (data ?? []).filter((/** @type {any} */ one) => !done.some((other) => other.id === one.example_id));
  const judge = (/** @type {any} */ one, /** @type {any} */ change) => set([...done, { id: one.example_id, ...change }]);
  const first = left[0];
  const act = (/** @type {any} */ change) => () => first && judge(first, change(first));
  const relabel = (/** @type {any} */ one) => ({ label: one.suggested });
  const keep = () => ({ confirmed: true });
  const undo = () => set(done.slice(0, -1));
  useKeys({ Enter: act(relabel), k: act(keep), z: undo });
  const save = () => {
    work(true); fail(null);
    send("PATCH", `v1/datasets/${part(dataset.id)}/examples`, { changes: done }).then((made) => { set([]); work(false); toast(`${several(done.length, "label")} settled in version ${made.version}.`); onChanged(); }, (refused) => { fail(refused); work(false); });
  };
  if (!left.length && !done.length) return null;
  return html`<div class="panel" style=${{ marginTop: "24px" }}><div class="row"><h2>${left.length ? `${several(left.length, "label looks", "labels look")} wrong` : "All of them are settled"}</h2><span class="muted dense grow" style=${{ minWidth: "220px" }}>The model, kept from seeing each of them, would name them otherwise.</span><span class="faint dense hide-phone"><kbd>Enter</kbd> relabel <kbd>K</kbd> keep <kbd>Z</kbd> undo</span></div>
    <div class="suspects">${left.slice(0, 6).map((/** @type {any} */ one, /** @type {number} */ n) => html`<div class=${`suspect ${n === 0 ? "now" : ""}`} key=${one.example_id}>
      ${dataset.modality === "text" ? html`<p style=${{ overflow: "hidden", maxHeight: "128px" }}><${Text} dataset=${dataset.id} example=${one.now} /></p>` : html`<${Picture} dataset=${dataset.id} example=${one.example_id} version=${dataset.version} alt=${`${label(one.label)}, ${one.now.path}`} edge=${128} />`}
      <div style=${{ minWidth: 0 }}>labelled<s>${label(one.label)}</s>looks like<b>${label(one.suggested)}</b><span class="muted">${percent(one.probability, 0)} sure the label is wrong</span><div class="acts"><${Button} kind=${n === 0 ? "small primary" : "small"} onClick=${() => judge(one, relabel(one))}>Relabel</${Button}><${Button} kind="small bare" onClick=${() => judge(one, keep())}>Keep</${Button}></div></div></div>`)}</div>
    <${Failed} error=${error} />
    ${done.length > 0 && html`<div class="row" style=${{ marginTop: "12px" }}><${Button} kind="primary" busy=${busy} onClick=${save}>Make version ${dataset.latest + 1} with ${several(done.length, "change")}</${Button}><${Button} onClick=${undo}>Undo</${Button}></div>`}</div>`;
}
