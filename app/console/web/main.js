// @ts-check
/** The frame: who is signed in, which page is shown, the keys that work everywhere. */
import { html, render, useEffect, useRef, useState } from "./vendor/preact.js";
import { ask, beside, get, key, onSignedOut, signedIn } from "./api.js";
import { dropped } from "./parts/drop.js";
import { THEME, dress } from "./parts/theme.js";
import { Button, Dialog, Failed, Guarded, Icon, Leaving, Loading, Logo, Toasts, leaving, settled, unsent, useBack, useEvery, useKeys } from "./parts/ui.js";

/** @type {[RegExp, string, () => Promise<any>][]} */
const ROOMS = [
  [/^\/$/, "home", () => import("./rooms/home.js")],
  [/^\/datasets$/, "datasets", () => import("./rooms/datasets.js")],
  [/^\/report$/, "datasets", () => import("./rooms/report.js")],
  [/^\/datasets\/([^/]+)$/, "datasets", () => import("./rooms/dataset.js")],
  [/^\/models$/, "models", () => import("./rooms/models.js")],
  [/^\/compare$/, "models", () => import("./rooms/compare.js")],
  [/^\/models\/([^/]+)$/, "models", () => import("./rooms/model.js")],
  [/^\/try(?:\/([^/]+))?$/, "try", () => import("./rooms/try.js")],
  [/^\/aliases$/, "aliases", () => import("./rooms/aliases.js")],
  [/^\/aliases\/([^/]+)$/, "aliases", () => import("./rooms/alias.js")],
  [/^\/hooks(?:\/([^/]+))?$/, "hooks", () => import("./rooms/hooks.js")],
  [/^\/feedback(?:\/([^/]+))?$/, "feedback", () => import("./rooms/feedback.js")],
  [/^\/webhooks$/, "hooks", () => import("./rooms/webhooks.js")],
  [/^\/jobs$/, "jobs", () => import("./rooms/jobs.js")],
  [/^\/jobs\/([^/]+)$/, "jobs", () => import("./rooms/job.js")],
  [/^\/system$/, "system", () => import("./rooms/system.js")],
  [/^\/usage$/, "usage", () => import("./rooms/usage.js")],
  [/^\/keys$/, "usage", () => import("./rooms/keys.js")],
  [/^\/more$/, "more", () => import("./rooms/more.js")],
];
/** @type {[string, string, any, string][][]} */
const RAIL = [
  [["home", "Home", "home", "#/"], ["datasets", "Datasets", "grid", "#/datasets"], ["models", "Models", "cube", "#/models"], ["try", "Try it", "play", "#/try"]],
  [["aliases", "Aliases", "at", "#/aliases"], ["hooks", "Hooks", "bolt", "#/hooks"], ["feedback", "Feedback", "inbox", "#/feedback"]],
  [["jobs", "Jobs", "line", "#/jobs"], ["system", "System", "rack", "#/system"], ["usage", "Usage", "gauge", "#/usage"]],
];

/** The page's address: what follows the `#`. */
function address() {
  const [path, query] = (location.hash.slice(1) || "/").split("?");
  return { path: path || "/", query: new URLSearchParams(query) };
}

/** An id as the address has it, read, where it can be. @param {string} text */
function read(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function useAddress() {
  const [at, set] = useState(address());
  useEffect(() => {
    let here = location.href, path = address().path;
    // An address cannot be refused: whoever would lose something is put back, and asked.
    const moved = () => {
      const to = location.href;
      if (unsent() && address().path !== path) { history.pushState(null, "", here); leaving(() => { location.href = to; }); return; }
      here = to;
      path = address().path;
      set(address());
    };
    window.addEventListener("hashchange", moved);
    return () => window.removeEventListener("hashchange", moved);
  }, []);
  return at;
}

/** @param {{again?: boolean, onDone: (me: any, secret: string) => void}} props */
function SignIn({ again = false, onDone }) {
  const [text, set] = useState("");
  const [busy, work] = useState(false);
  const [error, fail] = useState(/** @type {any} */ (null));
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    const before = document.title;
    document.title = "Sign in · Headstart";
    field.current?.focus();
    return () => { if (again) document.title = before; };
  }, []);
  const go = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!text.trim()) return fail({ message: "Put your key here; it begins with hs_." });
    work(true);
    try {
      const me = await (await ask("GET", "v1/me", { key: text.trim() })).json();
      if (!me.scopes.some((/** @type {string} */ one) => ["read", "admin"].includes(one))) throw new Error(`This key may ${me.scopes.join(" and ")}, but not read. The console shows what is there: sign in with a key that may read, too.`);
      onDone(me, text.trim());
    } catch (refused) { fail(refused); work(false); field.current?.select(); }
  };
  const said = error && (error.status === 401 ? "This key is not known here. It may have been revoked, or part of it is missing." : error.message);
  return html`<${again ? "div" : "main"} class="signin"><form onSubmit=${go} noValidate>
    <div class="brand"><${Logo} /><span>Headstart</span></div>
    <h1>Sign in</h1>
    ${again && html`<p class="muted">Your key is no longer accepted: it has ended, or was revoked or replaced. Sign in with another one and go on where you were; nothing that you entered is lost.</p>`}
    <label class="field"><span>API key</span>
      <input ref=${field} type="password" autocomplete="current-password" name="key" spellcheck=${false} placeholder="hs_…" value=${text} aria-invalid=${said ? "true" : null} aria-describedby="about" onInput=${(/** @type {any} */ event) => set(event.target.value)} />
      <small id="about" class=${said ? "wrong" : ""} role=${said ? "alert" : null}>${said || html`The first key is in the file <code>api-key</code> of the service's data folder. It stays in this tab.`}</small>
    </label>
    <button class=${`btn primary ${busy ? "busy" : ""}`} type="submit" disabled=${busy}>Sign in</button>
    <p class="hint"><a href=${beside("guide")}>Guide</a> · <a href=${beside("docs")}>HTTP API</a></p>
  </form></${again ? "div" : "main"}>`;
}

/** @param {{at: {path: string, query: URLSearchParams}, me: any}} props */
function Room({ at, me }) {
  const [room, set] = useState(/** @type {any} */ (null));
  const [error, fail] = useState(/** @type {any} */ (null));
  const first = useRef(true);
  const found = ROOMS.map(([pattern, , load]) => ({ match: pattern.exec(at.path), load })).find((one) => one.match);
  useEffect(() => {
    let here = true;
    fail(null);
    if (!found) return set({ Nothing: true });
    found.load().then((module) => { if (here) { set({ Page: module.default, path: at.path, id: read(found.match?.[1] ?? "") }); window.scrollTo(0, 0); } }, () => here && fail({ message: "This page could not be loaded.", code: "no_connection" }));
    return () => { here = false; };
  }, [at.path]);
  // Who came by a link that is gone with its page is at the new page's title, and not nowhere.
  useEffect(() => {
    if (first.current) { first.current = !room; return; }
    if (document.activeElement === document.body) /** @type {HTMLElement | null} */ (document.querySelector("main h1"))?.focus({ preventScroll: true });
  }, [room]);
  // A module that did not come is not asked for twice: the page is read anew, once there is a connection.
  useBack(!!error, () => { get("readyz").then(() => location.reload(), () => {}); });
  if (error) return html`<${Failed} error=${error} again=${() => location.reload()} />`;
  if (!room) return html`<${Loading} />`;
  if (room.Nothing) return html`<div class="empty"><h1>No such page</h1><p><a href="#/">Home</a></p></div>`;
  return html`<${Guarded} key=${room.path}><${room.Page} id=${room.id} query=${at.query} me=${me} /></${Guarded}>`;
}

/** @param {{me: any, health: any, at: any, onKey: () => void, onFind: () => void}} props */
function Rail({ me, health, at, onKey, onFind }) {
  const here = ROOMS.find(([pattern]) => pattern.test(at.path))?.[1];
  return html`<header class="rail">
    <a class="brand" href="#/"><${Logo} /><span>Headstart</span></a>
    <button type="button" class="find" onClick=${onFind} aria-label="Find or do" aria-keyshortcuts="Control+K Meta+K"><${Icon} name="search" size=${16} /><span>Find or do…</span><kbd>${/Mac/.test(navigator.platform) ? "⌘K" : "Ctrl K"}</kbd></button>
    <nav aria-label="Pages">${RAIL.map((group, n) => html`${n > 0 && html`<hr />`}${group.map(([name, title, icon, to]) => html`<a href=${to} aria-current=${here === name ? "page" : null} title=${title}><${Icon} name=${icon} size=${16} /><span>${title}</span></a>`)}`)}</nav>
    <div class="foot">
      <a href=${beside("guide")}><${Icon} name="book" size=${14} /><span>Guide</span></a>
      <a href="#/system"><i class=${`dot ${health.kind}`}></i><span>${health.text}</span></a>
      <button type="button" onClick=${onKey} aria-haspopup="dialog"><${Icon} name="key" size=${14} /><span>${me.organization_id} · <code>${me.prefix.slice(0, 9)}…</code></span></button>
    </div></header>`;
}

/** @param {{at: any}} props */
function Phone({ at }) {
  const [head, set] = useState({ title: "", back: "" });
  useEffect(() => {
    const heard = (/** @type {any} */ event) => set(event.detail);
    window.addEventListener("titled", heard);
    return () => window.removeEventListener("titled", heard);
  }, []);
  const here = ROOMS.find(([pattern]) => pattern.test(at.path))?.[1];
  const five = [RAIL[0][0], RAIL[0][1], RAIL[0][3], RAIL[1][2], ["more", "More", "more", "#/more"]];
  return html`<header class="top">${head.back ? html`<a href=${head.back} aria-label="Back"><${Icon} name="back" /></a>` : ""}<div class="title" aria-hidden="true">${head.title}</div><button type="button" aria-label="Find or do" onClick=${() => window.dispatchEvent(new CustomEvent("find"))}><${Icon} name="search" /></button></header>
    <nav class="five" aria-label="Pages">${five.map(([name, title, icon, to]) => html`<a href=${to} aria-current=${here === name || (name === "more" && !five.some(([one]) => one === here)) ? "page" : null}><${Icon} name=${icon} size=${20} />${title}</a>`)}</nav>`;
}

/** @param {{me: any, onClose: () => void, onOut: () => void}} props */
function KeyMenu({ me, onClose, onOut }) {
  const [theme, set] = useState(localStorage.getItem(THEME) ?? "system");
  const [letters, setLetters] = useState(localStorage.getItem("headstart.letters") ?? "on");
  const choose = (/** @type {string} */ value) => { localStorage.setItem(THEME, value); set(value); dress(); };
  const letter = (/** @type {string} */ value) => { localStorage.setItem("headstart.letters", value); setLetters(value); };
  return html`<${Dialog} title="Key and appearance" onClose=${onClose}>
    <h2>${me.name}</h2><p class="muted dense">of ${me.organization_id}, may ${me.scopes.join(", ")} · <code>${me.prefix}…</code></p>
    <dl class="facts" style=${{ marginTop: "16px" }}>
      <dt>Appearance</dt><dd><div class="seg" role="group" aria-label="Appearance">${["system", "light", "dark"].map((one) => html`<button type="button" aria-pressed=${theme === one} onClick=${() => choose(one)}>${one}</button>`)}</div></dd>
      <dt>Single-letter keys</dt><dd><div class="seg" role="group" aria-label="Single-letter keys">${["on", "off"].map((one) => html`<button type="button" aria-pressed=${letters === one} onClick=${() => letter(one)}>${one}</button>`)}</div></dd>
    </dl>
    <div class="acts">${me.scopes.includes("admin") && html`<a class="btn" href="#/keys" onClick=${onClose}>All keys</a>`}<a class="btn" href="#/usage" onClick=${onClose}>Usage</a><${Button} onClick=${onOut}>Sign out</${Button}></div></${Dialog}>`;
}

const HELP = [["?", "this list"], ["Ctrl K", "find a dataset, a model, an alias, an action"], ["g h, g d, g m, g t", "home, datasets, models, try it"], ["Enter, K, Z", "suspect label: relabel, keep, undo"], ["Arrows", "move in a grid or a matrix"], ["Y, N, 1–9", "try it: right, wrong, what it is"], ["1–9, 0, Enter, U, X, Z", "feedback: what it is, right, none of these, leave out, undo"], ["Escape", "close"]];

/** @param {any} ready what /readyz says @param {any} error */
function healthOf(ready, error) {
  if (error && !error.status) return { kind: "bad", text: "No connection" };
  const checks = ready?.checks ?? {};
  const down = Object.entries(checks).filter(([, said]) => said !== "ok").map(([name]) => name);
  if (error && !down.length) return { kind: "bad", text: "Not ready" };
  return down.length ? { kind: "miss", text: `${down.join(", ")} down` } : { kind: "", text: "All working" };
}

/** @param {{turn: number, onOut: () => void}} props */
function Frame({ turn, onOut }) {
  const at = useAddress();
  const [me, setMe] = useState(/** @type {any} */ (null));
  const [error, fail] = useState(/** @type {any} */ (null));
  const [health, setHealth] = useState({ kind: "off", text: "…" });
  const [open, set] = useState("");
  const [Palette, load] = useState(/** @type {any} */ (null));
  const look = () => get("readyz").then((ready) => setHealth(healthOf(ready, null)), (refused) => setHealth(healthOf(null, refused)));
  const find = () => import("./parts/palette.js").then((module) => { load(() => module.Palette); set("find"); });
  useEffect(() => { get("v1/me").then(setMe, fail); look(); }, [turn]);
  useEvery(look, 15);
  useEffect(() => {
    const heard = (/** @type {KeyboardEvent} */ event) => { if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") { event.preventDefault(); find(); } };
    const drop = (/** @type {any} */ event) => { event.preventDefault(); if (event.type === "drop") dropped(event); }; // what was dropped is gone once this returns
    document.addEventListener("keydown", heard);
    window.addEventListener("find", find);
    window.addEventListener("dragover", drop);
    window.addEventListener("drop", drop);
    return () => { document.removeEventListener("keydown", heard); window.removeEventListener("find", find); window.removeEventListener("dragover", drop); window.removeEventListener("drop", drop); };
  }, []);
  useEffect(() => set(""), [at.path]); // whoever goes back leaves what lies over the page, too
  const went = useRef(0);
  const go = (/** @type {string} */ to) => () => { if (Date.now() - went.current < 1200) location.hash = to; };
  useKeys({ "?": () => set("keys"), g: () => { went.current = Date.now(); }, h: go("#/"), d: go("#/datasets"), m: go("#/models"), t: go("#/try") });
  if (error && !me) return html`<main class="signin"><div><${Failed} error=${error} again=${() => location.reload()} /></div></main>`;
  if (!me) return html`<main class="page"><${Loading} /></main>`;
  return html`<a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); document.querySelector("h1")?.focus(); }}>To the page</a>
    <div class="frame"><${Rail} me=${me} health=${health} at=${at} onKey=${() => set("key")} onFind=${find} /><${Phone} at=${at} />
    <main class="page" id="main"><${Room} at=${at} me=${{ ...me, health }} /></main></div>
    <${Guarded} key=${open}>${open === "key" && html`<${KeyMenu} me=${me} onClose=${() => set("")} onOut=${onOut} />`}
    ${open === "find" && Palette && html`<${Palette} onClose=${() => set("")} />`}
    ${open === "keys" && html`<${Dialog} title="Keys" onClose=${() => set("")}><h2>Keys</h2><dl class="facts" style=${{ marginTop: "12px" }}>${HELP.map(([keys, what]) => html`<dt><kbd>${keys}</kbd></dt><dd>${what}</dd>`)}</dl></${Dialog}>`}</${Guarded}>`;
}

function App() {
  const [state, set] = useState(key.get() ? "in" : "out");
  const [turn, next] = useState(0);
  // With the page goes whatever it knew of who has signed out.
  const out = () => leaving(() => { settled(); key.drop(); location.reload(); });
  onSignedOut.call = () => { key.refused(); set("again"); };
  const enter = (/** @type {any} */ me, /** @type {string} */ secret) => {
    const another = state === "again" && key.of() !== me.organization_id;
    key.begin(secret, me.organization_id);
    if (another) { settled(); location.reload(); return; }
    set("in"); next(turn + 1); signedIn();
  };
  return html`${state === "out" ? html`<${SignIn} onDone=${enter} />` : html`<${Frame} turn=${turn} onOut=${out} />`}
    ${state === "again" && html`<${Dialog} title="Sign in" kind="over" stays onClose=${() => {}}><${SignIn} again onDone=${enter} /></${Dialog}>`}<${Leaving} /><${Toasts} />`;
}

/** Have a page's module on its way before it is needed. @param {string} path */
const foresee = (path) => { ROOMS.find(([pattern]) => pattern.test(path))?.[2]().catch(() => {}); };
const pointed = (/** @type {Event} */ event) => {
  const to = /** @type {Element | null} */ (event.target)?.closest?.('a[href^="#/"]')?.getAttribute("href");
  if (to) foresee(to.slice(1).split("?")[0]);
};
document.addEventListener("pointerover", pointed, { passive: true });
document.addEventListener("focusin", pointed);
if (key.get()) foresee(address().path);
render(html`<${Guarded}><${App} /></${Guarded}>`, /** @type {Element} */ (document.getElementById("app")));
