// @ts-check
/** Class by class, worst first, with a threshold below which no answer is given. */
import { html, useState } from "../vendor/preact.js";
import { Interval } from "./ui.js";
import { count, label, percent, several, thing } from "./words.js";

/** What becomes of it when only sure answers are given. @param {any[]} rows @param {number} least */
export function answered(rows, least) {
  const given = rows.filter((one) => one.probability >= least);
  return { given: given.length, right: given.filter((one) => one.label === one.expected).length };
}

/** @param {{classes: any[], rows: any[] | undefined, modality: string, onOpen: (label: string) => void}} props */
export function ClassTable({ classes, rows, modality, onOpen }) {
  const [least, set] = useState(0);
  const [most, more] = useState(30);
  const sorted = [...classes].sort((a, b) => (a.f1.value ?? 2) - (b.f1.value ?? 2));
  const now = rows?.length ? answered(rows, least) : null;
  return html`<section><header><h2>Class by class</h2><small>found: of the true ones, how many; right when said: of those it names, how many</small></header>
    ${rows && now && html`<div class="panel" style=${{ marginBottom: "8px" }}><div class="threshold"><p>${least > 0 ? html`<b>Answer only when at least ${percent(least, 0)} sure:</b>` : html`<b>Always answer:</b>`} it then answers ${count(now.given)} of ${several(rows.length, thing(modality), thing(modality, 2))} (${percent(now.given / rows.length, 0)})${now.given ? html` and is right on <b>${percent(now.right / now.given)}</b> of those` : ""}.${least > 0 ? " The rest is “not sure”." : ""}</p>
      <label><span class="sr">How sure it must be to answer</span><input type="range" min="0" max="0.99" step="0.01" value=${least} onInput=${(/** @type {any} */ event) => set(Number(event.target.value))} /><span class="scale"><span>always answer</span><span>only when certain</span></span></label></div></div>`}
    <table class="blocks"><thead><tr><th>Class</th><th class="num">tested</th><th style=${{ paddingLeft: "24px" }}>found</th><th></th><th>right when said</th><th></th><th class="num">missed</th><th class="only-phone"></th></tr></thead><tbody>
    ${sorted.slice(0, most).map((one) => { const missed = one.recall.value == null ? null : Math.round(one.support * (1 - one.recall.value));
      return html`<tr key=${one.label}><td style=${{ fontWeight: 500, overflowWrap: "anywhere" }} title=${one.label}>${label(one.label)}</td><td class="num faint hide-phone">${one.support}</td><td class="hide-phone" style=${{ width: "18%", paddingLeft: "24px" }}><${Interval} figure=${one.recall} name=${`${label(one.label)} found`} /></td><td class="num hide-phone">${percent(one.recall.value, 0)}</td><td class="hide-phone" style=${{ width: "18%" }}><${Interval} figure=${one.precision} name=${`${label(one.label)} right when said`} /></td><td class="num hide-phone">${percent(one.precision.value, 0)}</td><td class="num">${missed ? html`<button type="button" class="link" onClick=${() => onOpen(one.label)}>${several(missed, thing(modality), thing(modality, 2))}</button>` : missed === 0 ? html`<span class="faint">none</span>` : "–"}</td><td class="only-phone muted" style=${{ gridColumn: "1 / -1" }}>found ${percent(one.recall.value, 0)} of ${one.support} · right when said ${percent(one.precision.value, 0)}</td></tr>`; })}</tbody></table>
    ${sorted.length > most && html`<p><button type="button" class="link" onClick=${() => more(1000)}>All ${sorted.length} classes</button></p>`}</section>`;
}
