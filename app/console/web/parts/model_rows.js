// @ts-check
/** Models as rows. */
import { html } from "../vendor/preact.js";
import { part } from "../api.js";
import { axis } from "./dataset_rows.js";
import { ModelFigure } from "./ui.js";
import { ago, called } from "./words.js";

/** @param {{models: any[], chosen?: string[], onChoose?: (id: string) => void}} props */
export function ModelRows({ models, chosen, onChoose }) {
  const from = axis(models.map((model) => model.accuracy));
  return html`<div class="list">${models.map((model) => html`<div class="item models" key=${model.id}>
    <div style=${{ minWidth: 0 }} class="row">${onChoose && html`<input type="checkbox" aria-label=${`Compare ${called(model)}`} checked=${chosen?.includes(model.id)} onChange=${() => onChoose(model.id)} style=${{ width: "18px", height: "18px" }} />`}<div style=${{ minWidth: 0, flex: 1 }}><a class="name" style=${{ display: "block", color: "inherit" }} href=${`#/models/${part(model.id)}`}>${called(model)}</a><small>${model.dataset ? `of ${model.dataset.name ?? "a deleted dataset"}, version ${model.dataset.version ?? "?"} · ` : ""}${model.method} on ${model.backbone}</small></div></div>
    <div><${ModelFigure} model=${model} from=${from} /></div>
    <div class="row">${model.aliases.slice(0, 4).map((/** @type {string} */ name) => html`<span class="chip accent" title=${name}>${name}</span>`)}</div><small class="right">${ago(model.created)}</small></div>`)}</div>`;
}
