// @ts-check
/** Classes without an example: their names alone make a dataset and a model, which answers at once. */
import { html, useState } from "../vendor/preact.js";
import { ask, get } from "../api.js";
import { begin, suffixOf } from "./train.js";
import { Button, Dialog, Failed, Note, Same, curl, python, sentTo, useLoad } from "./ui.js";

/** @param {string} text one name a line */
const namesIn = (text) => [...new Set(text.split("\n").map((line) => line.trim()).filter(Boolean))];

/** @param {Record<string, string>} fields @returns {Promise<any>} */
async function declared(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return (await ask("POST", "v1/datasets", { body: form })).json();
}

/** @param {{onClose: () => void}} props */
export function NameClasses({ onClose }) {
  const backbones = useLoad(() => get("v1/backbones"), []);
  const [modality, read] = useState("text");
  const [text, set] = useState("");
  const [name, call] = useState("");
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const names = namesIn(text);
  const reader = backbones.data?.data.find((/** @type {any} */ one) => one.modality === modality && one.available && one.reads_names);
  const fields = { classes: JSON.stringify(names), modality, ...(name.trim() ? { name: name.trim() } : {}), ...(modality === "image" && reader ? { backbone: reader.id } : {}) };
  const go = async () => {
    work(true); fail(null);
    try {
      const dataset = await declared(fields);
      const suffix = suffixOf(name.trim());
      const job = await begin({ training_file: dataset.id, ...(modality === "image" ? { model: reader.id } : {}), ...(suffix ? { suffix } : {}) });
      sentTo(`#/jobs/${job.id}`);
    } catch (refused) { fail(refused); work(false); }
  };
  const missing = backbones.data && !reader;
  const why = missing ? "No network here reads names of such classes" : names.length < 2 ? "Name two classes or more" : "";
  return html`<${Dialog} title="Name classes" onClose=${onClose}><h2>Name classes</h2><p class="muted" style=${{ margin: "6px 0 16px" }}>Without an example, a network that has learned what words mean tells them apart by their names. A few examples added later make it better, and show how good it is.</p>
    <div class="seg" role="group" aria-label="It reads">${[["text", "texts"], ["image", "pictures"]].map(([value, said]) => html`<button type="button" aria-pressed=${modality === value} onClick=${() => read(value)}>${said}</button>`)}</div>
    ${missing && html`<${Note} kind="miss" icon="info">No network is here that reads names of ${modality === "text" ? "texts" : "pictures"}. <a href="#/system" onClick=${onClose}>System</a> says how to supply the weights of one${modality === "image" ? ": CLIP or SigLIP" : ""}.</${Note}>`}
    <label class="field" style=${{ marginTop: "12px" }}><span>Classes, one a line</span><textarea rows="5" value=${text} placeholder=${modality === "text" ? "complaint about the price\nquestion about a delivery\nthanks" : "rusty pipe\nclean pipe"} onInput=${(/** @type {any} */ event) => set(event.target.value)}></textarea><small>Say each as one would say it: “question about a delivery” rather than “Q_DEL”.</small></label>
    <label class="field" style=${{ marginTop: "12px" }}><span>Name of the dataset</span><input type="text" maxlength="200" value=${name} placeholder="first sorting" onInput=${(/** @type {any} */ event) => call(event.target.value)} /></label>
    <${Failed} error=${error ?? backbones.error} /><div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="primary" busy=${busy} why=${why} onClick=${go}>Make a model</${Button}></div>
    <${Same} curl=${curl("v1/datasets", Object.entries(fields).map(([field, value]) => `-F ${field}='${value.replaceAll("'", "'\\''")}'`).join(" "))} python=${python(`fields = ${JSON.stringify(fields)}\ndataset = client.post("v1/datasets", files={name: (None, said) for name, said in fields.items()}).json()\njob = client.post("v1/fine_tuning/jobs", json={"training_file": dataset["id"]}).json()`)} /></${Dialog}>`;
}
