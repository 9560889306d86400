// @ts-check
/** Try it: drop, paste, film or type; probabilities, what it looked at, the nearest examples. */
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { ask, get, part } from "../api.js";
import { chosen, takeDrops } from "../parts/drop.js";
import { Text } from "../parts/grid.js";
import { IsRight } from "../parts/live/is_right.js";
import { Webcam } from "../parts/webcam.js";
import { Button, Failed, Head, Icon, Loading, Note, Picture, Same, curl, python, toast, useLoad } from "../parts/ui.js";
import { called, chance, label, percent, range, several as severalOf, thing, told } from "../parts/words.js";

const KEPT = 12, SHOWN = 5, PAUSE = 300, HANDY = 8;

/** @param {{tried: any, model: any, dataset: any, target: string, card: any}} props */
function Answer({ tried, model, dataset, target, card }) {
  const answer = tried.answer;
  const own = new Map((card?.config?.classes ?? []).map((/** @type {string} */ name, /** @type {number} */ n) => [name, card.config.thresholds?.[n]]));
  const best = answer.predictions[0];
  const unknown = answer.unknown;
  const things = thing(model.modality, 2);
  const sure = best.probability >= 0.9 ? "Sure." : best.probability >= 0.6 ? "Fairly sure." : "Not sure.";
  const often = best.probability >= 0.95 ? "almost always" : `about ${Math.round(10 * best.probability)} times in 10`;
  const unchecked = model.accuracy?.value == null;
  const several = model.label_mode === "multi_label" ? answer.labels ?? [] : null;
  return html`<div><p class="muted">It says</p><p class="answer" role="status">${several ? several.map(label).join(", ") || "None of its labels" : unknown ? "Not one of its classes" : label(best.label)} ${!several && !unknown && html`<span class="muted" style=${{ fontSize: "20px", fontWeight: 400 }}>${chance(best.probability)}</span>`}</p>
    <p class="muted" style=${{ margin: "6px 0 16px" }}>${several ? "Each label is given from its own threshold on: the tick on its bar." : unknown ? `Nothing it learned from looks like this: ${answer.familiarity >= 0.01 ? `of a hundred known ${things}, about ${Math.round(100 * answer.familiarity)} would look stranger` : `it looks stranger than any of the ${things} it knows`}. If it had to choose: ${label(best.label)}, ${percent(best.probability, 0)}.` : unchecked ? "No example has checked how often it is right: how sure it says it is is its own opinion." : `${sure} ${things[0].toUpperCase() + things.slice(1)} it is this sure of should be right ${often}.`}</p>
    ${answer.predictions.slice(0, SHOWN).map((/** @type {any} */ one, /** @type {number} */ n) => { const is = several ? several.includes(one.label) : n === 0 && !unknown; const least = several ? own.get(one.label) : null;
      return html`<div class="prob"><span title=${one.label} style=${{ fontWeight: is ? 600 : 400 }}>${label(one.label)}</span><div class=${`bar ${is ? "" : "grey"} ${least != null ? "ticked" : ""}`}><i style=${{ width: `${100 * one.probability}%` }}></i>${least != null && html`<s style=${{ left: `${100 * least}%` }} title=${`given from ${percent(least, 0)} on`}></s>`}</div><span class="right">${chance(one.probability)}</span></div>`; })}
    ${answer.predictions.length > SHOWN && html`<p class="hint" style=${{ marginTop: "4px" }}>and ${severalOf(answer.predictions.length - SHOWN, "class that is", "classes that are")} less likely</p>`}
    <${IsRight} key=${tried.key} target=${target} model=${model} classes=${card?.labels ?? []} tried=${tried} />
    ${answer.neighbours?.length > 0 && dataset && html`<h2 style=${{ margin: "24px 0 8px", fontSize: "14px" }}>${unknown ? "Nearest it has, and far away" : "Nearest examples it learned from"}</h2>
      ${model.modality === "text" ? answer.neighbours.slice(0, SHOWN).map((/** @type {any} */ one) => html`<div class="tile text"><${Text} dataset=${dataset.id} example=${{ id: one.example_id }} /><small>${told(one, "label", "labels")} · ${one.similarity.toFixed(2)}</small></div>`)
        : html`<div class="tiles" style=${{ gridTemplateColumns: "repeat(5, minmax(0, 1fr))" }}>${answer.neighbours.slice(0, SHOWN).map((/** @type {any} */ one) => html`<div class="tile" style=${{ cursor: "default" }}><${Picture} dataset=${dataset.id} example=${one.example_id} version=${dataset.version} alt=${`${told(one, "label", "labels")}, likeness ${one.similarity.toFixed(2)}`} /><small>${told(one, "label", "labels")} <span class="faint">${one.similarity.toFixed(2)}</span></small></div>`)}</div>`}`}</div>`;
}

/** What it looked at: the picture in colour over itself in grey, its saliency the mask. @param {{tried: any}} props */
function Stage({ tried }) {
  const [plain, set] = useState(true);
  const [masked, mask] = useState("");
  useEffect(() => {
    mask("");
    if (!tried?.answer?.saliency) return;
    let here = true;
    blended(tried.url, tried.answer.saliency).then((url) => here && mask(url), () => {});
    return () => { here = false; };
  }, [tried?.answer?.saliency]);
  if (!tried) return html`<div class="stage"><p class="muted">Drop a picture here</p></div>`;
  const looked = !plain && masked;
  return html`<div class="stage"><img src=${looked ? masked : tried.url} alt=${looked ? `What it looked at in ${tried.name}` : tried.name} /></div>
    <div class="row" style=${{ marginTop: "10px" }}><div class="seg" role="group" aria-label="Show"><button type="button" aria-pressed=${!looked} onClick=${() => set(true)}>picture</button><button type="button" aria-pressed=${!!looked} disabled=${!masked} onClick=${() => set(false)}>what it looked at</button></div><span class="hint">${looked ? "the coloured parts decided" : ""}</span></div>`;
}

/** @param {string} url */
const image = (url) => new Promise((/** @type {(image: HTMLImageElement) => void} */ resolve, reject) => { const one = new Image(); one.onload = () => resolve(one); one.onerror = reject; one.src = url; });

/** @param {string} picture @param {string} saliency @returns {Promise<string>} */
async function blended(picture, saliency) {
  const [below, above] = await Promise.all([image(picture), image(saliency)]);
  const scale = Math.min(1, 800 / Math.max(below.naturalWidth, below.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(below.naturalWidth * scale);
  canvas.height = Math.round(below.naturalHeight * scale);
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  const draw = (/** @type {HTMLImageElement} */ one) => { pen.clearRect(0, 0, canvas.width, canvas.height); pen.drawImage(one, 0, 0, canvas.width, canvas.height); return pen.getImageData(0, 0, canvas.width, canvas.height); };
  const mask = draw(above).data, shown = draw(below);
  for (let at = 0; at < mask.length; at += 4) {
    const share = mask[at + 3] / 255;
    const grey = (0.3 * shown.data[at] + 0.59 * shown.data[at + 1] + 0.11 * shown.data[at + 2]) * 0.55 + 20;
    for (let n = 0; n < 3; n++) shown.data[at + n] = grey + (shown.data[at + n] - grey) * Math.min(1, 1.4 * share);
  }
  pen.putImageData(shown, 0, 0);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(URL.createObjectURL(blob)) : reject(new Error("no picture")))));
}

/** For whoever has nothing at hand: examples that were held out; where there are none, some that it learned from, and that is said. @param {{dataset: any, text: boolean, onPick: (blob: Blob, name: string) => void}} props */
function AtHand({ dataset, text, onPick }) {
  const { data } = useLoad(async () => {
    for (const split of ["test", "val", "train"]) {
      const page = await get(`v1/datasets/${dataset.id}/examples`, { version: dataset.version, split, order: "classes", excluded: false, limit: HANDY });
      if (page.data.length) return page.data.map((/** @type {any} */ one) => ({ ...one, split }));
    }
    return [];
  }, [dataset.id, dataset.version]);
  if (!data?.length) return null;
  const pick = (/** @type {any} */ one) => ask("GET", `v1/datasets/${dataset.id}/examples/${one.id}/content`, { query: { version: dataset.version } }).then(async (answer) => onPick(await answer.blob(), one.path), (refused) => toast(refused.message));
  return html`<div style=${{ marginTop: "20px" }}><h2 style=${{ marginBottom: "8px", fontSize: "14px" }}>Nothing at hand? ${data[0].split === "train" ? html`Some of its own <span class="faint">it learned from these: how well it knows them says little</span>` : "It never saw these"}</h2><div class=${text ? "" : "tiles"}>${data.map((/** @type {any} */ one) => html`<button type="button" class=${`tile ${text ? "text" : ""}`} key=${one.id} title=${`labelled ${one.label}`} onClick=${() => pick(one)}>${text ? html`<${Text} dataset=${dataset.id} example=${one} />` : html`<${Picture} dataset=${dataset.id} example=${one.id} version=${dataset.version} alt=${`Try ${one.path}`} />`}<small>${label(one.label)}</small></button>`)}</div></div>`;
}

/** @param {{id: string}} props */
export default function Try({ id }) {
  const models = useLoad(() => get("v1/models"), []);
  const [tried, add] = useState(/** @type {any[]} */ ([]));
  const [at, choose] = useState(/** @type {any} */ (null));
  const [said, type] = useState("");
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const [film, record] = useState(false);
  const files = useRef(/** @type {HTMLInputElement | null} */ (null));
  const turn = useRef(0);
  const model = (models.data?.data ?? []).find((/** @type {any} */ one) => (id ? one.id === id || one.aliases.includes(id) : true));
  const dataset = model?.dataset;
  const detail = useLoad(async () => (model ? get(`v1/models/${part(model.id)}`) : null), [model?.id]);
  const text = model?.modality === "text";

  const predict = async (/** @type {any} */ one) => {
    const mine = ++turn.current;
    work(true); fail(null);
    try {
      const query = { explain: text ? "neighbours" : "neighbours,saliency" };
      const headers = { "cache-control": "no-store" }; // what is tried here is in no prediction log
      const options = text ? { json: { inputs: [{ text: one.text }] } } : { body: formOf(one) };
      const path = `v1/models/${part(id || model.id)}/predictions`;
      const answer = await (await ask("POST", path, { query, headers, ...options }).catch((refused) => {
        if (refused.param !== "explain") throw refused; // a model that cannot explain itself still answers
        return ask("POST", path, { headers, ...options, body: text ? undefined : formOf(one) });
      })).json();
      if (mine !== turn.current) return;
      const row = answer.data[0];
      if (row.error) throw Object.assign(new Error(row.error.message), { code: row.error.code });
      const done = { ...one, answer: row };
      choose(done);
      if (!text) add((old) => { for (const gone of old.slice(KEPT - 1)) URL.revokeObjectURL(gone.url); return [done, ...old.slice(0, KEPT - 1)]; });
    } catch (refused) { if (mine === turn.current) { fail(refused); if (!text) choose(one); } }
    if (mine === turn.current) work(false);
  };
  const formOf = (/** @type {any} */ one) => { const form = new FormData(); form.append("files", one.blob, one.name); return form; };
  const take = (/** @type {Blob} */ blob, /** @type {string} */ name) => model && predict({ blob, name, url: URL.createObjectURL(blob), key: Math.random() });
  const many = async (/** @type {{path: string, file: Blob}[]} */ some) => { for (const one of some.slice(0, KEPT).reverse()) await take(one.file, one.path); };

  useEffect(() => {
    takeDrops((dropped) => { text ? dropped[0]?.file.text().then(type) : many(dropped); });
    const paste = (/** @type {ClipboardEvent} */ event) => {
      const found = [...(event.clipboardData?.items ?? [])].find((one) => one.type.startsWith("image/"))?.getAsFile();
      if (found) { event.preventDefault(); take(found, "pasted picture"); }
    };
    document.addEventListener("paste", paste);
    return () => { takeDrops(null); document.removeEventListener("paste", paste); };
  }, [model?.id]);
  useEffect(() => {
    if (!text) return;
    if (!said.trim()) { choose(null); return; }
    const timer = setTimeout(() => predict({ text: said, key: said }), PAUSE);
    return () => clearTimeout(timer);
  }, [said, model?.id]);
  const fromClipboard = async () => {
    try {
      for (const item of await navigator.clipboard.read()) {
        const kind = item.types.find((one) => one.startsWith("image/"));
        if (kind) return take(await item.getType(kind), "pasted picture");
      }
      toast("There is no picture in the clipboard.");
    } catch { toast("Press Ctrl V (⌘V) to paste a picture."); }
  };
  if (!models.data) return html`<${Head} title="Try it" /><${Failed} error=${models.error} again=${models.again} />${!models.error && html`<${Loading} />`}`;
  if (!model) return html`<${Head} title="Try it" /><p class="empty">${id ? html`There is no model ${id} here.` : html`No model to try yet. <a href="#/">Drop a folder of examples</a>, then train.`}</p>`;
  const names = models.data.data.flatMap((/** @type {any} */ one) => [...one.aliases, one.id].slice(0, Math.max(1, one.aliases.length)).map((name) => ({ name, one })));
  if (!names.some((/** @type {any} */ other) => other.name === (id || names[0].name))) names.unshift({ name: id, one: model });
  return html`<${Head} title="Try it" crumbs=${[["Models", "#/models"], [called(model), `#/models/${part(model.id)}`]]} sub=${html`<label><span class="sr">Model</span><select style=${{ width: "auto", minHeight: "28px", padding: "2px 6px" }} value=${id || names[0].name} onChange=${(/** @type {any} */ event) => { location.hash = `#/try/${part(event.target.value)}`; }}>${names.map(({ name, one }) => html`<option value=${name}>${name === one.id ? `${called(one)} · ${one.id.slice(-6)}` : name}</option>`)}</select></label>${model.accuracy?.value != null && html`<span>${percent(model.accuracy.value)} right (${range(model.accuracy)}) on what it never saw</span>`}`} />
    <div class="try"><div>${text ? html`<label class="field"><span>Type or paste a text</span><textarea rows="6" value=${said} onInput=${(/** @type {any} */ event) => type(event.target.value)} placeholder="It answers while you type."></textarea></label>`
      : film ? html`<${Webcam} onShot=${(/** @type {Blob} */ blob) => take(blob, "webcam")} onClose=${() => record(false)} />`
      : html`<${Stage} tried=${at} />`}
      ${!text && html`<div class="inputs"><${Button} onClick=${() => files.current?.click()}><${Icon} name="up" size=${15} /> Drop or choose</${Button}><${Button} onClick=${fromClipboard}><${Icon} name="paste" size=${15} /> Paste</${Button}><${Button} why=${navigator.mediaDevices ? "" : "Browsers give pages a camera over https or on localhost only"} onClick=${() => record(!film)}><${Icon} name="camera" size=${15} /> Webcam</${Button}></div>
      <input ref=${files} hidden type="file" accept="image/*,.tif,.tiff,.dcm,.heic,.jp2" multiple onChange=${(/** @type {any} */ event) => { many(chosen(event.target.files)); event.target.value = ""; }} />`}${dataset && html`<${AtHand} dataset=${dataset} text=${text} onPick=${(/** @type {Blob} */ blob, /** @type {string} */ name) => (text ? blob.text().then(type) : take(blob, name))} />`}</div>
    <div aria-busy=${busy ? "true" : "false"}><${Failed} error=${error} />${at?.answer ? html`<${Answer} tried=${at} model=${model} dataset=${dataset} target=${id || model.id} card=${detail.data?.card} />` : !error && html`<p class="muted" role="status">${busy ? "Asking. A model's first answer takes some seconds: it is being loaded." : text ? "The answer appears here." : html`Drop a picture, paste one, or hold it into the camera. It is kept nowhere.`}</p>`}</div></div>
    ${tried.length > 0 && html`<section><header><h2>Tried in this tab</h2><small>${tried.length}, kept nowhere</small></header><div class="tiles">${tried.map((one) => html`<button type="button" class="tile" key=${one.key} aria-pressed=${at?.key === one.key ? "true" : "false"} onClick=${() => choose(one)}><span class="pic" style=${at?.key === one.key ? { outline: "2px solid var(--accent)" } : {}}><img src=${one.url} alt=${one.name} /></span><small>${one.answer.labels ? one.answer.labels.map(label).join(", ") || "none" : one.answer.unknown ? "unknown" : label(one.answer.label)}</small></button>`)}</div></section>`}
    <div class="folds"><${Same} curl=${text ? curl(`v1/models/${id || model.id}/predictions`, `-H "Content-Type: application/json" -d '{"inputs": [{"text": "…"}]}'`) : curl(`v1/models/${id || model.id}/predictions`, '-H "Content-Type: image/jpeg" --data-binary @picture.jpg')} python=${python(text ? `answer = client.post("v1/models/${id || model.id}/predictions", json={"inputs": [{"text": "…"}]}).json()\nprint(answer["data"])` : `with open("picture.jpg", "rb") as file:\n    answer = client.post("v1/models/${id || model.id}/predictions", files={"files": file}).json()\nprint(answer["data"])`)} /></div>`;
}
