// @ts-check
/** How a model is used: a stable name, code that asks it, bundles that run without the service. */
import { html, useState } from "../vendor/preact.js";
import { download, get, part, send } from "../api.js";
import { Button, Code, Failed, curl, python, toast, useLoad } from "./ui.js";
import { ALIAS, ALIAS_SAID, size } from "./words.js";

/** @type {Record<string, string>} */
const SAID = { onnx: "ONNX: the whole network with its labels and a script that runs it", openvino: "OpenVINO: the same for Intel's processors", torch: "PyTorch: the same for torch", head: "The head's weights alone (safetensors)", "model.json": "The card" };

/** @param {{model: any, onChanged: () => void}} props */
export function Name({ model, onChanged }) {
  const [name, set] = useState("");
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const go = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!name.trim() || busy) return;
    work(true); fail(null);
    send("PUT", `v1/aliases/${part(name.trim())}`, { model: model.id }).then(() => { toast(`${name.trim()} answers with this model now.`); set(""); work(false); onChanged(); }, (refused) => { fail(refused); work(false); });
  };
  return html`<form onSubmit=${go} class="row" style=${{ flexWrap: "nowrap", maxWidth: "480px" }}><input type="text" aria-label="A name for it" placeholder="parts@production" value=${name} pattern=${ALIAS} title=${ALIAS_SAID} maxlength="128" onInput=${(/** @type {any} */ event) => set(event.target.value)} /><button class=${`btn ${busy ? "busy" : ""}`} type="submit" disabled=${!name.trim() || busy}>Let it answer here</button></form><${Failed} error=${error} />`;
}

/** @param {{model: any, onChanged: () => void}} props */
export function UseIt({ model, onChanged }) {
  const { data, error } = useLoad(() => get(`v1/models/${part(model.id)}/artifacts`), [model.id]);
  const [busy, work] = useState("");
  const [refused, fail] = useState(/** @type {any} */ (null));
  const name = model.aliases[0] ?? model.id;
  const text = model.modality === "text";
  const take = (/** @type {string} */ id) => {
    work(id); fail(null);
    download(`v1/models/${part(model.id)}/artifacts/${id}`, {}, { prefer: "wait=110" }).then((made) => { work(""); if (!made) toast("It is still being made: ask again in a moment."); }, (answer) => { fail(answer); work(""); });
  };
  const printed = model.label_mode === "multi_label" ? `print(answer["data"][0]["labels"])` : `print(answer["data"][0]["label"], answer["data"][0]["probability"])`;
  const asked = text
    ? [curl(`v1/models/${name}/predictions`, `-H "Content-Type: application/json" -d '{"inputs": [{"text": "…"}]}'`), python(`answer = client.post("v1/models/${name}/predictions", json={"inputs": [{"text": "…"}]}).json()\n${printed}`)]
    : [curl(`v1/models/${name}/predictions`, '-H "Content-Type: image/jpeg" --data-binary @picture.jpg'), python(`with open("picture.jpg", "rb") as file:\n    answer = client.post("v1/models/${name}/predictions", files={"files": file}).json()\n${printed}`)];
  return html`<section><header><h2>A name that stays</h2><small>an alias answers with whatever model it points to; programs ask the alias</small></header>
      ${model.aliases.length > 0 && html`<p class="row" style=${{ marginBottom: "12px" }}>${model.aliases.map((/** @type {string} */ one) => html`<span class="chip accent">${one}</span>`)}</p>`}<${Name} model=${model} onChanged=${onChanged} /></section>
    <section><header><h2>Ask it</h2></header><div class="half"><div><h3>curl</h3><${Code} text=${asked[0]} /></div><div><h3>Python</h3><${Code} text=${asked[1]} /></div></div></section>
    <section><header><h2>Take it away</h2><small>bundles are checked against the service before they are handed out; the check lies inside</small></header><${Failed} error=${error ?? refused} />
      <div class="panel flush"><table><tbody>${data?.data.map((/** @type {any} */ one) => html`<tr><td><b style=${{ fontWeight: 500 }}>${one.id}</b><br /><span class="muted dense">${SAID[one.id] ?? one.filename}</span></td><td class="right"><${Button} busy=${busy === one.id} onClick=${() => take(one.id)}>Download</${Button}></td></tr>`)}</tbody></table></div>
      <p class="hint" style=${{ marginTop: "8px" }}>The head has ${size(model.bytes)}; sha256 <code>${model.sha256.slice(0, 16)}…</code></p></section>`;
}
