// @ts-check
/** Many examples, of which only the visible rows are in the page; one tab stop with arrows. */
import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact.js";
import { textOf } from "../api.js";
import { Picture } from "./ui.js";
import { label } from "./words.js";

const GAP = 8, CAPTION = 24, LEAST = 92, BEYOND = 2;

/** @param {{dataset: string, example: any}} props */
export function Text({ dataset, example }) {
  const [said, set] = useState("");
  useEffect(() => {
    let here = true;
    textOf(dataset, example.id, () => here).then((text) => here && set(text), (error) => here && error.name !== "AbortError" && set("(cannot be shown)"));
    return () => { here = false; };
  }, [dataset, example.id]);
  return html`<span>${said || "…"}</span>`;
}

/** @param {{dataset: any, examples: any[], total: number, onOpen: (example: any) => void, onNear: () => void, marked?: Set<string>, caption?: (example: any) => any}} props */
export function Grid({ dataset, examples, total, onOpen, onNear, marked, caption }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [view, set] = useState({ columns: 8, height: 120, from: 0, to: 6 });
  const [at, move] = useState(0);
  const text = dataset.modality === "text";
  const measure = () => {
    if (!box.current) return;
    const { width, top } = box.current.getBoundingClientRect();
    const columns = text ? 1 : Math.max(3, Math.floor((width + GAP) / (LEAST + GAP)));
    const height = text ? 57 : (width - GAP * (columns - 1)) / columns + CAPTION + GAP;
    const rows = Math.ceil(total / columns);
    const from = Math.max(0, Math.floor(-top / height) - BEYOND);
    const to = Math.min(rows, Math.ceil((innerHeight - top) / height) + BEYOND);
    set((old) => (old.columns === columns && old.height === height && old.from === from && old.to === to ? old : { columns, height, from, to }));
    if (to * columns > examples.length && examples.length < total) onNear();
  };
  useLayoutEffect(measure, [total, examples.length, text]);
  useEffect(() => {
    let asked = 0;
    const moved = () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(measure); };
    addEventListener("scroll", moved, { passive: true });
    addEventListener("resize", moved);
    return () => { removeEventListener("scroll", moved); removeEventListener("resize", moved); };
  });
  const { columns, height, from, to } = view;
  const keyed = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: examples.length - 1 - at }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = Math.min(examples.length - 1, Math.max(0, at + step));
      move(next);
      requestAnimationFrame(() => /** @type {any} */ (box.current?.querySelector(`[data-at="${next}"]`))?.focus());
    } else if (event.key === " " || event.key === "Enter") { event.preventDefault(); if (examples[at]) onOpen(examples[at]); }
  };
  const shown = examples.slice(from * columns, to * columns);
  const place = Math.max(from * columns, Math.min(at, from * columns + shown.length - 1));
  return html`<div ref=${box} role="group" aria-label="Examples" onKeyDown=${keyed} style=${{ position: "relative", height: `${Math.ceil(total / columns) * height}px` }}>
    <div style=${{ position: "absolute", top: `${from * height}px`, left: 0, right: 0, display: "grid", gap: text ? 0 : `${GAP}px`, gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))` }}>
    ${shown.map((example, n) => { const index = from * columns + n; const said = `${label(example.label) || "none"}, ${example.split}, ${example.path}`;
      return html`<button type="button" key=${example.id} class=${`tile ${text ? "text" : ""}`} data-at=${index} tabindex=${index === place ? 0 : -1} style=${{ height: `${height - (text ? 0 : GAP)}px` }} onFocus=${() => move(index)} onClick=${() => onOpen(example)}>
        ${text ? html`<${Text} dataset=${dataset.id} example=${example} /><small>${caption?.(example) ?? (label(example.label) || "none")}</small>` : html`<${Picture} dataset=${dataset.id} example=${example.id} version=${dataset.version} alt=${said} edge=${92} mark=${marked?.has(example.id)} /><small title=${example.label}>${caption?.(example) ?? (label(example.label) || "none")}</small>`}</button>`; })}</div></div>`;
}
