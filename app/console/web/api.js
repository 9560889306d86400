// @ts-check
/** The public HTTP API, as the console asks it. Nothing here is known to the console alone. */

/** Where the service lies: the folder above this module's. */
export const ROOT = new URL("../", import.meta.url);
const KEY = "headstart.key", OF = "headstart.of";

/** A refusal: a problem document, or the lack of any answer (`status` 0). */
export class Refusal extends Error {
  /** @param {number} status @param {any} problem */
  constructor(status, problem) {
    super(problem?.detail ?? problem?.message ?? `the service answered ${status}`);
    this.status = status;
    this.code = problem?.code ?? (status ? `http_${status}` : "no_connection");
    this.param = problem?.param ?? null;
    this.requestId = problem?.request_id ?? null;
    this.retryAfter = 0;
  }
}

/** The exchange of the tab's own key for a new one, while it goes on. @type {Promise<unknown>} */
let exchange = Promise.resolve();

export const key = {
  /** @param {Promise<unknown>} going ends once the new key is set */
  swap: (going) => { exchange = going; },
  get: () => sessionStorage.getItem(KEY),
  /** @param {string} value */
  set: (value) => sessionStorage.setItem(KEY, value),
  /** It is refused: whatever else is kept waits for whoever signs in next. */
  refused: () => sessionStorage.removeItem(KEY),
  /** The organisation that signed in last. */
  of: () => sessionStorage.getItem(OF),
  /** Who signs in: nobody sees what another organisation has left here. @param {string} value @param {string} organisation */
  begin: (value, organisation) => { if (key.of() !== organisation) key.drop(); sessionStorage.setItem(OF, organisation); key.set(value); },
  /** With whatever else is kept of who was signed in. */
  drop: () => sessionStorage.clear(),
};

/** Called when a key is refused. @type {{call: () => void}} */
export const onSignedOut = { call: () => {} };

/** Requests whose key was refused: they wait until somebody has signed in again. @type {Set<() => void>} */
const held = new Set();

/** Somebody of the same organisation has: ask again what waits. */
export function signedIn() {
  for (const go of held) go();
  held.clear();
}

/** Once there is another key than the refused one. @param {string | null} used @param {AbortSignal} [signal] @returns {Promise<void>} */
async function admitted(used, signal) {
  await exchange.catch(() => {});
  if (key.get() && key.get() !== used) return;
  await new Promise((resolve, reject) => {
    const go = () => resolve(null);
    held.add(go);
    signal?.addEventListener("abort", () => { held.delete(go); reject(new DOMException("aborted", "AbortError")); });
    onSignedOut.call();
  });
}

/** @param {string} path @param {Record<string, unknown>} [query] */
export function url(path, query = {}) {
  const made = new URL(path.replace(/^\//, ""), ROOT);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") made.searchParams.set(name, String(value));
  }
  return made;
}

/** A page of the service that is none of the console's, whatever prefix it is shown under. @param {string} path */
export const beside = (path) => new URL(path, ROOT).href;

/** @param {string} id */
export const part = (id) => encodeURIComponent(id).replaceAll("%3A", ":").replaceAll("%40", "@");

/**
 * @param {string} method @param {string} path
 * @param {{query?: Record<string, unknown>, json?: unknown, body?: BodyInit, headers?: Record<string, string>, signal?: AbortSignal, key?: string}} [options]
 * @returns {Promise<Response>}
 */
export async function ask(method, path, options = {}) {
  const used = options.key ?? key.get();
  const headers = new Headers(options.headers);
  if (used) headers.set("authorization", `Bearer ${used}`);
  if (options.json !== undefined) headers.set("content-type", "application/json");
  const body = options.json !== undefined ? JSON.stringify(options.json) : options.body;
  let answer;
  try {
    answer = await fetch(url(path, options.query), {
      method, headers, body, signal: options.signal, credentials: "omit",
    });
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") throw error;
    throw new Refusal(0, { detail: "No connection to the service." });
  }
  if (answer.ok) return answer;
  if (answer.status === 401 && !options.key) return admitted(used, options.signal).then(() => ask(method, path, options));
  throw await refusal(answer);
}

/** @param {Response} answer */
async function refusal(answer) {
  const refused = new Refusal(answer.status, await answer.json().catch(() => null));
  refused.retryAfter = Number(answer.headers.get("retry-after") ?? 0);
  return refused;
}

/** @param {string} path @param {Record<string, unknown>} [query] @param {AbortSignal} [signal] @returns {Promise<any>} */
export const get = async (path, query, signal) => (await ask("GET", path, { query, signal })).json();
/** A name for one effect, however often it is asked for. */
export const once = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** What was asked for and whose answer never came: asked for again, it takes effect once. @type {Map<string, string>} */
const unanswered = new Map();

/** @param {string} method @param {string} path @param {unknown} [json] @param {Record<string, string>} [headers] @returns {Promise<any>} */
export async function send(method, path, json, headers) {
  if (method !== "POST") return (await ask(method, path, { json, headers })).json();
  const what = `${path} ${JSON.stringify(json)}`;
  const name = unanswered.get(what) ?? once();
  unanswered.set(what, name);
  try {
    const answer = await (await ask(method, path, { json, headers: { "idempotency-key": name, ...headers } })).json();
    unanswered.delete(what);
    return answer;
  } catch (error) {
    if (error instanceof Refusal && error.status && error.status < 500) unanswered.delete(what);
    throw error;
  }
}

/** Every item of a list, page by page. @param {string} path @param {Record<string, unknown>} [query] @returns {Promise<any[]>} */
export async function all(path, query = {}, most = 20_000) {
  const found = [];
  for (let after; found.length < most; ) {
    const page = await get(path, { limit: 100, ...query, after });
    found.push(...page.data);
    if (!page.has_more || !page.data.length) break;
    after = page.data.at(-1).id;
  }
  return found;
}

/**
 * Send a form, telling how far it has come.
 * @param {string} path
 * @param {{file: Blob, name: string, fields?: Record<string, string>, query?: Record<string, unknown>, progress?: (share: number) => void, signal?: AbortSignal, headers?: Record<string, string>}} options
 * @returns {Promise<any>}
 */
export function upload(path, options) {
  const { file, name, fields = {}, query = {}, progress, signal, headers = {} } = options, used = key.get();
  const form = new FormData();
  for (const [field, value] of Object.entries(fields)) if (value !== "") form.append(field, value);
  form.append("file", file, name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url(path, query));
    request.setRequestHeader("authorization", `Bearer ${used}`);
    for (const [header, value] of Object.entries(headers)) request.setRequestHeader(header, value);
    request.upload.onprogress = (event) => progress?.(event.total ? event.loaded / event.total : 0);
    request.onerror = () => reject(new Refusal(0, { detail: "The connection was lost while the file was going up." }));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    request.onload = () => {
      let said = null;
      try { said = JSON.parse(request.responseText); } catch { /* a proxy's page */ }
      if (request.status >= 200 && request.status < 300) return resolve(said);
      if (request.status === 401) return admitted(used, signal).then(() => upload(path, options)).then(resolve, reject);
      reject(new Refusal(request.status, said));
    };
    signal?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

/**
 * A job's events as they happen. Resumes where it was, after a pause that is told.
 * @param {string} job
 * @param {{event: (event: any) => void, lost: (seconds: number) => void, back: () => void, done: () => void}} told
 * @returns {{stop: () => void, now: () => void}}
 */
export function follow(job, told) {
  let last = "", tries = 0, stopped = false, hurry = () => {};
  const control = new AbortController();
  const run = async () => {
    while (!stopped) {
      try {
        if (await stream(job, last, control.signal, (id, event) => { last = id || last; tries = 0; told.event(event); }, told.back)) {
          told.done();
          return;
        }
      } catch (error) {
        if (stopped) return;
        if (error instanceof Refusal && error.status >= 400 && error.status < 500) throw error;
      }
      if (stopped) return;
      const seconds = Math.min(15, 1 + 2 * tries++);
      told.lost(seconds);
      await new Promise((resolve) => { const timer = setTimeout(resolve, seconds * 1000); hurry = () => { clearTimeout(timer); resolve(null); }; });
    }
  };
  run().catch(() => {});
  return { stop: () => { stopped = true; control.abort(); hurry(); }, now: () => hurry() };
}

/**
 * One connection. @returns {Promise<boolean>} whether the job's end was told
 * @param {string} job @param {string} last @param {AbortSignal} signal @param {(id: string, event: any) => void} heard @param {() => void} open
 */
async function stream(job, last, signal, heard, open) {
  const headers = { accept: "text/event-stream", ...(last ? { "last-event-id": last } : {}) };
  const answer = await ask("GET", `v1/fine_tuning/jobs/${part(job)}/events`, { headers, signal });
  open();
  if (answer.status === 204 || !answer.body) return true;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return false;
    const frames = (rest + value).split(/\r?\n\r?\n/);
    rest = frames.pop() ?? "";
    for (const frame of frames) {
      const field = (/** @type {string} */ name) => frame.split(/\r?\n/).filter((line) => line.startsWith(name + ":")).map((line) => line.slice(name.length + 1).trimStart()).join("\n");
      if (field("event") === "done") return true;
      const data = field("data");
      if (data) heard(field("id"), JSON.parse(data));
    }
  }
}

// Pictures, as blob URLs, and texts of examples: fetched with the key, six at once, 600 of each kept;
// what is out of sight again before its turn is not fetched.
const AT_ONCE = 6, KEPT = 600;
/** @type {{run: () => Promise<void>, wanted: () => boolean, drop: () => void}[]} */
const waiting = [];
let running = 0;

/** Contents of one kind. @param {(answer: Response) => Promise<string>} read @param {(made: string) => void} end */
function shelf(read, end) {
  /** @type {Map<string, {made: Promise<string>, wanted: (() => boolean)[]}>} */
  const kept = new Map();
  /** @param {string} name */
  const drop = (name) => { kept.get(name)?.made.then(end, () => {}); kept.delete(name); };
  /** @param {string} path @param {Record<string, unknown>} query @param {() => boolean} wanted @returns {Promise<string>} */
  const take = (path, query, wanted) => {
    const name = url(path, query).href;
    const known = kept.get(name);
    if (known) {
      kept.delete(name);
      kept.set(name, known);
      known.wanted.push(wanted);
      return known.made;
    }
    const wants = [wanted];
    const made = new Promise((resolve, reject) => {
      const run = async () => {
        try { resolve(await read(await ask("GET", path, { query }))); } catch (error) { kept.delete(name); reject(error); }
        wants.length = 0;
      };
      waiting.push({ run, wanted: () => wants.some((one) => one()), drop: () => { kept.delete(name); reject(new DOMException("dropped", "AbortError")); } });
    });
    kept.set(name, { made, wanted: wants });
    if (kept.size > KEPT) drop(/** @type {string} */ (kept.keys().next().value));
    next();
    return made;
  };
  /** @param {string} from */
  const forget = (from) => { for (const name of [...kept.keys()]) if (name.startsWith(from)) drop(name); };
  return { take, forget };
}

const pictures = shelf(async (answer) => URL.createObjectURL(await answer.blob()), (made) => URL.revokeObjectURL(made));
const texts = shelf((answer) => answer.text(), () => {});
export const picture = pictures.take;
/** What an example says, if it is a text. @param {string} dataset @param {string} example */
export const textOf = (dataset, example, wanted = () => true) => texts.take(`v1/datasets/${dataset}/examples/${example}/content`, {}, wanted);

/** Contents that are not to be shown again, by how their path begins. @param {string} under */
export function forgetContents(under) {
  pictures.forget(url(under).href);
  texts.forget(url(under).href);
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    const job = /** @type {NonNullable<ReturnType<typeof waiting.shift>>} */ (waiting.shift());
    if (!job.wanted()) { job.drop(); continue; }
    running++;
    job.run().finally(() => { running--; next(); });
  }
}

/** Save what a route answers as a file. @param {string} path @param {Record<string, unknown>} [query] @param {Record<string, string>} [headers] */
export async function download(path, query, headers) {
  const answer = await ask("GET", path, { query, headers });
  if (answer.status === 202) return false;
  const named = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "");
  save(await answer.blob(), named?.[1] ?? path.split("/").at(-1) ?? "file");
  return true;
}

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
