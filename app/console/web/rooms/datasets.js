// @ts-check
/** All datasets. */
import { html, useState } from "../vendor/preact.js";
import { all, get } from "../api.js";
import { DropArea } from "../parts/drop.js";
import { DatasetRows } from "../parts/dataset_rows.js";
import { NameClasses } from "../parts/name_classes.js";
import { Button, Failed, Head, Loading, Same, curl, python, useAsked, useEvery, useLoad } from "../parts/ui.js";

/** @param {{query: URLSearchParams}} props */
export default function Datasets({ query }) {
  const [wanted, set] = useState("");
  const [naming, name] = useAsked(query.has("name"));
  const { data, error, again } = useLoad(async () => {
    const [datasets, models] = await Promise.all([all("v1/datasets"), get("v1/models")]);
    return { datasets, models: models.data };
  }, []);
  useEvery(again, data?.datasets.some((one) => one.status === "processing") ? 2 : 30);
  const shown = data?.datasets.filter((one) => one.name.toLowerCase().includes(wanted.toLowerCase())) ?? [];
  return html`<${Head} title="Datasets" acts=${html`<${Button} onClick=${() => name(true)}>Name classes…</${Button}>`} /><div style=${{ marginTop: "20px" }}><${DropArea} /></div><${Failed} error=${error} again=${again} />
    ${!data && !error && html`<${Loading} lines=${4} />`}
    ${data && html`<section><header><h2>All</h2><small>${data.datasets.length}</small></header>
      ${data.datasets.length > 8 && html`<label class="field" style=${{ marginBottom: "12px" }}><span class="sr">Find a dataset</span><input type="search" placeholder="Find a dataset" value=${wanted} onInput=${(/** @type {any} */ event) => set(event.target.value)} /></label>`}
      ${shown.length ? html`<${DatasetRows} datasets=${shown} models=${data.models} />` : html`<p class="empty">${wanted ? "None has that in its name." : "None yet: drop a folder above."}</p>`}</section>`}
    <div class="folds"><${Same} curl=${curl("v1/datasets", "-F file=@parts.zip")} python=${python('with open("parts.zip", "rb") as file:\n    dataset = client.post("v1/datasets", files={"file": file}).json()\nprint(dataset["id"], dataset["status"])')} /></div>
    ${naming && html`<${NameClasses} onClose=${() => name(false)} />`}`;
}
