// @ts-check
/** One dataset: suspect labels first, classes that filter, its examples, problems, models, versions. */
import { html, useEffect, useState } from "../vendor/preact.js";
import { download, get, part, send } from "../api.js";
import { DropArea, report, takeDrops } from "../parts/drop.js";
import { Erase } from "../parts/versions/erase.js";
import { ExampleDialog } from "../parts/example.js";
import { Grid, Text } from "../parts/grid.js";
import { ModelRows } from "../parts/model_rows.js";
import { Suspects } from "../parts/suspects.js";
import { suspectsOf } from "../parts/dataset_rows.js";
import { TrainSheet } from "../parts/train.js";
import { Versions } from "../parts/versions/versions.js";
import { Button, Dialog, Failed, Head, Loading, Note, Picture, Same, Sure, copy, curl, python, toast, useAsked, useEvery, useLoad } from "../parts/ui.js";
import { ago, count, label, several, size, thing } from "../parts/words.js";

const PAGE = 1000;
/** @type {[string, string][]} */
const ORDERS = [["classes", "one of each class in turn"], ["stored", "as stored"]];

/** A list that grows page by page. @param {string} path @param {Record<string, unknown>} query @param {any[]} keys */
function usePages(path, query, keys) {
  const [state, set] = useState(/** @type {{items: any[], more: boolean, busy: boolean, error: any, key: string}} */ ({ items: [], more: true, busy: false, error: null, key: "" }));
  const name = JSON.stringify(keys);
  const load = async (/** @type {any[]} */ items) => {
    set((old) => ({ ...old, busy: true, error: null }));
    try {
      const page = await get(path, { ...query, limit: PAGE, after: items.at(-1)?.id });
      set((old) => (old.key === name ? { ...old, items: [...items, ...page.data], more: page.has_more, busy: false } : old));
    } catch (error) { set((old) => (old.key === name ? { ...old, error, busy: false } : old)); }
  };
  useEffect(() => { set((old) => ({ ...old, items: [], more: true, key: name })); load([]); }, [name]);
  return { ...state, next: () => state.more && !state.busy && !state.error && load(state.items) };
}

/** @param {{dataset: any, suspects: any[], onChanged: () => void, wanted: string, want: (label: string) => void}} props */
function Examples({ dataset, suspects, onChanged, wanted, want }) {
  const [split, only] = useState("");
  const [order, sort] = useState("classes");
  const [open, show] = useState(/** @type {any} */ (null));
  const counts = useLoad(() => get(`v1/datasets/${dataset.id}/versions/${dataset.version}/statistics`), [dataset.id, dataset.version, dataset.status, dataset.num_erased]);
  const pages = usePages(`v1/datasets/${dataset.id}/examples`, { version: dataset.version, label: wanted, split, order, excluded: false }, [dataset.id, dataset.version, wanted, split, order, dataset.status, dataset.num_erased]);
  /** @type {any[]} */
  const splits = counts.data?.splits ?? [];
  const chosen = splits.find((one) => one.split === (split || splits[0]?.split));
  const of = (/** @type {string} */ name) => (!counts.data ? dataset : split ? chosen : splits.find((one) => one.split === "train"))?.classes.find((/** @type {any} */ one) => one.label === name)?.count ?? 0;
  const largest = Math.max(1, ...dataset.classes.map((/** @type {any} */ one) => of(one.label)));
  const total = wanted || split
    ? splits.filter((one) => !split || one.split === split).flatMap((one) => one.classes).filter((one) => !wanted || one.label === wanted).reduce((sum, one) => sum + one.count, 0)
    : dataset.num_examples;
  const least = [...dataset.classes].map((one) => ({ label: one.label, n: of(one.label) })).sort((a, b) => a.n - b.n);
  const [fewest, most] = [least[0], least[least.length - 1]];
  const uneven = counts.data && least.length > 1 && fewest.n * 2 < most.n ? [fewest, most] : null;
  const marked = new Set(suspects.map((one) => one.example_id));
  return html`<div class="side" style=${{ marginTop: "28px" }}><div>
      <header class="row" style=${{ marginBottom: "8px" }}><h2 class="grow">Classes</h2><small class="hint">${counts.data ? `to ${split || "train"}` : "in all"}</small></header>
      <div class=${`classbar ${dataset.classes.some((/** @type {any} */ one) => one.label.length > 14) ? "long" : ""}`} style=${{ display: "block", maxHeight: "560px", overflowY: "auto" }}>${dataset.classes.map((/** @type {any} */ one) => html`<button type="button" aria-pressed=${wanted === one.label} title=${one.label} onClick=${() => want(wanted === one.label ? "" : one.label)}><span>${label(one.label)}</span><span class=${`bar ${uneven && one.label === uneven[0].label ? "miss" : ""}`}><i style=${{ width: `${(100 * of(one.label)) / largest}%` }}></i></span><span class="right muted">${count(of(one.label))}</span></button>`)}</div>
      ${uneven && html`<p class="dense muted" style=${{ marginTop: "12px" }}><span class="miss-ink">${label(uneven[0].label)}</span> has fewest: ${uneven[0].n} against ${uneven[1].n} of ${label(uneven[1].label)}. The fit gives every class the same weight all the same.</p>`}
    </div><div>
      <div class="row" style=${{ marginBottom: "12px" }}>${splits.map((one) => html`<button type="button" class="chip" aria-pressed=${split === one.split} onClick=${() => only(split === one.split ? "" : one.split)}>to ${one.split} ${count(one.num_examples)}</button>`)}
        ${wanted && html`<button type="button" class="chip accent" onClick=${() => want("")}>${label(wanted)} ✕</button>`}<span class="grow"></span>
        <label class="hint">Order: <select style=${{ width: "auto", minHeight: "28px", padding: "2px 6px", fontSize: "12px" }} value=${order} onChange=${(/** @type {any} */ event) => sort(event.target.value)}>${ORDERS.map(([value, said]) => html`<option value=${value}>${said}</option>`)}</select></label></div>
      <${Failed} error=${pages.error} /><${Grid} dataset=${dataset} examples=${pages.items} total=${Math.max(pages.items.length, pages.more ? total : 0)} onOpen=${show} onNear=${pages.next} marked=${marked} />
    </div>${open && html`<${ExampleDialog} dataset=${dataset} example=${open} onClose=${() => show(null)} onChanged=${onChanged} />`}</div>`;
}

/** @param {{dataset: any}} props */
function Problems({ dataset }) {
  const pages = usePages(`v1/datasets/${dataset.id}/problems`, { version: dataset.version }, [dataset.id, dataset.version, dataset.num_erased]);
  if (!dataset.num_problems) return html`<p class="empty">Nothing was left out, and nothing is doubtful.</p>`;
  return html`<div class="panel flush blocks" style=${{ marginTop: "24px" }}><div class="scroll"><table><thead><tr><th>What became of it</th><th>Where and why</th><th class="num">Code</th></tr></thead><tbody>${pages.items.map((one) => html`<tr key=${one.id}><td><span class=${`chip ${one.excluded ? "bad" : "miss"}`}>${one.excluded ? "left out" : "kept"}</span></td><td style=${{ overflowWrap: "anywhere" }}>${one.path && html`<b style=${{ fontWeight: 500 }}>${one.path}</b><br />`}<span class="muted">${one.message.replace(`${one.path}: `, "")}</span></td><td class="right mono faint">${one.code}</td></tr>`)}</tbody></table></div></div>
    <${Failed} error=${pages.error} />${pages.more && html`<p style=${{ marginTop: "12px" }}><${Button} busy=${pages.busy} onClick=${pages.next}>More</${Button}></p>`}`;
}

/** @param {{dataset: any}} props */
function Copies({ dataset }) {
  const { data, error, again } = useLoad(() => get(`v1/datasets/${dataset.id}/versions/${dataset.version}/statistics`), [dataset.id, dataset.version, dataset.status, dataset.num_erased]);
  if (!data) return html`<${Failed} error=${error} again=${again} />${!error && html`<${Loading} />`}`;
  if (!data.near_duplicates) return html`<p class="empty">Not looked for yet: that is done when nothing else waits.</p>`;
  const { groups, looked_at: n } = data.near_duplicates;
  if (!groups.length) return html`<p class="empty">None among ${count(n)}.</p>`;
  return html`<p class="muted" style=${{ marginTop: "20px" }}>${several(groups.length, "group")} of examples that are almost the same, among ${count(n)}. Where they show the same thing, give them one <code>group</code>; else the figures are too hopeful.</p>
    ${groups.slice(0, 40).map((/** @type {string[]} */ ids) => html`<div class="panel" style=${{ marginTop: "12px" }}>${dataset.modality === "text" ? ids.slice(0, 6).map((id) => html`<div class="tile text"><${Text} dataset=${dataset.id} example=${{ id }} /></div>`) : html`<div class="tiles">${ids.slice(0, 10).map((id) => html`<${Picture} key=${id} dataset=${dataset.id} example=${id} version=${dataset.version} alt="almost the same as its neighbours" edge=${92} />`)}</div>`}</div>`)}`;
}

/** @param {{id: string, query: URLSearchParams}} props */
export default function Dataset({ id, query }) {
  const asked = Number(query.get("version")) || null;
  const [tab, go] = useAsked(query.get("tab") ?? "examples");
  const [sheet, open] = useState("");
  const [wanted, want] = useAsked(query.get("label") ?? "");
  const { data, error, again } = useLoad(async () => {
    const [latest, versions, models] = await Promise.all([get(`v1/datasets/${part(id)}`), get(`v1/datasets/${part(id)}/versions`, { limit: 100 }), get("v1/models")]);
    const one = asked && asked !== latest.version ? await get(`v1/datasets/${part(id)}/versions/${asked}`) : latest;
    return { dataset: { ...latest, ...one, id: latest.id, name: latest.name, latest: latest.version }, versions: versions.data, models: models.data.filter((/** @type {any} */ model) => model.dataset?.id === id) };
  }, [id, asked]);
  const suspected = useLoad(async () => {
    if (!data || asked) return [];
    const newest = Math.max(...data.models.map((/** @type {any} */ one) => one.dataset?.version ?? 0));
    return suspectsOf(data.models.filter((/** @type {any} */ one) => one.dataset?.version === newest || one.id === query.get("model")), query.get("model"));
  }, [data?.models[0]?.id, query.get("model")]);
  useEvery(again, data?.dataset.status === "processing" ? 1 : 0);
  useEffect(() => { takeDrops((files) => report(files, id)); return () => takeDrops(null); }, [id]);
  if (!data) return html`<${Head} title="Dataset" crumbs=${[["Datasets", "#/datasets"]]} /><${Failed} error=${error} again=${again} />${!error && html`<${Loading} lines=${4} />`}`;
  const { dataset, versions, models } = data;
  const old = dataset.version !== dataset.latest;
  const acts = html`<${Button} onClick=${() => open("add")}>Add examples</${Button}><${Button} kind="primary" why=${dataset.status === "failed" ? "The dataset has failed; see below" : ""} onClick=${() => open("train")}>Train a model</${Button}>`;
  const splits = html`<span>${several(dataset.num_examples, dataset.modality === "text" ? "text" : "example")}</span><span>${several(dataset.classes.length, "class", "classes")}</span><span class="faint">${size(dataset.bytes)}, uploaded ${ago(dataset.created_at)}</span>`;
  /** @type {[string, string, any][]} */
  const tabs = [["examples", "Examples", ""], ["problems", "Problems", dataset.num_problems], ["copies", "Near copies", ""], ["models", "Models", models.length], ["versions", "Versions", versions.length]];
  return html`<${Head} title=${dataset.name} crumbs=${[["Datasets", "#/datasets"]]} acts=${acts} sub=${html`<button type="button" class="chip" onClick=${() => go("versions")}>version ${dataset.version}${old ? "" : " · latest"}</button>${splits}`} />
    ${dataset.status === "processing" && html`<${Note} icon="info">Reading every ${thing(dataset.modality)} once. You can start training already: the job waits for it.</${Note}>`}
    ${dataset.status === "failed" && html`<${Note} kind="bad" icon="info" role="alert"><b>${dataset.error?.message}</b> <span class="mono">${dataset.error?.code}</span></${Note}>`}
    ${old && html`<${Note} icon="info">This is version ${dataset.version}; the latest is ${dataset.latest}. <a href=${`#/datasets/${id}`}>Show the latest</a></${Note}>`}
    <div class="tabs" role="tablist">${tabs.map(([name, said, n]) => html`<button type="button" role="tab" aria-selected=${tab === name ? "true" : "false"} onClick=${() => go(name)}>${said}<span>${n === "" ? "" : count(n)}</span></button>`)}</div>
    ${tab === "examples" && html`${!old && html`<${Suspects} dataset=${dataset} suspects=${suspected.data ?? []} onChanged=${again} />`}<${Examples} dataset=${dataset} suspects=${suspected.data ?? []} onChanged=${again} wanted=${wanted} want=${want} />`}
    ${tab === "problems" && html`<${Problems} dataset=${dataset} />`}
    ${tab === "copies" && html`<${Copies} dataset=${dataset} />`}
    ${tab === "models" && (models.length ? html`<div style=${{ marginTop: "24px" }}><${ModelRows} models=${models} /></div>` : html`<p class="empty">None yet. “Train a model” takes about a second once the ${thing(dataset.modality, 2)} are read.</p>`)}
    ${tab === "versions" && html`<${Versions} dataset=${dataset} versions=${versions} models=${models} />`}
    <div class="folds"><${Same} curl=${curl(`v1/datasets/${id}`)} python=${python(`dataset = client.get("v1/datasets/${id}").json()\nexamples = client.get("v1/datasets/${id}/examples").json()["data"]`)} /></div>
    <p class="row" style=${{ marginTop: "20px" }}><button type="button" class="link" onClick=${() => copy(id, "The dataset's id is copied")}>Copy the id</button><button type="button" class="link" onClick=${() => download(`v1/datasets/${part(id)}/versions/${dataset.version}/export`, { format: dataset.modality === "text" ? "csv" : "folder" }).then((made) => made || toast("It is being made; ask again in a moment."), (refused) => toast(refused.message))}>Download version ${dataset.version}</button><button type="button" class="link" onClick=${() => open("delete")}>Delete…</button><button type="button" class="link" onClick=${() => open("erase")}>Erase for good…</button></p>
    ${sheet === "train" && html`<${TrainSheet} dataset=${dataset} onClose=${() => open("")} />`}
    ${sheet === "add" && html`<${Dialog} title="Add examples" kind="wide" onClose=${() => open("")}><h2>Add examples</h2><p class="muted" style=${{ margin: "6px 0 16px" }}>They make version ${dataset.latest + 1}; only what was never seen before is read.</p><${DropArea} to=${id} /></${Dialog}>`}
    ${sheet === "erase" && html`<${Erase} dataset=${dataset} onClose=${() => open("")} onChanged=${again} />`}
    ${sheet === "delete" && html`<${Sure} title="Delete the dataset" text=${`“${dataset.name}”, its ${several(dataset.num_examples, "example")} and all its versions are gone then. Models made of it stay.`} verb=${`Delete “${dataset.name}”`} onClose=${() => open("")} act=${async () => { await send("DELETE", `v1/datasets/${part(id)}`); location.hash = "#/datasets"; }} />`}`;
}
