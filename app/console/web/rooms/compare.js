// @ts-check
/** Two models on the examples that both were judged on. */
import { html, useState } from "../vendor/preact.js";
import { get, part } from "../api.js";
import { axis } from "../parts/dataset_rows.js";
import { Failed, Fold, Head, Interval, Loading, Note, Picture, Same, curl, python, useFigure, useLoad } from "../parts/ui.js";
import { Text } from "../parts/grid.js";
import { choice, count, label, percent, range, several, thing, told } from "../parts/words.js";

/** @type {[string, string][]} */
const TABS = [["only_other", "Only B right"], ["only_this", "Only A right"], ["both_wrong", "Both wrong"], ["both_right", "Both right"]];
const PAGE = 60;

/** @param {number | null} p */
const luck = (p) => (p == null ? "" : p >= 0.5 ? "By luck alone that would happen more often than not." : `By luck alone that would happen ${p < 0.0001 ? "less than once in 10,000 times" : `about once in ${count(Math.round(1 / p))} times`}.`);

/** @param {any} found */
function verdict({ counts, p_value: p, num_examples: n }, /** @type {string} */ things) {
  const { only_this: a, only_other: b } = counts;
  if (!a && !b) return html`<b>They answer alike.</b> On ${count(n)} ${things} they are right and wrong on the same.`;
  const sides = `Where only one of them is right, it is B ${several(b, "time")} and A ${several(a, "time")}.`;
  if (a + b < 6) return html`<b>Too alike to tell.</b> They differ on ${a + b} of ${count(n)} ${things}: under six no result could show that one is better.`;
  if (p < 0.05) return html`<b>${b > a ? "B" : "A"} is better.</b> ${sides} ${luck(p)}`;
  return html`<b>Cannot be told apart.</b> ${sides} ${luck(p)}`;
}

/** @param {{name: string, model: any, from: number, models: any[], onChoose: (id: string) => void}} props */
function Side({ name, model, from, models, onChoose }) {
  const { figure, name: what } = useFigure(model);
  return html`<div class="panel"><div class="row" style=${{ flexWrap: "nowrap" }}><span class=${`chip ${name === "B" ? "accent" : ""}`}>${name}</span><select aria-label=${`Model ${name}`} value=${model?.id ?? ""} onChange=${(/** @type {any} */ event) => onChoose(event.target.value)}><option value="" disabled>choose a model</option>${models.map((one) => html`<option value=${one.id}>${choice(one)}</option>`)}</select></div>
    ${model && html`<div style=${{ marginTop: "12px" }}><div class="row"><span style=${{ fontSize: "28px", lineHeight: "34px", fontWeight: 600, letterSpacing: "-.02em" }}>${percent(figure?.value)}</span><span class="muted">${range(figure)}${what !== "accuracy" && figure && `, ${what}`}</span>${model.aliases.map((/** @type {string} */ one) => html`<span class="chip accent">${one}</span>`)}</div><${Interval} figure=${figure} from=${from} name=${what} grey=${name === "A"} /></div>`}</div>`;
}

/** @param {{a: any, b: any}} props */
function Classes({ a, b }) {
  const { data, error } = useLoad(() => Promise.all([get(`v1/models/${part(a.id)}/evaluation`), get(`v1/models/${part(b.id)}/evaluation`)]), [a.id, b.id]);
  if (!data) return html`<${Failed} error=${error} />`;
  const before = new Map((data[0].per_class ?? []).map((/** @type {any} */ one) => [one.label, one]));
  const rows = (data[1].per_class ?? []).map((/** @type {any} */ one) => ({ label: one.label, n: one.support, was: before.get(one.label)?.f1.value ?? null, is: one.f1.value })).filter((/** @type {any} */ one) => one.was != null && one.is != null).sort((/** @type {any} */ x, /** @type {any} */ y) => Math.abs(y.is - y.was) - Math.abs(x.is - x.was));
  if (!rows.length) return null;
  const [least, most] = [Math.min(...rows.map((/** @type {any} */ one) => one.n)), Math.max(...rows.map((/** @type {any} */ one) => one.n))];
  return html`<header class="row" style=${{ marginBottom: "10px" }}><h2 class="grow">Class by class</h2><small class="hint">F1, A to B</small></header>
    <table><thead class="sr"><tr><th>Class</th><th>From A to B</th><th>Change in points</th></tr></thead><tbody>${rows.slice(0, 30).map((/** @type {any} */ one) => { const [low, high] = [Math.min(one.was, one.is), Math.max(one.was, one.is)]; const change = Math.round(100 * (one.is - one.was));
      return html`<tr><td style=${{ maxWidth: "120px", overflow: "hidden", textOverflow: "ellipsis" }} title=${one.label}>${label(one.label)}</td><td style=${{ width: "46%" }}><div class="interval" role="img" aria-label=${`${label(one.label)}: ${percent(one.was, 0)} to ${percent(one.is, 0)}`}><i style=${{ left: `${100 * low}%`, right: `${100 - 100 * high}%` }}></i><b style=${{ left: `${100 * one.was}%`, background: "var(--edge)" }}></b><b style=${{ left: `${100 * one.is}%` }}></b></div></td><td class="num">${change > 0 ? "+" : ""}${change}</td></tr>`; })}</tbody></table>
    <p class="hint" style=${{ marginTop: "8px" }}>Single classes have ${least === most ? count(least) : `${count(least)} to ${count(most)}`} examples: differences under ${Math.round(100 / Math.sqrt(Math.max(1, least)))} points may be luck.</p>`;
}

/** @param {{answer: any, right: boolean}} props */
function Said({ answer, right }) {
  return html`<span class=${right ? "" : "miss-ink"}>${told(answer, "label", "labels")}</span>${!answer.labels && ` ${percent(answer.probability, 0)}`}`;
}

/** The parts of how two models were made, and what they are. @param {any} model @returns {[string, any][]} */
const made = (model) => [["dataset", model.dataset?.name], ["version", model.dataset?.version], ["labels", model.label_mode === "multi_label" ? "several" : "one"], ["method", model.method], ["backbone", model.backbone]];

/** @param {{a: any, b: any}} props */
function Differing({ a, b }) {
  const rows = made(a).map(([name, one], at) => [name, one, made(b)[at][1]]);
  const apart = a.dataset?.id !== b.dataset?.id;
  const names = rows.filter(([name, one, two]) => (name === "dataset" ? apart : one !== two && !(apart && name === "version"))).map(([name]) => (name === "version" ? "dataset version" : name));
  return html`<${Fold} title="What differs" summary=${names.join(", ") || "the seed, or nothing"}><table><thead><tr><th></th><th>A</th><th>B</th></tr></thead><tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${cell ?? "–"}</td>`)}</tr>`)}</tbody></table></${Fold}>`;
}

/** @param {{a: any, b: any}} props */
function Pictures({ a, b }) {
  const [tab, go] = useState("only_other");
  const { data, error, again } = useLoad(() => get(`v1/models/${part(a.id)}/comparison`, { other: b.id, outcome: tab, limit: PAGE }), [a.id, b.id, tab]);
  if (!data) return error ? html`<${Note} kind="miss" icon="info">${error.code === "invalid_request" ? "No example was judged by both of them: they are of different datasets, or of parts of one that do not overlap." : html`<${Failed} error=${error} again=${again} />`}</${Note}>` : html`<${Loading} />`;
  const { counts } = data, text = a.modality === "text", things = thing(a.modality, 2);
  const dataset = data.dataset;
  return html`<p class="say" style=${{ fontSize: "17px", lineHeight: "26px", marginTop: "24px", maxWidth: "900px" }}>${verdict(data, things)}</p>
    <div class="dis" role="img" aria-label=${`only A right ${count(counts.only_this)}, only B right ${count(counts.only_other)}`}><i style=${{ flex: counts.only_this || 0.001 }}></i><i style=${{ flex: counts.only_other || 0.001 }}></i></div>
    <div class="row dense" style=${{ marginTop: "6px", justifyContent: "space-between" }}><span>only A right: ${count(counts.only_this)}</span><span class="faint">both right: ${count(counts.both_right)} · both wrong: ${count(counts.both_wrong)}${data.left_out ? ` · ${count(data.left_out)} under other labels by now` : ""}</span><span>only B right: ${count(counts.only_other)}</span></div>
    <div class="wide-left" style=${{ marginTop: "28px" }}><div><div class="tabs" style=${{ marginTop: 0 }} role="tablist">${TABS.map(([name, said]) => html`<button type="button" role="tab" aria-selected=${tab === name ? "true" : "false"} onClick=${() => go(name)}>${said}<span>${count(counts[name])}</span></button>`)}</div>
      <div class=${text ? "" : "tiles"} style=${{ marginTop: "16px", gridTemplateColumns: text ? null : "repeat(auto-fill, minmax(120px, 1fr))" }}>${data.data.map((/** @type {any} */ one) => html`<div class=${`tile ${text ? "text" : ""}`} style=${{ cursor: "default" }} key=${one.example_id}>${text ? html`<${Text} dataset=${dataset.id} example=${{ id: one.example_id }} />` : dataset && html`<${Picture} dataset=${dataset.id} example=${one.example_id} version=${dataset.version} alt=${told(one, "expected", "expected_labels")} />`}<small title=${`it is ${told(one, "expected", "expected_labels")}`}>A <${Said} answer=${one.this} right=${["both_right", "only_this"].includes(one.outcome)} /></small><small>B <${Said} answer=${one.other} right=${["both_right", "only_other"].includes(one.outcome)} /></small></div>`)}</div>
      ${!data.data.length && html`<p class="muted">None.</p>`}${data.has_more && html`<p class="hint" style=${{ marginTop: "8px" }}>the first ${PAGE}</p>`}</div>
    <div><${Classes} a=${a} b=${b} /></div></div>`;
}

/** @param {{query: URLSearchParams}} props */
export default function Compare({ query }) {
  const models = useLoad(() => get("v1/models"), []);
  const known = models.data?.data ?? [];
  const of = (/** @type {string | null} */ id) => known.find((/** @type {any} */ one) => one.id === id || one.aliases.includes(id));
  const a = of(query.get("a"));
  const others = a ? known.filter((/** @type {any} */ one) => one.modality === a.modality) : known;
  const b = of(query.get("b")) ?? (a && others.find((/** @type {any} */ one) => one.id !== a.id && one.dataset && one.dataset.id === a.dataset?.id)) ?? null;
  const go = (/** @type {any} */ one, /** @type {any} */ two) => { location.hash = `#/compare?${one ? `a=${part(one)}` : ""}${two ? `&b=${part(two)}` : ""}`; };
  const from = axis([a?.accuracy, b?.accuracy]);
  return html`<${Head} title="Compare" crumbs=${[["Models", "#/models"]]} acts=${a && b && html`<button type="button" class="btn" onClick=${() => go(b.id, a.id)}>Swap</button>`} sub=${html`<span>on the examples that both were judged on and neither learned from</span>`} />
    <${Failed} error=${models.error} again=${models.again} />${!models.data && !models.error && html`<${Loading} />`}
    ${models.data && html`<div class="half" style=${{ gap: "16px", marginTop: "20px" }}><${Side} name="A" model=${a} from=${from} models=${known} onChoose=${(/** @type {string} */ id) => go(id, b?.id)} /><${Side} name="B" model=${b} from=${from} models=${others} onChoose=${(/** @type {string} */ id) => go(a?.id, id)} /></div>
      ${a && b ? html`<${Pictures} key=${`${a.id} ${b.id}`} a=${a} b=${b} />` : html`<p class="empty">${known.length < 2 ? "It takes two models." : "Choose two models, best of the same dataset."}</p>`}
      <div class="folds">${a && b && html`<${Differing} a=${a} b=${b} />`}
      <${Same} curl=${curl(`v1/models/${a?.id ?? "MODEL_A"}/comparison?other=${b?.id ?? "MODEL_B"}`)} python=${python(`found = client.get("v1/models/${a?.id ?? "MODEL_A"}/comparison", params={"other": "${b?.id ?? "MODEL_B"}"}).json()\nprint(found["counts"], found["p_value"])`)} /></div>`}`;
}
