// @ts-check
/** The public HTTP API, as the console asks it. Nothing here is known to the console alone. */

/** Where the service lies: the folder above this module's. */
export const ROOT = new URL("../", import.meta.url);
const KEY = "headstart.key";

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

export const key = {
  get: () => sessionStorage.getItem(KEY),
  /** @param {string} value */
  set: (value) => sessionStorage.setItem(KEY, value),
  /** With whatever else is kept of who was signed in. */
  drop: () => sessionStorage.clear(),
};

/** Called when a request is answered 401. @type {{call: () => void}} */
export const onSignedOut = { call: () => {} };

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
  throw await refusal(answer, used);
}

/** @param {Response} answer @param {string | null} used */
async function refusal(answer, used) {
  const refused = new Refusal(answer.status, await answer.json().catch(() => null));
  refused.retryAfter = Number(answer.headers.get("retry-after") ?? 0);
  if (answer.status === 401 && used === key.get()) onSignedOut.call();
  return refused;
}

/** @param {string} path @param {Record<string, unknown>} [query] @param {AbortSignal} [signal] @returns {Promise<any>} */
export const get = async (path, query, signal) => (await ask("GET", path, { query, signal })).json();
/** @param {string} method @param {string} path @param {unknown} [json] @param {Record<string, string>} [headers] @returns {Promise<any>} */
export const send = async (method, path, json, headers) => (await ask(method, path, { json, headers })).json();

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
export function upload(path, { file, name, fields = {}, query = {}, progress, signal, headers = {} }) {
  const form = new FormData();
  for (const [field, value] of Object.entries(fields)) if (value !== "") form.append(field, value);
  form.append("file", file, name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url(path, query));
    request.setRequestHeader("authorization", `Bearer ${key.get()}`);
    for (const [header, value] of Object.entries(headers)) request.setRequestHeader(header, value);
    request.upload.onprogress = (event) => progress?.(event.total ? event.loaded / event.total : 0);
    request.onerror = () => reject(new Refusal(0, { detail: "The connection was lost while the file was going up." }));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    request.onload = () => {
      let said = null;
      try { said = JSON.parse(request.responseText); } catch { /* a proxy's page */ }
      if (request.status >= 200 && request.status < 300) return resolve(said);
      if (request.status === 401) onSignedOut.call();
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

// Pictures: fetched with the key into blob URLs, six at once, the last asked for first, 600 kept.
const AT_ONCE = 6, KEPT = 600;
/** @type {Map<string, Promise<string>>} */
const pictures = new Map();
/** @type {{run: () => Promise<void>, wanted: () => boolean, drop: () => void}[]} */
const waiting = [];
let running = 0;

/** @param {string} path @param {Record<string, unknown>} query @param {() => boolean} wanted @returns {Promise<string>} */
export function picture(path, query, wanted) {
  const name = url(path, query).href;
  const known = pictures.get(name);
  if (known) {
    pictures.delete(name);
    pictures.set(name, known);
    return known;
  }
  const made = new Promise((resolve, reject) => {
    const run = async () => {
      try {
        const answer = await ask("GET", path, { query });
        resolve(URL.createObjectURL(await answer.blob()));
      } catch (error) { pictures.delete(name); reject(error); }
    };
    waiting.push({ run, wanted, drop: () => { pictures.delete(name); reject(new DOMException("dropped", "AbortError")); } });
  });
  pictures.set(name, made);
  if (pictures.size > KEPT) forget();
  next();
  return made;
}

/** Pictures that are not to be shown again, by how their path begins. @param {string} under */
export function forgetPictures(under) {
  const from = url(under).href;
  for (const [name, made] of pictures) {
    if (!name.startsWith(from)) continue;
    pictures.delete(name);
    made.then((blob) => URL.revokeObjectURL(blob), () => {});
  }
}

function forget() {
  const [oldest, made] = /** @type {[string, Promise<string>]} */ (pictures.entries().next().value);
  pictures.delete(oldest);
  made.then((blob) => URL.revokeObjectURL(blob), () => {});
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
