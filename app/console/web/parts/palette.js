// @ts-check
/** ⌘K: datasets, models, aliases, actions. */
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { beside, get, part } from "../api.js";
import { Dialog } from "./ui.js";
import { called, percent } from "./words.js";

/** @type {[string, string, string][]} */
const ACTIONS = [["Home", "page", "#/"], ["Datasets", "page", "#/datasets"], ["Name classes without examples", "action", "#/datasets?name"], ["Models", "page", "#/models"], ["Try it", "page", "#/try"], ["Compare two models", "page", "#/compare"], ["Aliases", "page", "#/aliases"], ["Hooks", "page", "#/hooks"], ["Feedback", "page", "#/feedback"], ["Webhooks", "page", "#/webhooks"], ["Jobs", "page", "#/jobs"], ["System", "page", "#/system"], ["Usage and bounds", "page", "#/usage"], ["Keys", "page", "#/keys"], ["Guide", "page", beside("guide")], ["HTTP API", "page", beside("docs")]];

/** @param {{onClose: () => void}} props */
export function Palette({ onClose }) {
  const [text, set] = useState("");
  const [items, add] = useState(ACTIONS);
  const [at, move] = useState(0);
  const loaded = useRef(false), meant = useRef(false);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    field.current?.focus();
    Promise.all([get("v1/datasets", { limit: 100 }), get("v1/models"), get("v1/aliases", { limit: 100 })]).then(([datasets, models, aliases]) => { loaded.current = true; add([
      ...ACTIONS,
      ...datasets.data.map((/** @type {any} */ one) => [one.name, "dataset", `#/datasets/${one.id}`]),
      ...aliases.data.map((/** @type {any} */ one) => [one.name, "alias", `#/aliases/${part(one.name)}`]),
      ...models.data.map((/** @type {any} */ one) => [called(one), `model, ${one.label_mode === "multi_label" ? "several labels" : percent(one.accuracy?.value)}`, `#/models/${part(one.id)}`]),
    ]); }, () => {});
  }, []);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = items.filter(([name, kind]) => words.every((word) => `${name} ${kind}`.toLowerCase().includes(word))).slice(0, 12);
  const go = (/** @type {number} */ n) => { if (found[n]) { location.href = found[n][2]; onClose(); } };
  // Who types faster than the lists come has pressed Enter already: it counts once they are here.
  useEffect(() => { if (meant.current && loaded.current) { meant.current = false; go(0); } }, [items]);
  const keyed = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); move((at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % Math.max(1, found.length)); }
    if (event.key === "Enter") { event.preventDefault(); if (found[at] || loaded.current) go(at); else meant.current = true; }
  };
  return html`<${Dialog} title="Find or do" kind="palette" onClose=${onClose}><input ref=${field} type="text" role="combobox" aria-expanded="true" aria-controls="found" aria-activedescendant=${found[at] ? `found-${at}` : null} aria-label="Find or do" placeholder="Find or do…" value=${text} onInput=${(/** @type {any} */ event) => { meant.current = false; set(event.target.value); move(0); }} onKeyDown=${keyed} />
    <ul id="found" role="listbox" aria-label="Found">${found.map(([name, kind], n) => html`<li role="none"><button type="button" role="option" id=${`found-${n}`} tabindex="-1" aria-selected=${n === at ? "true" : "false"} onMouseMove=${() => move(n)} onClick=${() => go(n)}>${name}<small>${kind}</small></button></li>`)}${!found.length && html`<li class="muted" style=${{ padding: "10px" }}>Nothing of that name.</li>`}</ul></${Dialog}>`;
}
