// @ts-check
/** Labels that look wrong: Enter relabels, K keeps, Z undoes; a run of changes makes one version. */
import { html, useState } from "../vendor/preact.js";
import { get, part, send } from "../api.js";
import { Text } from "./grid.js";
import { Button, Failed, Picture, toast, useKeys, useLoad } from "./ui.js";
import { percent, several, told } from "./words.js";

/** What is judged and not yet a version: it outlives the page, a reload and Back, as long as the tab. @param {string} dataset */
const kept = (dataset) => `headstart.judged.${dataset}`;

/** Of several labels each is doubted by itself. @param {any} one @param {any} other */
const same = (one, other) => one.example_id === other.example_id && one.doubted === other.doubted;

/** One example's change: what was relabelled, of several labels each that was; else what it has is right. @param {any[]} judged */
function changeOf(judged) {
  const relabelled = judged.filter((one) => one.relabel);
  if (!relabelled.length) return { confirmed: true };
  if (!relabelled[0].suggested_labels) return { label: relabelled[0].suggested };
  const labels = new Set(relabelled[0].labels);
  for (const one of relabelled) one.suggested_labels.includes(one.doubted) ? labels.add(one.doubted) : labels.delete(one.doubted);
  return { labels: [...labels] };
}

/** @param {any[]} done */
function changesOf(done) {
  /** @type {Map<string, any[]>} */
  const of = new Map();
  for (const one of done) of.set(one.example_id, [...(of.get(one.example_id) ?? []), one]);
  return [...of].map(([id, judged]) => ({ id, ...changeOf(judged) }));
}

/** @param {{dataset: any, suspects: any[], onChanged: () => void}} props */
export function Suspects({ dataset, suspects, onChanged }) {
  const [done, hold] = useState(() => /** @type {any[]} */ (JSON.parse(sessionStorage.getItem(kept(dataset.id)) ?? "[]")));
  const set = (/** @type {any[]} */ next) => {
    hold(next);
    next.length ? sessionStorage.setItem(kept(dataset.id), JSON.stringify(next)) : sessionStorage.removeItem(kept(dataset.id));
  };
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  // What has become of them since the model was made: a relabelled or confirmed one is none any more.
  const { data } = useLoad(async () => {
    if (!suspects.length) return [];
    const still = await get(`v1/datasets/${part(dataset.id)}/examples`, { suspect: suspects[0].model, limit: 1000 });
    const now = new Map(still.data.map((/** @type {any} */ one) => [one.id, one]));
    return suspects.map((one) => ({ ...one, now: now.get(one.example_id) })).filter((one) => one.now);
  }, [dataset.version, suspects]);
  const left = (data ?? []).filter((/** @type {any} */ one) => !done.some((other) => same(one, other)));
  const judge = (/** @type {any} */ { example_id, doubted, labels, suggested, suggested_labels }, /** @type {boolean} */ relabel) => set([...done, { example_id, doubted, labels, suggested, suggested_labels, relabel }]);
  const first = left[0];
  const act = (/** @type {boolean} */ relabel) => () => first && judge(first, relabel);
  const undo = () => set(done.slice(0, -1));
  useKeys({ Enter: act(true), k: act(false), z: undo });
  const save = () => {
    work(true); fail(null);
    const changes = changesOf(done);
    send("PATCH", `v1/datasets/${part(dataset.id)}/examples`, { changes }).then((made) => { set([]); work(false); toast(`${several(changes.length, "example")} settled in version ${made.version}.`); onChanged(); }, (refused) => { fail(refused); work(false); });
  };
  if (!left.length && !done.length) return null;
  return html`<div class="panel" style=${{ marginTop: "24px" }}><div class="row"><h2>${left.length ? `${several(left.length, "label looks", "labels look")} wrong` : data ? "All are judged; they count once they are a version" : `${several(done.length, "label")} judged`}</h2><span class="muted dense grow" style=${{ minWidth: "220px" }}>The model, kept from seeing each of them, would name them otherwise.</span><span class="faint dense hide-phone"><kbd>Enter</kbd> relabel <kbd>K</kbd> keep <kbd>Z</kbd> undo</span></div>
    <div class="suspects">${left.slice(0, 6).map((/** @type {any} */ one, /** @type {number} */ n) => html`<div class=${`suspect ${n === 0 ? "now" : ""}`} key=${`${one.example_id} ${one.doubted ?? ""}`}>
      ${dataset.modality === "text" ? html`<p style=${{ overflow: "hidden", maxHeight: "128px" }}><${Text} dataset=${dataset.id} example=${one.now} /></p>` : html`<${Picture} dataset=${dataset.id} example=${one.example_id} version=${dataset.version} alt=${`${told(one, "label", "labels")}, ${one.now.path}`} edge=${128} />`}
      <div style=${{ minWidth: 0 }}>labelled<s>${told(one, "label", "labels")}</s>looks like<b>${told(one, "suggested", "suggested_labels")}</b><span class="muted">${percent(one.probability, 0)} sure the label is wrong</span><div class="acts"><${Button} kind=${n === 0 ? "small primary" : "small"} onClick=${() => judge(one, true)}>Relabel</${Button}><${Button} kind="small bare" onClick=${() => judge(one, false)}>Keep</${Button}></div></div></div>`)}</div>
    <${Failed} error=${error} />
    ${done.length > 0 && html`<div class="row" style=${{ marginTop: "12px" }}><${Button} kind="primary" busy=${busy} onClick=${save}>Make version ${dataset.latest + 1} with ${several(changesOf(done).length, "change")}</${Button}><${Button} onClick=${undo}>Undo</${Button}></div>`}</div>`;
}
