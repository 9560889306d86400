// @ts-check
/** What is dropped or chosen, on its way to a report. */
import { html, useRef, useState } from "../vendor/preact.js";
import { Button, Icon, leaving, toast } from "./ui.js";

/** @typedef {{path: string, file: File}} Dropped */
const WHOLE = /\.(zip|tar|tgz|gz|bz2|xz|zst|7z|csv|tsv|json|jsonl|ndjson|parquet|xlsx|xls|txt)$/i;
const HIDDEN = /(^|\/)(\.|__MACOSX\/|Thumbs\.db$|desktop\.ini$)/i;

/** What waits for its report, and the dataset that it is to be added to. @type {{files: Dropped[], to: string | null} | null} */
let pending = null;
/** @type {((files: Dropped[]) => void) | null} */
let taker = null;

export const waiting = () => pending;
export const forget = () => { pending = null; };
/** While a page is shown, what is dropped goes to it. @param {((files: Dropped[]) => void) | null} take */
export const takeDrops = (take) => { taker = take; };

/** Start a report. @param {Dropped[]} files @param {string | null} [to] */
export function report(files, to = null) {
  const seen = files.filter(({ path }) => !HIDDEN.test(path));
  if (!seen.length) return toast("There is no file in it.");
  leaving(() => {
    pending = { files: seen, to };
    if (location.hash.startsWith("#/report")) window.dispatchEvent(new CustomEvent("report"));
    else location.hash = "#/report";
  });
}

/** Whether it goes up as it is. @param {Dropped[]} files */
export const isWhole = (files) => files.length === 1 && WHOLE.test(files[0].path);

/** @param {DragEvent} event */
export async function dropped(event) {
  const files = await collected(event);
  if (files.length) (taker ?? report)(files);
}

/** @param {DragEvent} event @returns {Promise<Dropped[]>} */
async function collected(event) {
  const items = [...(event.dataTransfer?.items ?? [])];
  const entries = items.map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry != null);
  const files = [...(event.dataTransfer?.files ?? [])];
  if (!entries.length) return files.map((file) => ({ path: file.name, file }));
  /** @type {Dropped[]} */
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

/** @param {any} entry @param {Dropped[]} found */
async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ path: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const one of some) await walk(one, found);
  }
}

/** @param {FileList | null} list @returns {Dropped[]} */
export const chosen = (list) => [...(list ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

/** @param {{big?: boolean, to?: string | null}} props */
export function DropArea({ big = false, to = null }) {
  const [over, set] = useState(false);
  const folder = useRef(/** @type {HTMLInputElement | null} */ (null));
  const files = useRef(/** @type {HTMLInputElement | null} */ (null));
  const take = (/** @type {any} */ event) => { const some = chosen(event.target.files); event.target.value = ""; if (some.length) report(some, to); };
  const drop = async (/** @type {DragEvent} */ event) => { event.preventDefault(); event.stopPropagation(); set(false); const some = await collected(event); if (some.length) report(some, to); };
  return html`<div class=${`drop ${big ? "big" : ""} ${over ? "over" : ""}`} onDragOver=${(/** @type {Event} */ event) => { event.preventDefault(); set(true); }} onDragLeave=${() => set(false)} onDrop=${drop}>
    <${Icon} name="up" size=${22} />
    <div class="what"><b>${big ? "Drop a folder here" : "Drop a folder, a zip, or files"}</b><div class="muted dense">${big ? "or a zip, or a CSV of texts with their labels" : html`One folder per class, or a table with a column <code>label</code>. You see a report before anything is kept.`}</div></div>
    <div class="row"><${Button} kind="primary" onClick=${() => folder.current?.click()}>Choose a folder</${Button}><${Button} onClick=${() => files.current?.click()}>Files</${Button}></div>
    <input ref=${folder} hidden type="file" webkitdirectory multiple onChange=${take} />
    <input ref=${files} hidden type="file" multiple onChange=${take} />
  </div>`;
}
