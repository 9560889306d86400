// @ts-check
/** Aliases: which model each stable name answers with, moving one, and what there is to know of it. */
import { html, useState } from "../vendor/preact.js";
import { all, get, part, send } from "../api.js";
import { Button, Dialog, Failed, Field, Head, Loading, ModelFigure, Same, Sure, curl, python, toast, useEvery, useLoad } from "../parts/ui.js";
import { ALIAS, ALIAS_SAID, ago, choice, ofVersion } from "../parts/words.js";

/** @param {{name: string, current: any, models: any[], onClose: () => void, onDone: () => void}} props */
function Move({ name, current, models, onClose, onDone }) {
  const [alias, call] = useState(name);
  const [model, set] = useState(current?.id ?? models[0]?.id ?? "");
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const go = () => {
    work(true); fail(null);
    const path = `v1/aliases/${part(alias.trim())}`;
    send("PUT", path, { model }).then(() => {
      const undo = current ? { label: "Undo", act: () => { send("PUT", path, { model: current.id }).then(onDone, (refused) => toast(refused.message)); } } : undefined;
      toast(`${alias.trim()} answers with another model now.`, undo);
      onDone(); onClose();
    }, (refused) => { fail(refused); work(false); });
  };
  const why = !alias.trim() ? "Give it a name" : model === current?.id ? "It answers with this one already" : "";
  return html`<${Dialog} title=${name ? `Move ${name}` : "A new alias"} onClose=${onClose}><h2>${name ? `Move ${name}` : "A new alias"}</h2><p class="muted" style=${{ margin: "6px 0 16px" }}>From the next request on, without an error in between.</p>
    ${!name && html`<${Field} title="Name" of=${/^name$/} error=${error}><input type="text" maxlength="128" placeholder="parts@production" value=${alias} pattern=${ALIAS} title=${ALIAS_SAID} onInput=${(/** @type {any} */ event) => call(event.target.value)} /></${Field}>`}
    <${Field} title="Model" of=${/^model$/} error=${error}><select value=${model} onChange=${(/** @type {any} */ event) => set(event.target.value)}>${models.map((one) => html`<option value=${one.id}>${choice(one)}</option>`)}</select></${Field}>
    <${Failed} error=${error} fields=${[/^name$/, /^model$/]} /><div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="primary" busy=${busy} why=${why} onClick=${go}>${name ? "Move it" : "Make it"}</${Button}></div></${Dialog}>`;
}

export default function Aliases() {
  const { data, error, again } = useLoad(async () => {
    const [aliases, models] = await Promise.all([all("v1/aliases"), get("v1/models")]);
    return { aliases, models: models.data };
  }, []);
  const [moving, move] = useState(/** @type {any} */ (null));
  const [gone, drop] = useState(/** @type {any} */ (null));
  useEvery(again, 30);
  const of = (/** @type {string} */ id) => data?.models.find((/** @type {any} */ one) => one.id === id);
  return html`<${Head} title="Aliases" sub=${html`<span>stable names that programs ask; each points to a model</span>`} acts=${data?.models.length > 0 && html`<${Button} kind="primary" onClick=${() => move({ name: "" })}>New alias</${Button}>`} /><${Failed} error=${error} again=${again} />${!data && !error && html`<${Loading} />`}
    ${data && (data.aliases.length ? html`<div class="list" style=${{ marginTop: "24px" }}>${data.aliases.map((alias) => { const model = of(alias.model);
      return html`<div class="item models" key=${alias.name}><div style=${{ minWidth: 0 }}><a class="name" style=${{ display: "block", color: "inherit" }} href=${`#/aliases/${part(alias.name)}`}>${alias.name}</a><small>${model ? html`answers with <a href=${`#/models/${part(model.id)}`}>${ofVersion(model)}</a>` : alias.model}</small></div>
        <div>${model && html`<${ModelFigure} model=${model} from=${0} />`}</div>
        <div class="row"><a class="btn small" href=${`#/try/${part(alias.name)}`}>Try it</a><${Button} kind="small" onClick=${() => move({ name: alias.name, current: model })}>Move…</${Button}><${Button} kind="small bare" onClick=${() => drop(alias)}>Delete…</${Button}></div><small class="right">since ${ago(alias.updated_at)}</small></div>`; })}</div>` : html`<p class="empty">None yet. An alias, such as <code>parts@production</code>, keeps its name while the model behind it changes. ${data.models.length ? "" : html`First <a href="#/">train a model</a>.`}</p>`)}
    <div class="folds"><${Same} curl=${curl("v1/aliases/parts@production", `-X PUT -H "Content-Type: application/json" -d '{"model": "${data?.models[0]?.id ?? "ft:…"}"}'`)} python=${python(`client.put("v1/aliases/parts@production", json={"model": "${data?.models[0]?.id ?? "ft:…"}"})`)} /></div>
    ${moving && html`<${Move} name=${moving.name} current=${moving.current} models=${data?.models ?? []} onClose=${() => move(null)} onDone=${again} />`}
    ${gone && html`<${Sure} title="Delete the alias" text=${`Programs that ask ${gone.name} get “not found” then. Its model stays.`} verb=${`Delete ${gone.name}`} onClose=${() => drop(null)} act=${() => send("DELETE", `v1/aliases/${part(gone.name)}`).then(again)} />`}`;
}
