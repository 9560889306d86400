// @ts-check
/** What an input can be called, by keys: up to ten classes have one each, others are found by name. */
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { Dialog } from "../ui.js";
import { label, percent } from "../words.js";

export const KEYS = "1234567890";

/** The ten classes that keys stand for: all of them in their own order, or of many the most probable. @param {string[]} classes @param {{label: string}[]} likely @returns {string[]} */
export function handy(classes, likely) {
  if (classes.length <= KEYS.length) return classes;
  const first = likely.map((one) => one.label);
  return [...first, ...classes.filter((one) => !first.includes(one))].slice(0, KEYS.length);
}

/** @param {{classes: string[], shares: any[], chosen: string[], several: boolean, onSay: (label: string) => void}} props */
export function LabelKeys({ classes, shares, chosen, several, onSay }) {
  const of = (/** @type {string} */ name) => shares.find((one) => one.label === name)?.probability ?? 0;
  return html`<div class="keys" role="group" aria-label="What it is">${classes.map((name, n) => html`<button type="button" key=${name} class="answer-key" aria-pressed=${several ? (chosen.includes(name) ? "true" : "false") : null} data-said=${!several && chosen.includes(name) ? "" : null} title=${`${name}, ${percent(of(name), 0)}`} onClick=${() => onSay(name)}><kbd>${KEYS[n]}</kbd><span>${label(name)}</span><i style=${{ width: `${100 * of(name)}%` }} aria-hidden="true"></i></button>`)}</div>`;
}

/** Any class by name, or a new one. @param {{classes: string[], onSay: (label: string) => void, onClose: () => void}} props */
export function FindClass({ classes, onSay, onClose }) {
  const [text, set] = useState("");
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.focus(), []);
  const wanted = text.trim().toLowerCase();
  const found = classes.filter((one) => `${one} ${label(one)}`.toLowerCase().includes(wanted)).slice(0, 12);
  const fresh = wanted && !classes.some((one) => one.toLowerCase() === wanted) ? text.trim() : "";
  const say = (/** @type {string} */ name) => { onClose(); onSay(name); };
  const first = found[0] ?? fresh;
  return html`<${Dialog} title="Find a class" kind="palette" onClose=${onClose}><input ref=${field} type="text" aria-label="Find a class" placeholder="Find a class, or name a new one" maxlength="256" value=${text} onInput=${(/** @type {any} */ event) => set(event.target.value)} onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter" && first) { event.preventDefault(); say(first); } }} />
    <ul>${found.map((name) => html`<li key=${name}><button type="button" title=${name} onClick=${() => say(name)}>${label(name)}</button></li>`)}${fresh && html`<li><button type="button" onClick=${() => say(fresh)}>${fresh}<small>a new class</small></button></li>`}</ul></${Dialog}>`;
}
