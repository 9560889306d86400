// @ts-check
/** Several labels: what is missed and what is given although it is not there, label by label, and the examples behind it. */
import { html, useState } from "../../vendor/preact.js";
import { BehindCell } from "../behind_cell.js";
import { label, percent, several } from "../words.js";

/** @typedef {{label: string, missed: boolean, rows: any[], of: number}} Mistake */

/** Each label's two kinds of mistake, most often first; `of`: that have it, or that it is given to. @param {any[]} rows @returns {Mistake[]} */
export function mistakes(rows) {
  const names = new Set(rows.flatMap((row) => [...(row.expected_labels ?? []), ...(row.labels ?? [])]));
  const found = [];
  for (const name of names) {
    const has = rows.filter((row) => row.expected_labels?.includes(name)), given = rows.filter((row) => row.labels?.includes(name));
    found.push({ label: name, missed: true, rows: has.filter((row) => !row.labels?.includes(name)), of: has.length });
    found.push({ label: name, missed: false, rows: given.filter((row) => !row.expected_labels?.includes(name)), of: given.length });
  }
  return found.filter((one) => one.rows.length).sort((a, b) => b.rows.length - a.rows.length || b.rows.length / b.of - a.rows.length / a.of);
}

/** How probable a label was found. @param {any} row @param {string} name */
const share = (row, name) => row.predictions.find((/** @type {any} */ one) => one.label === name)?.probability ?? 0;

/** Labels in words. @param {string[]} names */
const all = (names) => names.map(label).join(", ") || "none";

/** @param {Mistake} one */
const title = (one) => `${label(one.label)} ${one.missed ? "missed" : "given, and not there"}: ${one.rows.length} of ${one.of}`;

/** @param {{rows: any[], model: any, dataset: any, onChanged: () => void}} props */
export function LabelMistakes({ rows, model, dataset, onChanged }) {
  const every = mistakes(rows);
  const [at, open] = useState(0);
  const [most, more] = useState(8);
  const now = every[Math.min(at, every.length - 1)];
  const whole = rows.filter((row) => all([...row.expected_labels ?? []].sort()) === all([...row.labels ?? []].sort())).length;
  const head = html`<header><h2>What it gets wrong</h2><small>${several(whole, "example has", "examples have")} just the labels that are right, of ${rows.length}; by each label's own threshold</small></header>`;
  if (!now) return html`<section>${head}<p class="muted dense">Nothing: every label of every example is right.</p></section>`;
  // the surest mistakes first: the least probable of what was missed, the most probable of what was given
  const sorted = [...now.rows].sort((a, b) => (now.missed ? 1 : -1) * (share(a, now.label) - share(b, now.label)));
  const step = (/** @type {number} */ by) => open((Math.min(at, every.length - 1) + by + every.length) % every.length);
  return html`<section>${head}<div class="two"><div class="panel"><table><tbody>${every.slice(0, most).map((one, n) => html`<tr key=${`${one.label} ${one.missed}`}>
      <td style=${{ overflowWrap: "anywhere" }}><button type="button" class="link" style=${{ color: "inherit" }} aria-pressed=${one === now ? "true" : "false"} onClick=${() => open(n)}>${label(one.label)} <span class="muted">${one.missed ? "missed" : "given, and not there"}</span></button></td>
      <td class="num" style=${{ whiteSpace: "nowrap" }}>${one.rows.length} of ${one.of}<div class="bar miss" style=${{ width: "72px", marginLeft: "auto", marginTop: "3px" }}><i style=${{ width: `${(100 * one.rows.length) / one.of}%` }}></i></div></td></tr>`)}</tbody></table>
      ${every.length > most && html`<p><button type="button" class="link" onClick=${() => more(1000)}>${every.length - most} further</button></p>`}</div>
    <div><${BehindCell} key=${title(now)} rows=${sorted} dataset=${dataset} modality=${model.modality} title=${title(now)} onStep=${every.length > 1 ? step : undefined} onChanged=${onChanged}
      caption=${(/** @type {any} */ row) => `${percent(share(row, now.label), 0)} ${label(now.label)}${model.modality === "text" ? `; it has ${all(row.expected_labels ?? [])}` : ""}`}
      more=${(/** @type {any} */ row) => html`<dt>It has</dt><dd>${all(row.expected_labels ?? [])}</dd><dt>It is given</dt><dd>${all(row.labels ?? [])}</dd>`} /></div></div></section>`;
}
