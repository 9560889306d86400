// @ts-check
/** The components that every page is made of. */
import { html, useEffect, useErrorBoundary, useRef, useState } from "../vendor/preact.js";
import { ROOT, get, part, picture } from "../api.js";
import { exactly, percent, range } from "./words.js";

const PATHS = {
  home: "M3 8l6-5 6 5v7h-4v-4H7v4H3z", grid: "M3 3h5v5H3zM10 3h5v5h-5zM3 10h5v5H3zM10 10h5v5h-5z",
  cube: "M9 2l6 3.2v7.4L9 16l-6-3.4V5.2zM3.2 5.4L9 8.6l5.8-3.2M9 8.6V16", play: "M5 3l10 6-10 6z",
  at: "M12 9a3 3 0 1 1-6 0 3 3 0 0 1 6 0v1a2 2 0 0 0 4 0V9a7 7 0 1 0-3 5.7", bolt: "M10 2L4 10h4l-1 6 6-8H9z",
  inbox: "M3 10l2-7h8l2 7v5H3zM3 10h4l1 2h2l1-2h4", line: "M2 14l4-5 3 3 6-8", gauge: "M3 15V9M7 15V4M11 15v-4M15 15V7", rack: "M3 3h12v5H3zM3 10h12v5H3zM6 5.5h.01M6 12.5h.01",
  search: "M8 13A5 5 0 1 0 8 3a5 5 0 0 0 0 10zM12 12l4 4", up: "M9 12V3M5.5 6.5L9 3l3.5 3.5M3 11v4h12v-4", key: "M11 10a4 4 0 1 0-3.5-2.2L3 12.5V15h2.5v-2H8v-2l1.6-1.6",
  more: "M4 9h.01M9 9h.01M14 9h.01", back: "M11 4L6 9l5 5", chevron: "M7 4l5 5-5 5", check: "M3.5 9.5l3.5 3.5 7.5-8", info: "M9 16A7 7 0 1 0 9 2a7 7 0 0 0 0 14zM9 8.5V12M9 6h.01",
  copy: "M6 6V3h9v9h-3M3 6h9v9H3z", wifi: "M2 7a10 10 0 0 1 14 0M4.5 10a6.3 6.3 0 0 1 9 0M9 14h.01M7 12.3a3 3 0 0 1 4 0", camera: "M2 5h3l1.5-2h5L13 5h3v9H2zM9 12a2.7 2.7 0 1 0 0-5.4A2.7 2.7 0 0 0 9 12z",
  paste: "M6 4H4v12h10V4h-2M6 3h6v3H6z", cross: "M4 4l10 10M14 4L4 14", book: "M9 4c-2-1.3-4-1.3-6-.5v11c2-.8 4-.8 6 .5 2-1.300 4-1.300 6-.5v-11c-2-.8-4-.8-6 .5zM9 4v11", undo: "M4 7h7a4 4 0 0 1 0 8H7M4 7l3-3M4 7l3 3",
};

/** @param {{name: keyof typeof PATHS, size?: number}} props */
export const Icon = ({ name, size = 18 }) => html`<svg width=${size} height=${size} viewBox="0 0 18 18" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round" stroke-linecap="round" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;

export const Logo = () => html`<svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true"><rect width="22" height="22" rx="6" fill="var(--accent)" /><path d="M5 7h10M7 11h10M5 15h6" stroke="#fff" stroke-width="2.4" stroke-linecap="round" /></svg>`;

/** Whether every field of a button's dialog takes what is typed into it; the first that does not says so. @param {Element} button */
function fits(button) {
  const wrong = /** @type {HTMLInputElement | null | undefined} */ (button.closest("dialog")?.querySelector("input:invalid, textarea:invalid"));
  if (!wrong) return true;
  const fold = wrong.closest("details");
  if (fold) fold.open = true;
  return wrong.reportValidity();
}

/** A button; `why` says why it cannot be pressed. While what it began goes on, it begins nothing twice. @param {any} props */
export function Button({ kind = "", busy = false, why = "", onClick, children, ...rest }) {
  const [begun, begin] = useState(false);
  const waits = busy || begun, off = waits || !!why;
  const pressed = (/** @type {any} */ event) => {
    if (off) { event.preventDefault(); if (why && !waits) toast(why); return; }
    if (/primary|danger/.test(kind) && !fits(event.currentTarget)) return;
    const going = onClick?.(event);
    if (going?.finally) { begin(true); going.finally(() => begin(false)); }
  };
  return html`<button type="button" class=${`btn ${kind} ${waits ? "busy" : ""}`} aria-disabled=${off ? "true" : null} aria-busy=${waits ? "true" : null} title=${why || rest.title} ...${rest} onClick=${pressed}>${children}</button>`;
}

/** Whether a refusal is about one field. @param {any} error @param {RegExp} of */
const concerns = (error, of) => !!error?.param && of.test(error.param);

/** A field of a form: its name, what is typed into it, what it is for, and what was refused of it. @param {{title: any, of: RegExp, error: any, hint?: any, children?: any}} props */
export function Field({ title, of, error, hint, children }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const said = concerns(error, of) ? error.message.replace(`${error.param}: `, "") : "";
  useEffect(() => {
    const field = /** @type {HTMLElement | null | undefined} */ (box.current?.querySelector("input, select, textarea"));
    if (!said || !field) return;
    const fold = field.closest("details");
    if (fold) fold.open = true;
    field.setAttribute("aria-invalid", "true");
    field.focus();
    return () => field.removeAttribute("aria-invalid");
  }, [error, said]);
  return html`<label class="field" ref=${box}><span>${title}</span>${children}${said ? html`<small class="wrong" role="alert">${said}</small>` : hint && html`<small>${hint}</small>`}</label>`;
}

/** @param {{title: any, summary?: any, children?: any, open?: boolean, onOpen?: () => void}} props */
export function Fold({ title, summary, children, open = false, onOpen }) {
  return html`<details class="fold" open=${open} onToggle=${(/** @type {any} */ event) => event.currentTarget.open && onOpen?.()}><summary><${Icon} name="chevron" size=${14} />${title} <span>${summary}</span></summary><div>${children}</div></details>`;
}

/** @param {{kind?: string, icon?: keyof typeof PATHS, children?: any, role?: string}} props */
export const Note = ({ kind = "", icon, children, role }) => html`<div class=${`note ${kind}`} role=${role}>${icon && html`<${Icon} name=${icon} />`}<div>${children}</div></div>`;

/** What went wrong, its code, and what can be done about it; nothing where a field says it already. @param {{error: any, again?: () => void, fields?: RegExp[]}} props */
export function Failed({ error, again, fields = [] }) {
  if (!error || fields.some((of) => concerns(error, of))) return null;
  const id = error.requestId ? html` <span class="mono">${error.requestId}</span>` : null;
  return html`<${Note} kind="bad" icon="info" role="alert"><b>${error.message}</b> <span class="mono">${error.code ?? ""}</span>${id}${again && html` <button class="link" type="button" onClick=${again}>Try again</button>`}</${Note}>`;
}

/** Shows what is inside, or, where that cannot be drawn, so much: nothing else is lost with it. @param {{children?: any}} props */
export function Guarded({ children }) {
  const [broken, again] = useErrorBoundary((/** @type {any} */ error) => console.error(error));
  if (!broken) return children;
  return html`<div class="empty"><h1 tabindex="-1">This page cannot be shown</h1><${Failed} error=${{ message: "The console has an error here; the service has what you sent, and other pages work.", code: String(broken?.message ?? broken) }} again=${again} /><p><a href="#/">Home</a></p></div>`;
}

/** @param {{lines?: number, height?: number}} props */
export const Loading = ({ lines = 3, height = 64 }) => html`<div aria-busy="true" aria-label="Loading">${Array.from({ length: lines }, () => html`<div class="skeleton" style=${{ height: `${height}px`, marginTop: "12px" }}></div>`)}</div>`;

/** The head of a page. @param {{title: any, crumbs?: [string, string][], sub?: any, acts?: any}} props */
export function Head({ title, crumbs = [], sub, acts }) {
  useEffect(() => {
    document.title = `${title} · Headstart`;
    window.dispatchEvent(new CustomEvent("titled", { detail: { title, back: crumbs.at(-1)?.[1] } }));
  }, [title]);
  return html`
    ${crumbs.length > 0 && html`<nav class="crumbs" aria-label="Breadcrumb">${crumbs.map(([name, to]) => html`<a href=${to}>${name}</a> / `)}</nav>`}
    <div class="head"><div><h1 tabindex="-1">${title}</h1>${sub && html`<div class="sub">${sub}</div>`}</div>${acts && html`<div class="acts">${acts}</div>`}</div>`;
}

/**
 * What a promise gives, again when `keys` change; old data stays meanwhile. Asked again before it has come,
 * it waits for that and then asks once more: on a slow network nothing would ever come else.
 * @template T @param {(signal: AbortSignal) => Promise<T>} load @param {any[]} keys
 * @returns {{data: T | undefined, error: any, again: () => void}}
 */
export function useLoad(load, keys) {
  const [state, set] = useState(/** @type {any} */ ({}));
  const [turn, again] = useState(0);
  const newest = useRef(load), ask = useRef(() => {});
  newest.current = load;
  useEffect(() => {
    const control = new AbortController();
    let busy = false, more = false;
    const run = async () => {
      if (busy) { more = true; return; }
      busy = true;
      do {
        more = false;
        await newest.current(control.signal).then(
          (data) => !control.signal.aborted && set({ data }),
          (error) => !control.signal.aborted && set((/** @type {any} */ old) => ({ data: old.data, error })),
        );
      } while (more && !control.signal.aborted);
      busy = false;
    };
    ask.current = run;
    run();
    return () => control.abort();
  }, keys);
  useEffect(() => { if (turn) ask.current(); }, [turn]);
  const more = () => again((n) => n + 1);
  useBack(unreached(state.error), more);
  return { data: state.data, error: state.error, again: more };
}

/** Whether something has not come for want of a connection. @param {any} error */
export const unreached = (error) => error?.code === "no_connection";

/** Ask again for what has not come for want of a connection, until it does. @param {boolean} lost @param {() => void} again */
export function useBack(lost, again) {
  useEvery(again, lost ? 5 : 0);
  useEffect(() => {
    if (!lost) return;
    window.addEventListener("online", again);
    return () => window.removeEventListener("online", again);
  }, [lost]);
}

/**
 * What the address asks for at first, and whenever it comes to ask for something else; in between what is chosen here.
 * @template T @param {T} asked @returns {[T, (value: T) => void]}
 */
export function useAsked(asked) {
  const [value, set] = useState(asked);
  useEffect(() => set(asked), [asked]);
  return [value, set];
}

/** Call back every so many seconds while the tab is seen. @param {() => void} call @param {number} seconds 0 never */
export function useEvery(call, seconds) {
  const latest = useRef(call);
  latest.current = call;
  useEffect(() => {
    if (!seconds) return;
    const timer = setInterval(() => document.hidden || latest.current(), seconds * 1000);
    return () => clearInterval(timer);
  }, [seconds]);
}

/** Single letters, outside fields only; a person can switch them off. Who types fast is heard too: each key meets the newest page. @param {Record<string, (event: KeyboardEvent) => void>} keys */
export function useKeys(keys) {
  const newest = useRef(keys);
  newest.current = keys;
  useEffect(() => {
    const heard = (/** @type {KeyboardEvent} */ event) => {
      const at = /** @type {HTMLElement} */ (event.target);
      if (event.repeat && !event.key.startsWith("Arrow")) return; // a key held down says nothing twice
      if (event.metaKey || event.ctrlKey || event.altKey || at.closest?.("input, textarea, select, dialog, [contenteditable]")) return;
      if (event.key === "Enter" && at.closest?.("a, button, summary")) return;
      if (event.key.length === 1 && localStorage.getItem("headstart.letters") === "off") return;
      const act = newest.current[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (act) { event.preventDefault(); act(event); }
    };
    document.addEventListener("keydown", heard);
    return () => document.removeEventListener("keydown", heard);
  }, []);
}

/** Sides of thumbnails: few, so that the service makes each once. */
const SIZES = [96, 192, 384, 768];

/** What stands in the place of what has not come for want of a connection. */
export const LOST = "no connection";

/** One picture of a dataset. @param {{dataset: string, example: string, version?: number, alt: string, whole?: boolean, mark?: boolean, edge?: number, wait?: boolean}} props */
export function Picture({ dataset, example, version, alt, whole = false, mark = false, edge = 160, wait = false }) {
  const [source, set] = useState("");
  const [none, fail] = useState("");
  const [turn, again] = useState(0);
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  useBack(none === LOST, () => again((n) => n + 1));
  useEffect(() => {
    let here = true;
    const path = `v1/datasets/${dataset}/examples/${example}`;
    const size = SIZES.find((one) => one >= edge * (devicePixelRatio || 1)) ?? 1024;
    // A predictor makes thumbnails; where none answers, the picture itself is shown if a browser can.
    const small = () => picture(`${path}/thumbnail`, { version, size }, () => here).catch((error) => {
      if (error.name === "AbortError" || error.status < 500) throw error;
      return picture(`${path}/content`, { version }, () => here);
    });
    const load = () => small().then((blob) => { if (here) { fail(""); set(blob); } }, (error) => here && error.name !== "AbortError" && fail(unreached(error) ? LOST : "cannot be shown"));
    const near = new IntersectionObserver(([seen]) => { if (seen.isIntersecting) { near.disconnect(); load(); } }, { rootMargin: "300px" });
    if (box.current) near.observe(box.current);
    return () => { here = false; near.disconnect(); };
  }, [dataset, example, version, turn]);
  const empty = none ? html`<span>${none}</span>` : null;
  return html`<span ref=${box} class=${`pic ${whole ? "whole" : ""} ${wait ? "wait" : ""} ${none ? "none" : ""}`}>${source && !none ? html`<img src=${source} alt=${alt} width=${edge} height=${edge} decoding="async" onError=${() => fail("cannot be shown")} />` : empty}${mark && html`<i class="mark"></i>`}</span>`;
}

/** A figure with its interval on a track from `from` to `to`. @param {{figure: any, target?: number | null, from?: number, to?: number, grey?: boolean, name?: string}} props */
export function Interval({ figure, target, from = 0, to = 1, grey = false, name = "accuracy" }) {
  const at = (/** @type {number} */ share) => `${Math.min(100, Math.max(0, (100 * (share - from)) / (to - from)))}%`;
  if (figure?.value == null) return html`<div class="interval" role="img" aria-label=${`${name}: too few to estimate`}></div>`;
  const low = figure.low ?? figure.value, high = figure.high ?? figure.value;
  const said = `${name} ${percent(figure.value)}, likely ${percent(low)} to ${percent(high)}${target ? `; asked for ${exactly(target)}` : ""}`;
  return html`<div class=${`interval ${grey ? "grey" : ""}`} role="img" aria-label=${said}>
    <i style=${{ left: at(low), right: `calc(100% - ${at(high)})` }}></i><b style=${{ left: at(figure.value) }}></b>
    ${target ? html`<s style=${{ left: at(target) }}></s>` : null}</div>`;
}

/** @type {Map<string, Promise<any>>} */
const evaluations = new Map();

/** A model's evaluation, which never changes: asked once. @param {string} id @returns {Promise<any>} */
export function evaluationOf(id) {
  const found = evaluations.get(id) ?? get(`v1/models/${part(id)}/evaluation`);
  evaluations.set(id, found);
  found.catch(() => evaluations.delete(id));
  return found;
}

/** The one figure a model is known by: its accuracy, or of several labels its mean average precision, which is asked for. @param {any} model @returns {{figure: any, name: string, waits: boolean}} */
export function useFigure(model) {
  const several = model?.label_mode === "multi_label";
  const { data, error } = useLoad(async () => (several ? (await evaluationOf(model.id)).mean_average_precision : null), [model?.id]);
  return { figure: several ? data : model?.accuracy, name: several ? "mean average precision" : "accuracy", waits: several && !data && !error };
}

/** @param {{model: any, target?: number | null, from: number}} props */
export function ModelFigure({ model, target, from }) {
  const { figure, name, waits } = useFigure(model), several = name !== "accuracy";
  if (waits) return html`<div style=${{ minHeight: "34px" }}></div>`;
  return html`<div><b>${percent(figure?.value)}</b> <small style=${{ display: "inline", marginLeft: "6px" }}>${range(figure)}</small></div><${Interval} figure=${figure} target=${several ? null : target} from=${from} name=${name} />${several && figure?.value != null && html`<small>${name}</small>`}`;
}

/** The same by curl or Python, with real ids and never the key. @param {{curl: string, python?: string}} props */
export function Same({ curl, python }) {
  const [how, set] = useState("curl");
  const text = how === "curl" ? curl : python ?? "";
  return html`<${Fold} title="The same by curl or Python">
    ${python && html`<div class="seg" role="group" aria-label="Language">${["curl", "python"].map((one) => html`<button type="button" aria-pressed=${how === one} onClick=${() => set(one)}>${one === "curl" ? "curl" : "Python"}</button>`)}</div>`}
    <${Code} text=${text} /></${Fold}>`;
}

/** @param {{text: string}} props */
export function Code({ text }) {
  return html`<div class="code"><pre tabindex="0"><code>${text}</code></pre><${Button} kind="small" onClick=${() => copy(text)}><${Icon} name="copy" size=${14} /> Copy</${Button}></div>`;
}

export const service = () => ROOT.href.replace(/\/$/, "");
/** @param {string} path @param {string} [more] */
export const curl = (path, more = "") => `export HEADSTART_API_KEY=…   # your key\ncurl -H "Authorization: Bearer $HEADSTART_API_KEY" ${more ? more + " " : ""}\\\n  "${service()}/${path}"`;
/** @param {string} lines */
export const python = (lines) => `import os\nimport httpx\n\nclient = httpx.Client(\n    base_url="${service()}/",\n    headers={"Authorization": f"Bearer {os.environ['HEADSTART_API_KEY']}"},\n    timeout=60,\n)\n${lines}`;

/** @param {string} text */
export async function copy(text, said = "Copied") {
  try { await navigator.clipboard.writeText(text); toast(said); } catch { toast("This browser does not let pages copy here: select it and copy."); }
}

/** A line at the foot, for eight seconds. @param {string} text @param {{label: string, act: () => void}} [action] */
export function toast(text, action) {
  window.dispatchEvent(new CustomEvent("toast", { detail: { text, action, id: Math.random() } }));
}

export function Toasts() {
  const [shown, set] = useState(/** @type {any[]} */ ([]));
  useEffect(() => {
    const drop = (/** @type {number} */ id) => set((old) => old.filter((one) => one.id !== id));
    const heard = (/** @type {any} */ event) => {
      set((old) => [...old.slice(-2), event.detail]);
      setTimeout(() => drop(event.detail.id), 8000);
    };
    window.addEventListener("toast", heard);
    return () => window.removeEventListener("toast", heard);
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">${shown.map((one) => html`<div class="toast" key=${one.id}><span>${one.text}</span>${one.action && html`<button type="button" onClick=${() => { set((old) => old.filter((other) => other !== one)); one.action.act(); }}>${one.action.label}</button>`}</div>`)}</div>`;
}

/** What would be lost by leaving: typed and not sent, on its way, or shown only once. @typedef {{said: string, verb: string, inside: boolean}} Loss */
/** @type {Map<object, Loss>} */
const losses = new Map();
const stop = (/** @type {Event} */ event) => event.preventDefault();
const watch = () => { window.onbeforeunload = losses.size ? stop : null; };

/** Have whoever leaves asked first; of nothing where `said` is empty, and where not `inside` only who leaves the console. @param {string} said @param {string} [verb] */
export function useUnsent(said, verb = "Leave without it", inside = true) {
  useEffect(() => {
    if (!said) return;
    const one = {};
    losses.set(one, { said, verb, inside });
    watch();
    return () => { losses.delete(one); watch(); };
  }, [said, verb, inside]);
}

/** What whoever goes to another page now would lose. @returns {Loss | undefined} */
export const unsent = () => [...losses.values()].filter((one) => one.inside).at(-1);

/** It is sent, or given up. */
export function settled() { losses.clear(); watch(); }

/** Go; whoever would lose something by it is asked first. @param {() => void} go @param {Loss} [loss] */
export function leaving(go, loss = unsent()) {
  if (!loss) return go();
  window.dispatchEvent(new CustomEvent("leaving", { detail: { ...loss, go } }));
}

/** To the page of what was made of it. @param {string} hash */
export function sentTo(hash) { settled(); location.hash = hash; }

/** What a dialog loses that is closed now: `once`, which it shows only once, or what was typed. @param {string} title @param {boolean} typed @param {string} once */
const lossOf = (title, typed, once) => ({ said: once || (typed ? `What you entered under “${title}” is not sent yet.` : ""), verb: once ? "Close it" : "Close without sending", inside: true });

/** A modal dialog; closes by Escape, asking first whoever has entered something, and Enter in a field presses its button. One that `stays` is not closed by hand. @param {{title: string, kind?: string, once?: string, stays?: boolean, onClose: () => void, children?: any}} props */
export function Dialog({ title, kind = "", once = "", stays = false, onClose, children }) {
  const box = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const [typed, type] = useState(false);
  const loss = lossOf(title, typed, once);
  useEffect(() => type(false), [title]);
  useUnsent(loss.said, "Leave without it");
  const leave = () => { if (stays) return; if (loss.said) leaving(onClose, loss); else onClose(); };
  const began = useRef(/** @type {EventTarget | null} */ (null));
  useEffect(() => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    const dialog = box.current;
    dialog?.showModal();
    // As long as it is open nothing behind it takes the focus.
    return () => { dialog?.close(); (before?.isConnected ? before : /** @type {HTMLElement | null} */ (document.querySelector("main h1")))?.focus({ preventScroll: true }); };
  }, []);
  // Whoever marks what is typed may let go beside the dialog: that closes nothing.
  const clicked = (/** @type {Event} */ event) => event.target === box.current && began.current === box.current && leave();
  const entered = () => type(!stays && !!box.current?.querySelector(".btn.primary, .btn.danger")); // a search sends nothing
  const cancelled = (/** @type {Event} */ event) => { if (event.target === box.current) { event.preventDefault(); leave(); } };
  const closed = () => box.current && (stays ? box.current.showModal() : onClose());
  const keyed = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape" && !event.defaultPrevented && !event.isComposing) { event.preventDefault(); leave(); }
    if (event.key !== "Enter" || event.defaultPrevented || event.isComposing || event.repeat) return;
    if (!(/** @type {HTMLElement} */ (event.target).matches("input:not([type=checkbox]):not([type=radio])"))) return;
    event.preventDefault();
    /** @type {HTMLElement | null | undefined} */ (box.current?.querySelector(".btn.primary"))?.click();
  };
  return html`<dialog ref=${box} class=${kind} aria-label=${title} onClose=${closed} onCancel=${cancelled} onInput=${entered} onPointerDown=${(/** @type {Event} */ event) => { began.current = event.target; }} onClick=${clicked} onKeyDown=${keyed}>${children}<${Toasts} /></dialog>`;
}

/** Only for what cannot be undone; the button names it. @param {{title: string, text: any, verb: string, onClose: () => void, act: () => Promise<any>}} props */
export function Sure({ title, text, verb, onClose, act }) {
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const go = () => { work(true); act().then(onClose, (refused) => { fail(refused); work(false); }); };
  return html`<${Dialog} title=${title} onClose=${onClose}><h2>${title}</h2><p class="muted" style=${{ marginTop: "8px" }}>${text}</p><${Failed} error=${error} />
    <div class="acts"><${Button} onClick=${onClose}>Cancel</${Button}><${Button} kind="danger" busy=${busy} onClick=${go}>${verb}</${Button}></div></${Dialog}>`;
}

/** Asks whoever would lose something by leaving. */
export function Leaving() {
  const [asked, set] = useState(/** @type {any} */ (null));
  useEffect(() => {
    const heard = (/** @type {any} */ event) => set(event.detail);
    window.addEventListener("leaving", heard);
    return () => window.removeEventListener("leaving", heard);
  }, []);
  if (!asked) return null;
  const stay = () => set(null);
  const go = () => { stay(); settled(); asked.go(); };
  return html`<${Dialog} title="Leave now?" onClose=${stay}><h2>Leave now?</h2><p class="muted" style=${{ marginTop: "8px" }}>${asked.said}</p>
    <div class="acts"><${Button} onClick=${go}>${asked.verb}</${Button}><${Button} kind="primary" autofocus onClick=${stay}>Stay</${Button}></div></${Dialog}>`;
}
