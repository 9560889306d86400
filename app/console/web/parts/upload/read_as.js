// @ts-check
/** What may be said of a file when the service does not read it as it was meant: labels, columns, names, boxes, splits. */
import { html } from "../../vendor/preact.js";
import { Fold } from "../ui.js";

/** @param {string} none @param {string} names @returns {[string, string][]} */
const named = (none, names) => [["", none], ...names.split(" ").map((one) => /** @type {[string, string]} */ ([one, one]))];

/** Code pages of names in old archives. @type {[string, string][]} */
const PAGES = named("as they seem", "utf-8 cp437 cp850 cp852 cp866 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 koi8-r latin-1 gbk gb18030 big5 shift_jis euc_jp euc_kr cp932 cp949 cp950");
/** @type {[string, string][]} */
const ENCODINGS = named("as they seem", "utf-8 utf-16 utf-16-le utf-16-be windows-1250 windows-1251 windows-1252 windows-1253 windows-1254 windows-1256 iso-8859-1 iso-8859-2 iso-8859-15 koi8-r macintosh shift_jis euc-jp gb18030 big5 euc-kr");

/** What is asked of whoever opens the fold. @type {[string, string, string, [string, string][] | null][]} */
const FIELDS = [
  ["label_mode", "Labels an example", "Several: each label is told for itself, and an example may have none.", [["", "as the file has them"], ["single_label", "one"], ["multi_label", "several, or none"]]],
  ["boxes", "Boxes of a list (COCO, CVAT, YOLO …)", "The boxes of a picture stay together when it is measured.", [["", "a picture is an example"], ["crops", "each box is an example, cut out"]]],
  ["label_column", "Column of the label", "Only where the table does not say it by its name.", null],
  ["label_columns", "Columns of 0 and 1, one a label", "Their names, with commas between; only where the table has others of the kind.", null],
  ["text_column", "Column of the text", "", null],
  ["header", "First row of the table", "Without names the columns are called 1, 2, 3.", [["", "as it seems"], ["names", "names of the columns"], ["none", "an example, as the others"]]],
  ["group_column", "Column of the group", "Examples of one group are never learned from and measured with at once: patient, camera, product.", null],
  ["split_column", "Column of the split", "With train, val and test.", null],
  ["label_separator", "What parts labels in a cell", "Such as |", null],
  ["negative_label", "Label of what belongs to no class", "Such as Negative; a label or a folder.", null],
  ["filename_encoding", "Names in the archive", "Where accents came out wrong.", PAGES],
  ["encoding", "Characters of the table", "Where accents came out wrong.", ENCODINGS],
  ["test_fraction", "Keep aside to measure with", "", [["", "as in the folders"], ["0.1", "a tenth"], ["0.2", "a fifth"], ["0.3", "three tenths"]]],
];

/** @param {{fields: Record<string, string>, open?: boolean, onChange: (fields: Record<string, string>) => void, onRead: () => void, dirty: boolean}} props */
export function ReadAs({ fields, open = false, onChange, onRead, dirty }) {
  const said = FIELDS.filter(([name]) => fields[name]).map(([name, title, , choices]) => `${title.toLowerCase()}: ${choices?.find(([value]) => value === fields[name])?.[1] ?? fields[name]}`);
  const put = (/** @type {string} */ name) => (/** @type {any} */ event) => onChange({ ...fields, [name]: event.target.value });
  return html`<${Fold} title="More: how it is read" summary=${said.join(", ") || "labels, boxes, columns, names, splits: as the file says"} open=${open}>
    <form onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); onRead(); }}><div class="more-fields">${FIELDS.map(([name, title, hint, choices]) => html`<label class="field" key=${name}><span>${title}</span>${choices ? html`<select name=${name} value=${fields[name] ?? ""} onChange=${put(name)}>${choices.map(([value, text]) => html`<option value=${value}>${text}</option>`)}</select>` : html`<input type="text" name=${name} maxlength="200" value=${fields[name] ?? ""} onInput=${put(name)} />`}${hint && html`<small>${hint}</small>`}</label>`)}</div>
    <div style=${{ marginTop: "14px" }}><button type="submit" class=${`btn ${dirty ? "primary" : ""}`}>Read it again</button></div></form></${Fold}>`;
}
