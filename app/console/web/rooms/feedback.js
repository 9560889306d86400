// @ts-check
/** Feedback: what an alias was asked, to be labelled by keyboard; how often it is right; what others said. */
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { all, get, part, send } from "../api.js";
import { ApplyFeedback, unapplied } from "../parts/live/apply_feedback.js";
import { LiveAccuracy, Volunteered } from "../parts/live/live_accuracy.js";
import { FindClass, KEYS, LabelKeys, handy } from "../parts/live/label_keys.js";
import { LoggedInput, prefetch } from "../parts/live/logged.js";
import { LogSwitch, logSaid } from "../parts/live/prediction_log.js";
import { Button, Failed, Fold, Head, Loading, Same, curl, python, useAsked, useKeys, useLoad } from "../parts/ui.js";
import { count, label, ofVersion, percent, several, thing } from "../parts/words.js";

const DRAWN = 20, AHEAD = 3, REMEMBERED = 500;
const LEFT = "headstart.left_out";

/** What was left out in this browser: suggestions of it do not come again. @returns {string[]} */
const leftOut = () => JSON.parse(localStorage.getItem(LEFT) ?? "[]");
/** @param {string[]} ids */
const leave = (ids) => localStorage.setItem(LEFT, JSON.stringify(ids.slice(-REMEMBERED)));

/** @type {Record<string, string>} */
const BECAUSE = { uncertain: "Why this one: the likeliest classes are close together.", novel: "Why this one: it looks unlike what the model knows." };

/** What feedback says again that was there before. @param {any} before */
const again = ({ label: name, labels, unknown, correct, audited }) => (labels ? { labels, audited } : name != null ? { label: name, audited } : unknown ? { unknown, audited } : { correct, audited });

/** The strip of what is drawn; the one at hand stays in sight. @param {{items: any[], at: number, modality: string, of: (one: any) => string | undefined, go: (n: number) => void}} props */
function Frames({ items, at, modality, of, go }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const strip = box.current, now = /** @type {HTMLElement | null | undefined} */ (strip?.children[Math.min(at, items.length - 1)]);
    if (strip && now) strip.scrollTo(now.offsetLeft - strip.offsetLeft - strip.clientWidth / 2 + 38, now.offsetTop - strip.offsetTop - strip.clientHeight / 2 + 38);
  }, [at]);
  return html`<ol class="frames" ref=${box} aria-label="The queue">${items.map((one, n) => html`<li key=${one.id}><button type="button" class=${`frame-of ${n === at ? "now" : ""} ${of(one) ? "said" : ""}`} aria-current=${n === at ? "true" : null} aria-label=${`${n + 1} of ${items.length}${of(one) ? `, ${of(one)}` : ""}`} onClick=${() => go(n)}><${LoggedInput} item=${one} modality=${modality} alt="" edge=${76} />${of(one) && html`<b>${of(one)}</b>`}</button></li>`)}</ol>`;
}

/** One input after the other, and what is said of each. @param {{target: string, model: any, items: any[], measure: boolean, hook: any, onSaid: () => void, onMore: () => void}} props */
function Queue({ target, model, items, measure, hook, onSaid, onMore }) {
  const [at, go] = useState(0);
  const [said, set] = useState(/** @type {any[]} */ ([]));
  const [picked, pick] = useState(/** @type {string[] | null} */ (null));
  const [find, open] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const path = `v1/models/${part(target)}/feedback`;
  const classes = model.card.labels ?? [];
  const many = model.label_mode === "multi_label";
  const item = items[at];
  const predicted = item?.predicted;
  const shares = item?.predictions ?? [];
  const ten = handy(classes, shares);
  const chosen = many ? picked ?? predicted?.labels ?? [] : predicted && !predicted.unknown ? [predicted.label] : [];
  const done = said.filter((one) => one.shown !== "left out").length;
  useEffect(() => { pick(null); for (const next of items.slice(at + 1, at + 1 + AHEAD)) prefetch(next, model.modality); }, [at, items]);

  const put = (/** @type {string} */ shown, /** @type {any} */ body) => {
    if (!item) return;
    fail(null);
    const before = item.feedback && body ? get(`${path}/${item.feedback}`).catch(() => null) : Promise.resolve(null);
    const subject = { prediction_id: item.prediction_id, index: item.index };
    const sent = body ? before.then(() => send("POST", path, { ...subject, ...body, audited: measure })) : Promise.resolve(null);
    const entry = { id: item.id, at, shown, sent, before, subject };
    set((old) => [...old.filter((one) => one.id !== item.id), entry]);
    go(at + 1);
    sent.then((made) => made && onSaid(), (refused) => { set((old) => old.filter((one) => one !== entry)); go(entry.at); fail(refused); });
  };
  const say = (/** @type {string} */ name) => (many ? pick(chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name]) : put(label(name), { label: name }));
  const right = () => {
    if (!item) return;
    if (!many) return predicted.unknown ? put("none", { unknown: true }) : put(label(predicted.label), { correct: true });
    put(chosen.length ? chosen.map(label).join(", ") : "none", { labels: chosen });
  };
  const none = () => put("none", { unknown: true });
  const skip = () => { if (!item) return; if (!measure) leave([...leftOut().filter((one) => one !== item.id), item.id]); put("left out", null); };
  const undo = async () => {
    const last = said.at(-1);
    if (!last) return;
    set(said.slice(0, -1)); go(last.at); fail(null);
    leave(leftOut().filter((one) => one !== last.id));
    const [made, before] = await Promise.all([last.sent, last.before]).catch(() => [null, null]);
    if (!made) return;
    const back = before ? send("POST", path, { ...last.subject, ...again(before) }) : send("DELETE", `${path}/${made.id}`);
    await back.then(onSaid, fail);
  };
  const move = (/** @type {number} */ by) => go(Math.max(0, Math.min(items.length, at + by)));
  const keys = Object.fromEntries([...KEYS].map((key, n) => [key, () => ten[n] !== undefined && item && say(ten[n])]));
  useKeys({ ...keys, Enter: right, u: none, x: skip, z: undo, "/": () => item && open(true), ArrowRight: () => move(1), ArrowDown: () => move(1), ArrowLeft: () => move(-1), ArrowUp: () => move(-1) });

  const of = (/** @type {any} */ one) => said.find((other) => other.id === one.id)?.shown;
  const text = model.modality === "text";
  const asked = predicted && (many ? `It says ${predicted.labels?.length ? predicted.labels.map(label).join(", ") : "none of its labels"}. What is on it?` : predicted.unknown ? `It says: not one of its classes; nearest ${label(predicted.label)}, ${percent(predicted.probability, 0)}. What is it?` : `It says ${label(predicted.label)}, ${percent(predicted.probability, 0)} sure. What is it?`);
  return html`<div class="queue ${text ? "texts" : ""}">
    ${!text && html`<${Frames} items=${items} at=${at} modality=${model.modality} of=${of} go=${go} />`}
    ${item ? html`<div class=${text ? "panel reading" : "stage"}><${LoggedInput} key=${item.id} item=${item} modality=${model.modality} alt=${`Asked ${new Date(item.created_at * 1000).toLocaleString("en-GB")}`} whole edge=${560} /></div>
      <div><p class="muted" role="status" style=${{ marginBottom: "10px" }}>${asked}</p>
        <${LabelKeys} classes=${ten} shares=${shares} chosen=${chosen} several=${many} onSay=${say} />
        <div class="row" style=${{ marginTop: "12px" }}>${many && html`<${Button} kind="primary" onClick=${right}>Enter: that is all on it</${Button}>`}<${Button} onClick=${none}><kbd class="hide-phone">U</kbd> None of these</${Button}><${Button} onClick=${skip}><kbd class="hide-phone">X</kbd> Leave out</${Button}><${Button} onClick=${undo} why=${said.length ? "" : "Nothing is said yet"}><kbd class="hide-phone">Z</kbd> Undo</${Button}></div>
        <p class="dense muted row" style=${{ marginTop: "14px", gap: "14px" }}>${!many && html`<button type="button" class="link" onClick=${right}><kbd class="hide-phone">Enter</kbd> it is right</button>`}<button type="button" class="link" onClick=${() => move(1)}><kbd class="hide-phone">→</kbd> skip</button><button type="button" class="link" onClick=${() => open(true)}><kbd class="hide-phone">/</kbd> ${classes.length > KEYS.length ? `find one of ${count(classes.length)} classes` : "another class"}</button></p>
        ${item.because && html`<p class="hint" style=${{ marginTop: "10px" }}>${BECAUSE[item.because]}</p>`}${!item.content && html`<p class="hint" style=${{ marginTop: "10px" }}>Only the fingerprints of inputs are kept: let the log keep the inputs themselves, and the next ones can be labelled.</p>`}
        <${Progress} done=${done} of=${items.length} hook=${hook} /><${Failed} error=${error} /></div>`
      : html`<div class="end"><h2>${done ? `${several(done, "label")} given` : "All seen"}</h2><p class="muted" style=${{ margin: "6px 0 14px" }}>${measure ? "What you left out comes again at the next draw: a figure holds only if nobody leaves out the hard ones." : "The next ones are chosen by what the log has now."}</p><div class="row"><${Button} kind="primary" onClick=${onMore}>Draw more</${Button}><${Button} onClick=${undo} why=${said.length ? "" : "Nothing is said yet"}>Undo the last</${Button}></div><${Failed} error=${error} /></div>`}
    ${find && html`<${FindClass} classes=${classes} onSay=${say} onClose=${() => open(false)} />`}</div>`;
}

/** @param {{done: number, of: number, hook: any}} props */
const Progress = ({ done, of, hook }) => html`<div style=${{ marginTop: "20px" }}><div class="row dense"><b class="grow">${done} of ${of} labelled</b>${hook && html`<span class="muted inline">the hook <a href="#/hooks">“${hook.name}”</a> uses them</span>`}</div><div class="bar" style=${{ marginTop: "6px" }} role="progressbar" aria-label="Labelled" aria-valuemin="0" aria-valuemax=${of} aria-valuenow=${done}><i style=${{ width: `${(100 * done) / Math.max(1, of)}%` }}></i></div></div>`;

/** @param {{target: string, model: any, alias: any, measure: boolean, hook: any, onSaid: () => void}} props */
function Drawn({ target, model, alias, measure, hook, onSaid }) {
  const [turn, more] = useState(0);
  const { data, error, again } = useLoad(async () => {
    const base = `v1/models/${part(target)}`;
    const found = await (measure ? get(`${base}/audit`, { n: DRAWN }) : get(`${base}/suggestions`, { limit: DRAWN }));
    const left = measure ? [] : leftOut();
    return { ...found, turn, data: found.data.filter((/** @type {any} */ one) => !left.includes(one.id)) };
  }, [target, measure, turn]);
  if (!data) return html`<${Failed} error=${error} again=${again} />${!error && html`<${Loading} lines=${2} height=${160} />`}`;
  const things = thing(model.modality, 2);
  if (!data.data.length) {
    const why = measure ? (data.logged ? `All ${count(data.logged)} that the log has are labelled.` : `The log has no ${things} yet.`) : data.considered ? "What is left was left out in this browser." : `There is nothing without a label in the log.`;
    return html`<p class="empty">${why} ${alias && !data.logged && !data.considered ? html`Since ${ofVersion(model)} answers for ${alias.name}, nothing that could be labelled was asked. <button type="button" class="link" onClick=${again}>Look again</button>` : ""}</p>`;
  }
  return html`<p class="muted dense" style=${{ margin: "14px 0" }} title=${data.method}>${measure ? `${several(data.data.length, thing(model.modality), things)}, drawn at random of ${count(data.logged)}: these alone say how often it is right.` : `${several(data.data.length, thing(model.modality), things)} of ${count(data.considered)} that would teach it most: doubtful, unlike the rest, and unlike each other. They are not used to measure.`}</p>
    <${Queue} key=${`${target} ${measure} ${data.turn}`} target=${target} model=${model} items=${data.data} measure=${measure} hook=${hook} onSaid=${onSaid} onMore=${() => more(turn + 1)} />`;
}

/** @param {{target: string, known: any[], random: boolean, onChanged: () => void}} props */
function Target({ target, known, random, onChanged }) {
  const base = `v1/models/${part(target)}`;
  const found = useLoad(() => get(base), [target]);
  const given = useLoad(() => all(`${base}/feedback`, {}, 2000), [target]);
  const hooks = useLoad(async () => (await all("v1/hooks", {}, 200)).find((one) => one.alias === target && one.enabled && one.apply_feedback && one.triggers.some((/** @type {any} */ trigger) => trigger.type === "labels")), [target]);
  const live = useLoad(() => get(`${base}/accuracy`), [target]);
  const [measure, choose] = useAsked(random);
  const [adding, add] = useState(false);
  const model = found.data, alias = known.find((one) => one.name === target);
  const names = [...(alias ? [] : [target]), ...known.map((one) => one.name)];
  const heard = () => { given.again(); live.again(); };
  const fresh = unapplied(given.data ?? []).length;
  const volunteered = (given.data ?? []).filter((/** @type {any} */ one) => !one.audited);
  const sub = html`<label><span class="sr">Alias</span><select class="small" value=${target} onChange=${(/** @type {any} */ event) => { location.hash = `#/feedback/${part(event.target.value)}`; }}>${names.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
    <div class="seg" role="group" aria-label="What to label">${[[false, "To teach it"], [true, "To measure it"]].map(([value, saying]) => html`<button type="button" aria-pressed=${measure === value ? "true" : "false"} onClick=${() => choose(!!value)}>${saying}</button>`)}</div>`;
  return html`<${Head} title="Feedback" sub=${sub} acts=${fresh > 0 && model && html`<${Button} kind="primary" onClick=${() => add(true)}>Add ${several(fresh, "label")} to a dataset</${Button}>`} />
    <${Failed} error=${found.error ?? given.error} again=${() => { found.again(); given.again(); }} />${!model && !found.error && html`<${Loading} />`}
    ${alias && !alias.prediction_log ? html`<div class="empty" style=${{ paddingBottom: "16px" }}><p style=${{ marginBottom: "14px" }}>What ${target} is asked is not written down, so there is nothing here to label. Once it is, you see what it doubts, how often it is right, and whether what it is asked has changed.</p><${LogSwitch} alias=${alias} primary onChanged=${onChanged} /></div>` : ""}
    ${model && (!alias || alias.prediction_log) && html`<${Drawn} key=${String(measure)} target=${target} model=${model} alias=${alias} measure=${measure} hook=${hooks.data} onSaid=${heard} />`}
    ${model && html`<div class="folds" style=${{ marginTop: "28px" }}><${LiveAccuracy} live=${live.data} error=${live.error} /><${Volunteered} target=${target} given=${volunteered} all=${given.data?.length ?? 0} onChanged=${heard} />
    ${alias?.prediction_log && html`<${Fold} title="What is written down" summary=${logSaid(alias.prediction_log)}><${LogSwitch} alias=${alias} onChanged=${onChanged} /></${Fold}>`}
    <${Same} curl=${curl(`${base}/feedback`, `-H "Content-Type: application/json" -d '{"prediction_id": "pred_…", "label": "${model.card.labels?.[0] ?? "…"}"}'`)} python=${python(`for one in client.get("${base}/audit", params={"n": 20}).json()["data"]:\n    said = {"prediction_id": one["prediction_id"], "index": one["index"], "label": "…", "audited": True}\n    client.post("${base}/feedback", json=said)\nprint(client.get("${base}/accuracy").json()["accuracy"])`)} /></div>`}
    ${adding && html`<${ApplyFeedback} target=${target} model=${model} onClose=${() => add(false)} onDone=${heard} />`}`;
}

/** @param {{id: string, query: URLSearchParams}} props */
export default function Feedback({ id, query }) {
  const { data: known, error, again } = useLoad(() => all("v1/aliases"), []);
  const target = id || (known?.find((/** @type {any} */ one) => one.prediction_log) ?? known?.[0])?.name;
  if (!known) return html`<${Head} title="Feedback" /><${Failed} error=${error} again=${again} />${!error && html`<${Loading} />`}`;
  if (!target) return html`<${Head} title="Feedback" /><p class="empty">Feedback is about what a model is asked in use, under a name that stays. <a href="#/models">Give a model a name</a> on its page under “Use it”, then come back.</p>`;
  return html`<${Target} key=${target} target=${target} known=${known} random=${query.get("draw") === "random"} onChanged=${again} />`;
}
