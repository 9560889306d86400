// @ts-check
/** The held-out examples behind a cell of the matrix, or behind one kind of mistake of a label. */
import { html, useState } from "../vendor/preact.js";
import { get } from "../api.js";
import { ExampleDialog } from "./example.js";
import { Text } from "./grid.js";
import { Button, Failed, Picture, toast } from "./ui.js";
import { label, percent, several, thing } from "./words.js";

/** What it was called. @param {any} row */
const called = (row) => `${percent(row.probability, 0)} ${label(row.label)}`;

/** @param {{rows: any[], dataset: any, modality: string, title: string, onStep?: (by: number) => void, onChanged: () => void, caption?: (row: any) => string, more?: (row: any) => any}} props */
export function BehindCell({ rows, dataset, modality, title, onStep, onChanged, caption = called, more: further }) {
  const [most, more] = useState(10);
  const [open, show] = useState(/** @type {any} */ (null));
  const [error, fail] = useState(/** @type {any} */ (null));
  const look = async (/** @type {any} */ row) => {
    fail(null);
    try {
      const now = await get(`v1/datasets/${dataset.id}`);
      const example = await get(`v1/datasets/${dataset.id}/examples/${row.example_id}`);
      show({ row, example, dataset: { ...now, latest: now.version } });
    } catch (refused) { fail(/** @type {any} */ (refused).status === 404 ? { message: `This ${thing(modality)} is not in the dataset's latest version any more.`, code: "" } : refused); }
  };
  return html`<div class="panel"><div class="row" style=${{ marginBottom: "12px" }}><h3 class="grow" style=${{ overflowWrap: "anywhere" }}>${title}</h3>${onStep && html`<${Button} kind="small" aria-label="The pair before" onClick=${() => onStep(-1)}>←</${Button}><${Button} kind="small" aria-label="The next pair" onClick=${() => onStep(1)}>→</${Button}>`}</div>
    ${!rows.length && html`<p class="muted dense">None.</p>`}
    <div class=${modality === "text" ? "" : "tiles"}>${rows.slice(0, most).map((row) => html`<button type="button" class=${`tile ${modality === "text" ? "text" : ""}`} key=${row.example_id} onClick=${() => look(row)}>${modality === "text" ? html`<${Text} dataset=${dataset.id} example=${{ id: row.example_id }} />` : html`<${Picture} dataset=${dataset.id} example=${row.example_id} version=${dataset.version} alt=${`${label(row.expected)}, ${caption(row)}`} />`}<small>${caption(row)}</small></button>`)}</div>
    <${Failed} error=${error} />
    ${rows.length > most && html`<p style=${{ marginTop: "12px" }}><${Button} kind="small" onClick=${() => more(rows.length)}>Open all ${rows.length}</${Button}></p>`}
    ${open && html`<${ExampleDialog} dataset=${open.dataset} example=${open.example} said=${html`${further?.(open.row)}<dt>It says</dt><dd>${open.row.predictions.map((/** @type {any} */ one) => `${label(one.label)} ${percent(one.probability, 0)}`).join(", ")}</dd>`} onClose=${() => show(null)} onChanged=${() => { onChanged(); toast("Train again to see what it changes."); }} />`}</div>`;
}
