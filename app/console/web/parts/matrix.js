// @ts-check
/** What a model mixes up: rows true, columns said; beyond 30 classes pairs, beside a small whole. */
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { label } from "./words.js";

/** @param {string} name @returns {number[]} */
function colour(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const full = text.length === 4 ? text.replace(/[0-9a-f]/gi, "$&$&") : text;
  return [1, 3, 5].map((at) => parseInt(full.slice(at, at + 2), 16));
}
/** @param {number[]} a @param {number[]} b @param {number} share of b */
const mix = (a, b, share) => a.map((one, n) => one + (b[n] - one) * share);
/** @param {number[]} rgb */
function luminance(rgb) {
  const [r, g, b] = rgb.map((one) => { const c = one / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
/** @param {number[]} a @param {number[]} b */
const contrast = (a, b) => { const [hi, lo] = [luminance(a), luminance(b)].sort((x, y) => y - x); return (hi + 0.05) / (lo + 0.05); };
const WHITE = [255, 255, 255], BLACK = [16, 16, 17];

/** The fill of a cell, and ink that can be read on it. @param {boolean} right @param {number} share of the row */
function dress(right, share) {
  const base = colour("--sunk"), ink = colour(right ? "--accent" : "--miss-fill");
  let fill = mix(base, ink, right ? 0.12 + 0.85 * share : 0.2 + 0.8 * Math.min(1, 2.2 * share));
  for (let n = 0; n < 20 && Math.max(contrast(fill, WHITE), contrast(fill, BLACK)) < 4.5; n++) fill = mix(fill, BLACK, 0.06);
  const text = contrast(fill, WHITE) >= contrast(fill, BLACK) ? WHITE : BLACK;
  return { background: `rgb(${fill.map(Math.round)})`, color: `rgb(${text})` };
}

/** Pairs of classes, most often confused first. @param {any} matrix */
export function pairs(matrix) {
  const found = [];
  for (const [row, counts] of matrix.counts.entries()) {
    const of = counts.reduce((/** @type {number} */ sum, /** @type {number} */ n) => sum + n, 0);
    for (const [column, n] of counts.entries()) if (n && row !== column) found.push({ row, column, n, of, expected: matrix.labels[row], said: matrix.labels[column] });
  }
  return found.sort((a, b) => b.n - a.n || b.n / b.of - a.n / a.of);
}

/** Re-render when the theme changes: cells are painted. */
function useTheme() {
  const [, again] = useState(0);
  useEffect(() => {
    const turn = () => again((n) => n + 1);
    const system = matchMedia("(prefers-color-scheme: dark)");
    const watch = new MutationObserver(turn);
    watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    system.addEventListener("change", turn);
    return () => { watch.disconnect(); system.removeEventListener("change", turn); };
  }, []);
}

/** @param {{matrix: any, at: {row: number, column: number} | null, onOpen: (cell: {row: number, column: number}) => void}} props */
export function Matrix({ matrix, at, onOpen }) {
  useTheme();
  const box = useRef(/** @type {HTMLTableElement | null} */ (null));
  const n = matrix.labels.length;
  const [focus, move] = useState(at ?? { row: 0, column: 0 });
  const edge = n <= 4 ? 104 : n <= 14 ? 42 : 24;
  const keyed = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = { row: Math.min(n - 1, Math.max(0, focus.row + step[0])), column: Math.min(n - 1, Math.max(0, focus.column + step[1])) };
    move(next);
    requestAnimationFrame(() => /** @type {any} */ (box.current?.querySelector(`[data-cell="${next.row},${next.column}"]`))?.focus());
  };
  return html`<div class="scroll"><table class=${`matrix ${n <= 4 ? "level" : ""}`} ref=${box} onKeyDown=${keyed} aria-label="Confusion matrix: rows are what it is, columns what the model says">
    <thead class="sr"><tr><th></th>${matrix.labels.map((/** @type {string} */ name) => html`<th scope="col">${label(name)}</th>`)}</tr></thead><tbody>
    ${matrix.counts.map((/** @type {number[]} */ counts, /** @type {number} */ row) => { const of = counts.reduce((sum, one) => sum + one, 0) || 1;
      return html`<tr><th scope="row" class="side-label" title=${matrix.labels[row]}>${label(matrix.labels[row])}</th>${counts.map((count, column) => { const here = focus.row === row && focus.column === column; const chosen = at?.row === row && at?.column === column;
        return html`<td class=${count ? "" : "zero"} style=${{ width: `${edge}px`, minWidth: `${edge}px`, height: `${edge}px` }}><button type="button" data-cell=${`${row},${column}`} tabindex=${here ? 0 : -1} aria-pressed=${chosen ? "true" : "false"} aria-label=${`${label(matrix.labels[row])} called ${label(matrix.labels[column])}: ${count}`} title=${`${label(matrix.labels[row])} called ${label(matrix.labels[column])}: ${count}`} style=${count ? { ...dress(row === column, count / of), fontSize: n <= 4 ? "22px" : n <= 14 ? "12px" : "10px" } : { background: "none" }} onFocus=${() => move({ row, column })} onClick=${() => onOpen({ row, column })}>${count && (n <= 14 || here || chosen) ? count : ""}</button></td>`; })}</tr>`; })}
    <tr aria-hidden="true"><th></th>${matrix.labels.map((/** @type {string} */ name) => html`<th class="below" title=${name}><span>${label(name)}</span></th>`)}</tr></tbody></table></div>`;
}

/** @param {{matrix: any, at: any, most?: number, search?: boolean, onOpen: (cell: any) => void}} props */
export function Pairs({ matrix, at, most = 8, search = false, onOpen }) {
  const [wanted, set] = useState("");
  const [more, show] = useState(false);
  const every = pairs(matrix);
  const found = wanted ? every.filter((one) => `${label(one.expected)} ${label(one.said)} ${one.expected} ${one.said}`.toLowerCase().includes(wanted.toLowerCase())) : every;
  const shown = more || wanted ? found.slice(0, 300) : found.slice(0, most);
  return html`<div>${search && html`<label class="field" style=${{ marginBottom: "8px" }}><span class="sr">Find a class</span><input type="search" placeholder="Find a class" value=${wanted} onInput=${(/** @type {any} */ event) => set(event.target.value)} /></label>`}
    <table><tbody>${shown.map((one) => html`<tr key=${`${one.row},${one.column}`}><td style=${{ overflowWrap: "anywhere" }}><button type="button" class="link" style=${{ color: "inherit" }} aria-pressed=${at?.row === one.row && at?.column === one.column ? "true" : "false"} onClick=${() => onOpen({ row: one.row, column: one.column })}>${label(one.expected)} <span class="muted">called</span> ${label(one.said)}</button></td><td class="num" style=${{ whiteSpace: "nowrap" }}>${one.n} of ${one.of}<div class="bar miss" style=${{ width: "72px", marginLeft: "auto", marginTop: "3px" }}><i style=${{ width: `${(100 * one.n) / one.of}%` }}></i></div></td></tr>`)}</tbody></table>
    ${!shown.length && html`<p class="muted dense">${wanted ? "Nothing of that name is mixed up." : "It mixes nothing up here."}</p>`}
    ${found.length > shown.length && html`<p><button type="button" class="link" onClick=${() => show(true)}>${found.length - shown.length} further pairs</button></p>`}</div>`;
}

/** The whole matrix as a small picture. @param {{matrix: any, at: any, onOpen: (cell: any) => void}} props */
export function Small({ matrix, at, onOpen }) {
  const box = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useTheme();
  const n = matrix.labels.length, edge = n <= 100 ? 6.6 : 660 / n;
  useEffect(() => {
    const canvas = /** @type {HTMLCanvasElement} */ (box.current), scale = devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(n * edge * scale);
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.scale(scale, scale);
    for (const [row, counts] of matrix.counts.entries()) {
      const of = counts.reduce((/** @type {number} */ sum, /** @type {number} */ one) => sum + one, 0) || 1;
      for (const [column, count] of counts.entries()) {
        if (!count) continue;
        pen.fillStyle = dress(row === column, count / of).background;
        pen.fillRect(column * edge, row * edge, Math.max(1, edge - 1), Math.max(1, edge - 1));
      }
    }
    if (at) { pen.strokeStyle = getComputedStyle(document.body).color; pen.lineWidth = 2; pen.strokeRect(at.column * edge - 1, at.row * edge - 1, edge + 1, edge + 1); }
  });
  const click = (/** @type {MouseEvent} */ event) => { const area = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect(); onOpen({ row: Math.floor((n * (event.clientY - area.top)) / area.height), column: Math.floor((n * (event.clientX - area.left)) / area.width) }); };
  return html`<figure><canvas ref=${box} class="panel" role="img" aria-label=${`Confusion matrix of ${n} classes; the pairs beside it say the same`} style=${{ width: `${n * edge}px`, maxWidth: "100%", padding: 0, cursor: "crosshair" }} onClick=${click}></canvas><p class="hint">blue: right; orange: taken for another. Darker is more often.</p></figure>`;
}
