// @ts-check
/** All models; two of them can be compared. */
import { html, useState } from "../vendor/preact.js";
import { get } from "../api.js";
import { ModelRows } from "../parts/model_rows.js";
import { Button, Failed, Head, Loading, Same, curl, python, useEvery, useLoad } from "../parts/ui.js";
import { called } from "../parts/words.js";

const SHOWN = 60;

export default function Models() {
  const [wanted, set] = useState("");
  const [chosen, choose] = useState(/** @type {string[]} */ ([]));
  const [most, more] = useState(SHOWN);
  const { data, error, again } = useLoad(() => get("v1/models"), []);
  useEvery(again, 30);
  const toggle = (/** @type {string} */ id) => choose(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen.slice(-1), id]);
  const shown = (data?.data ?? []).filter((/** @type {any} */ one) => `${called(one)} ${one.id} ${one.aliases.join(" ")} ${one.dataset?.name ?? ""}`.toLowerCase().includes(wanted.toLowerCase()));
  const compare = () => { location.hash = `#/compare?a=${encodeURIComponent(chosen[0])}&b=${encodeURIComponent(chosen[1])}`; };
  return html`<${Head} title="Models" acts=${data?.data.length > 1 && html`<${Button} why=${chosen.length === 2 ? "" : "Tick two models"} onClick=${compare}>Compare</${Button}>`} />
    <${Failed} error=${error} again=${again} />${!data && !error && html`<${Loading} lines=${4} />`}
    ${data && (data.data.length ? html`<section><label class="field" style=${{ marginBottom: "12px" }}><span class="sr">Find a model</span><input type="search" placeholder="Find a model" value=${wanted} onInput=${(/** @type {any} */ event) => set(event.target.value)} /></label>
      <${ModelRows} models=${shown.slice(0, most)} chosen=${chosen} onChoose=${toggle} />${shown.length > most && html`<p style=${{ marginTop: "12px" }}><${Button} onClick=${() => more(most + SHOWN)}>More</${Button}></p>`}</section>` : html`<p class="empty">No model yet. <a href="#/">Drop a folder of examples</a>, then train.</p>`)}
    <div class="folds"><${Same} curl=${curl("v1/models")} python=${python('for model in client.get("v1/models").json()["data"]:\n    print(model["id"], model["accuracy"])')} /></div>`;
}
