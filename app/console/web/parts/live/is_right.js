// @ts-check
/** “Is that right?”: what a person says of an answer goes to the model's feedback, with the input. */
import { html, useEffect, useState } from "../../vendor/preact.js";
import { part, send } from "../../api.js";
import { ApplyFeedback } from "./apply_feedback.js";
import { FindClass } from "./label_keys.js";
import { Button, Failed, Icon, useKeys } from "../ui.js";
import { label, thing } from "../words.js";

const MOST = 9;

/** @param {Blob} blob @returns {Promise<string>} */
const dataUrl = (blob) => new Promise((resolve, reject) => { const reader = new FileReader(); reader.onload = () => resolve(String(reader.result)); reader.onerror = () => reject(reader.error); reader.readAsDataURL(blob); });

/** @param {{target: string, model: any, classes: string[], tried: any}} props */
export function IsRight({ target, model, classes, tried }) {
  const answer = tried.answer;
  const many = model.label_mode === "multi_label";
  const [wrong, open] = useState(false);
  const [picked, pick] = useState(/** @type {string[]} */ (answer.labels ?? []));
  const [busy, work] = useState(false);
  const [sent, keep] = useState(/** @type {any} */ (tried.feedback ?? null));
  const [find, look] = useState(false);
  const [adding, add] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  useEffect(() => { tried.feedback = sent; }, [sent]);
  const path = `v1/models/${part(target)}/feedback`;
  const put = async (/** @type {string} */ shown, /** @type {any} */ said) => {
    if (busy) return;
    work(true); fail(null);
    try {
      const input = tried.blob ? { image: await dataUrl(tried.blob) } : { text: tried.text };
      const made = await send("POST", path, { input, ...said });
      keep({ ...made, shown }); open(false);
    } catch (refused) { fail(refused); }
    work(false);
  };
  const undo = () => { work(true); send("DELETE", `${path}/${sent.id}`).then(() => { keep(null); work(false); }, (refused) => { fail(refused); work(false); }); };
  const right = () => put("right", !many && answer.unknown ? { unknown: true } : { correct: true });
  const say = (/** @type {string} */ name) => (many ? pick(picked.includes(name) ? picked.filter((one) => one !== name) : [...picked, name]) : put(label(name), { label: name }));
  const likely = [...answer.predictions.map((/** @type {any} */ one) => one.label), ...classes];
  const offered = [...new Set([...(many ? picked : []), ...likely])].filter((name) => many || answer.unknown || name !== answer.label).slice(0, MOST);
  const keys = wrong ? { ...Object.fromEntries(offered.map((name, n) => [String(n + 1), () => say(name)])), "/": () => look(true), u: () => put("none of its classes", { unknown: true }), ...(many ? { Enter: () => put(picked.map(label).join(", ") || "none of its labels", { labels: picked }) } : {}) } : {};
  useKeys(sent ? {} : { y: right, n: () => open(true), ...keys });
  const it = `the ${thing(model.modality)}`;
  if (sent) return html`<div class="judge" role="status"><div class="row"><${Icon} name="check" size=${16} /><span class="grow inline">Kept: ${sent.shown === "right" ? "it is right" : html`it is <b>${sent.shown}</b>`}. It is in the feedback of <a href=${`#/feedback/${part(target)}`}>${model.aliases?.includes(target) ? target : "this model"}</a>, with ${it}.</span><${Button} kind="small" busy=${busy} onClick=${undo}>Undo</${Button}>${(sent.label != null || sent.labels) && html`<${Button} kind="small" onClick=${() => add(true)}>Add to the dataset…</${Button}>`}</div>
    ${sent.notes?.length > 0 && html`<p class="hint">${sent.notes.join("; ")}</p>`}<${Failed} error=${error} />${adding && html`<${ApplyFeedback} target=${target} model=${model} onClose=${() => add(false)} onDone=${() => {}} />`}</div>`;
  return html`<div class="judge"><div class="row"><b class="dense" style=${{ fontWeight: 500 }}>Is that right?</b><${Button} kind="small" busy=${busy && !wrong} onClick=${right}><${Icon} name="check" size=${14} /> Right</${Button}><${Button} kind="small" aria-expanded=${wrong ? "true" : "false"} onClick=${() => open(!wrong)}>That's wrong</${Button}><span class="grow"></span><span class="hide-phone"><kbd>Y</kbd> <kbd>N</kbd></span></div>
    ${wrong && html`<div class="what-is"><p class="muted dense">${many ? "What is on it?" : "What is it?"} It goes to the feedback of ${model.aliases?.includes(target) ? target : "this model"}, with ${it}.</p>
      <div class="row" style=${{ marginTop: "8px", gap: "6px" }} role="group" aria-label="What it is">${offered.map((name, n) => html`<${Button} kind="small" key=${name} title=${name} aria-pressed=${many ? (picked.includes(name) ? "true" : "false") : null} onClick=${() => say(name)}><kbd class="hide-phone">${n + 1}</kbd> ${label(name)}</${Button}>`)}<${Button} kind="small" onClick=${() => look(true)}><kbd class="hide-phone">/</kbd> other</${Button}><${Button} kind="small" onClick=${() => put("none of its classes", { unknown: true })}><kbd class="hide-phone">U</kbd> none of these</${Button}>${!many && html`<${Button} kind="small bare" onClick=${() => put("something else", { correct: false })}>only that it is wrong</${Button}>`}${many && html`<${Button} kind="small primary" busy=${busy} onClick=${keys.Enter}>That is all on it</${Button}>`}</div></div>`}
    <${Failed} error=${error} />${find && html`<${FindClass} classes=${classes} onSay=${say} onClose=${() => look(false)} />`}</div>`;
}
