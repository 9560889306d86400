// @ts-check
/** The report of what was dropped: a dry run, of which nothing is kept. */
import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { once, part, upload } from "../api.js";
import { forget, isWhole, waiting } from "../parts/drop.js";
import { startOf } from "../parts/train.js";
import { Button, Failed, Fold, Head, Icon, Note, Same, curl, python, sentTo, settled, toast, useUnsent } from "../parts/ui.js";
import { count, label, several, size, thing } from "../parts/words.js";
import { ReadAs } from "../parts/upload/read_as.js";
import { look, pack } from "../parts/upload/zip.js";

const PICTURE = /\.(jpe?g|png|webp|gif|bmp|avif)$/i;
const SHOWN = 5;

/** The members of what was dropped, whichever way it came. @param {any[]} files */
async function members(files) {
  if (!isWhole(files)) return files.map(({ path, file }) => ({ path, file: async () => file }));
  return /\.zip$/i.test(files[0].path) ? look(files[0].file).catch(() => []) : [];
}

/** Five pictures of each class, from the dropped file itself. @param {any[]} inside @param {string[]} labels */
function samples(inside, labels) {
  /** @type {Map<string, any[]>} */
  const found = new Map(labels.map((name) => [name.trim().normalize(), []]));
  for (const one of inside) {
    if (!PICTURE.test(one.path)) continue;
    const folder = one.path.split("/").slice(0, -1).reverse().find((/** @type {string} */ name) => found.has(name.trim().normalize()));
    const some = folder !== undefined ? found.get(folder.trim().normalize()) : null;
    if (some && some.length < SHOWN) some.push(one);
  }
  return found;
}

/** Whether names look as if several pictures showed the same thing: `p12_1.jpg`, `p12_2.jpg`. @param {any[]} inside */
function seemGrouped(inside) {
  /** @type {Map<string, number>} */
  const stems = new Map();
  for (const { path } of inside) {
    const stem = /([A-Za-z]*\d+)[ _.-]+[A-Za-z]*\d{1,4}\.\w+$/.exec(path.split("/").at(-1))?.[1];
    if (stem) stems.set(stem, (stems.get(stem) ?? 0) + 1);
  }
  const several = [...stems.values()].filter((n) => n > 1);
  return several.reduce((sum, n) => sum + n, 0) > 0.5 * inside.length && stems.size > 2;
}

/** @param {{one: any, alt: string}} props */
function Local({ one, alt }) {
  const [source, set] = useState("");
  const [broken, fail] = useState(false);
  useEffect(() => {
    let made = "";
    one.file().then((/** @type {Blob} */ blob) => { made = URL.createObjectURL(blob); set(made); }, () => {});
    return () => URL.revokeObjectURL(made);
  }, [one]);
  if (broken) return null;
  return html`<span class="pic">${source && html`<img src=${source} alt=${alt} width="38" height="38" onError=${() => fail(true)} />`}</span>`;
}

/** @param {any} problem */
function kindOf(problem) {
  if (problem.excluded) return ["left out", "bad"];
  return problem.code === "unsupported_member" ? ["ignored", ""] : ["kept", "miss"];
}

/** Its message without the path, which stands above it; the message may have the outermost folder, too. @param {any} problem */
function without({ path, message }) {
  const at = path ? message.indexOf(`${path}: `) : -1;
  return at === 0 || (at > 0 && message[at - 1] === "/") ? message.slice(at + path.length + 2) : message;
}

/** @param {{report: any}} props */
function Problems({ report }) {
  const [most, more] = useState(20);
  if (!report.num_problems) return html`<${Note} kind="ok" icon="check">Nothing is left out, and nothing is doubtful.</${Note}>`;
  return html`<section><header><h2>Left out or doubtful</h2><small>${count(report.num_problems)}</small></header>
    <div class="scroll"><table class="blocks"><thead class="sr"><tr><th>What becomes of it</th><th>Where and why</th><th>Code</th></tr></thead><tbody>
    ${report.problems.slice(0, most).map((/** @type {any} */ problem) => { const [said, kind] = kindOf(problem); return html`<tr><td style=${{ width: "84px", verticalAlign: "top" }}><span class=${`chip ${kind}`}>${said}</span></td><td style=${{ overflowWrap: "anywhere" }}>${problem.path && html`<b style=${{ fontWeight: 500 }}>${problem.path}</b><br />`}<span class="muted">${without(problem)}</span></td><td class="right mono faint" style=${{ verticalAlign: "top" }}>${problem.code}</td></tr>`; })}
    </tbody></table></div>${report.problems.length > most && html`<p><button type="button" class="link" onClick=${() => more(most + 200)}>More</button></p>`}</section>`;
}

/** What was read of a text table, label by label: whether it is the right columns. @param {{samples: any[]}} props */
function Texts({ samples }) {
  const names = [...new Set(samples.map((one) => one.label))];
  const [most, more] = useState(8);
  return html`<section><header><h2>As it was read</h2><small>the first texts of each label</small></header>
    <dl class="facts" style=${{ gridTemplateColumns: "minmax(0, 1fr) minmax(0, 2.5fr)" }}>${names.slice(0, most).map((name) => html`<dt key=${name} style=${{ overflowWrap: "anywhere" }} title=${name}>${label(name)}</dt><dd style=${{ overflowWrap: "anywhere" }}>${samples.filter((one) => one.label === name).map((one) => html`<p class="dense" style=${{ marginBottom: "4px", display: "-webkit-box", WebkitLineClamp: 2, WebkitBoxOrient: "vertical", overflow: "hidden" }} title=${one.text}>${one.text}</p>`)}</dd>`)}</dl>
    ${names.length > most && html`<p><button type="button" class="link" onClick=${() => more(1000)}>${names.length - most} further labels</button></p>`}</section>`;
}

/** @param {{report: any, inside: any[]}} props */
function Classes({ report, inside }) {
  const splits = report.splits.map((/** @type {any} */ one) => one.split);
  const shown = samples(inside, report.classes.map((/** @type {any} */ one) => one.label));
  const of = (/** @type {any} */ split, /** @type {string} */ name) => report.splits.find((/** @type {any} */ one) => one.split === split).classes.find((/** @type {any} */ one) => one.label === name)?.count ?? 0;
  return html`<div class="panel flush" style=${{ alignSelf: "start" }}><table><thead><tr><th>Class</th><th></th>${splits.map((/** @type {string} */ one) => html`<th class="num">${one}</th>`)}</tr></thead><tbody>
    ${report.classes.map((/** @type {any} */ one) => html`<tr><td style=${{ fontWeight: 500, overflowWrap: "anywhere" }} title=${one.label}>${label(one.label)}</td>
      <td><div class="strip local">${(shown.get(one.label.trim().normalize()) ?? []).map((some) => html`<${Local} key=${some.path} one=${some} alt=${`${label(one.label)}, ${some.path}`} />`)}</div></td>
      ${splits.map((/** @type {string} */ split) => { const n = of(split, one.label); return html`<td class=${`num ${split === "train" && n < 10 ? "miss-ink" : ""}`}>${n}</td>`; })}</tr>`)}</tbody></table></div>`;
}

/** A job that chooses everything itself, and its page; the dataset's where none could be started. @param {any} dataset */
async function started(dataset) {
  try { return `#/jobs/${(await startOf(dataset)).id}`; } catch (refused) { toast(/** @type {Error} */ (refused).message); return `#/datasets/${dataset.id}`; }
}

export default function Report() {
  const [turn, again] = useState(0);
  const [stage, set] = useState({ text: "", share: 0 });
  const [made, done] = useState(/** @type {any} */ (null));
  const [error, fail] = useState(/** @type {any} */ (null));
  const [name, rename] = useState("");
  const [fields, change] = useState(/** @type {Record<string, string>} */ ({}));
  const [told, tell] = useState(/** @type {Record<string, string>} */ ({}));
  const [keeping, keep] = useState("");
  const asked = useRef({ name: "", what: "", train: false });
  const control = useRef(new AbortController());
  const given = waiting();

  useEffect(() => {
    const heard = () => again((n) => n + 1);
    window.addEventListener("report", heard);
    return () => { window.removeEventListener("report", heard); control.current.abort(); };
  }, []);
  useEffect(() => {
    if (!given) return;
    control.current.abort();
    const mine = (control.current = new AbortController());
    done(null); fail(null);
    asked.current = { name: "", what: "", train: false };
    read(given, mine.signal).then((found) => { if (!mine.signal.aborted) { done(found); rename((old) => old || found.report?.name || found.name.replace(/\.\w+$/, "")); } },
      (refused) => refused.name !== "AbortError" && !mine.signal.aborted && fail(refused));
  }, [turn, given]);

  const options = () => Object.fromEntries(Object.entries(told).filter(([, value]) => value !== ""));
  const dirty = JSON.stringify(fields) !== JSON.stringify(told);
  const reread = () => { tell(fields); again(turn + 1); };
  const read = async (/** @type {any} */ { files, to }, /** @type {AbortSignal} */ signal) => {
    const whole = isWhole(files);
    const top = files[0].path.split("/")[0];
    const called = whole ? files[0].path : `${files.length > 1 && files[0].path.includes("/") ? top : "files"}.zip`;
    if (!whole) set({ text: "Putting the files together", share: 0 });
    const blob = whole ? files[0].file : await pack(files, (share) => set({ text: "Putting the files together", share }));
    const inside = await members(files);
    if (to) return { blob, title: whole ? called : top, name: called, inside, to };
    set({ text: "Sending it for a look", share: 0 });
    const began = performance.now();
    const report = await upload("v1/datasets", { file: blob, name: called, fields: options(), query: { validate_only: true }, signal, progress: (share) => set({ text: share < 1 ? "Sending it for a look" : "Looking into it", share }) });
    return { blob, title: whole ? called : called.replace(/\.zip$/, ""), name: called, inside, report, seconds: (performance.now() - began) / 1000 };
  };
  const save = async (/** @type {boolean} */ train) => {
    keep(train ? "train" : "keep"); fail(null);
    try {
      const path = made.to ? `v1/datasets/${part(made.to)}/examples` : "v1/datasets";
      const sent = made.to ? {} : { ...options(), name };
      // Sent again after a lost answer it makes one dataset; under another name it is another request.
      const what = JSON.stringify(sent), again = asked.current.what === what;
      asked.current = { name: again ? asked.current.name : once(), what, train };
      const dataset = await upload(path, { file: made.blob, name: made.name, fields: sent, signal: control.current.signal, headers: { "idempotency-key": asked.current.name }, progress: (share) => set({ text: "Sending it to be kept", share }) });
      forget();
      sentTo(train ? await started(dataset) : `#/datasets/${dataset.id}`);
    } catch (refused) { if (/** @type {any} */ (refused).name !== "AbortError") { fail(refused); keep(""); } }
  };
  const goes = !!given && (!!keeping || (!made && !error));
  useUnsent(goes ? `“${given.files[0].path.split("/")[0]}” is still on its way to the service. It stops when you leave, and nothing of it is kept.` : "", "Leave and stop it");
  useUnsent(made ? "Nothing of it is kept yet." : "", "Leave without it", false);
  const discard = () => { settled(); forget(); history.length > 1 ? history.back() : (location.hash = "#/"); };

  if (!given) return html`<${Head} title="Report" crumbs=${[["Datasets", "#/datasets"]]} /><p class="empty">Nothing was dropped. <a href="#/">Drop a folder on the first page.</a></p>`;
  const title = made?.title ?? given.files[0].path.split("/")[0];
  const report = made?.report;
  const out = report ? report.problems.filter((/** @type {any} */ one) => one.excluded).length : 0;
  const trains = report?.classes.length > 1;
  const stale = dirty && !made?.to ? "Read it again first: what you said has changed" : "";
  const acts = html`<${Button} onClick=${discard}>Discard</${Button}>${made && html`<${Button} kind=${made.to || !trains ? "primary" : ""} busy=${keeping === "keep"} why=${keeping === "train" ? "It is being kept" : stale} onClick=${() => save(false)}>${made.to ? `Add ${several(made.inside.length || 1, "file")}` : `Keep ${several(report.num_examples, "example")}`}</${Button}>`}${trains && html`<${Button} kind="primary" busy=${keeping === "train"} why=${keeping === "keep" ? "It is being kept" : stale} onClick=${() => save(true)}>Keep and train</${Button}>`}`;
  return html`<${Head} title=${title} crumbs=${[["Datasets", "#/datasets"]]} acts=${acts} sub=${html`${made && html`<span>${size(made.blob.size)}</span>`}${made?.inside.length > 0 && html`<span>${several(made.inside.length, "file")}${made.seconds ? `, read in ${made.seconds.toFixed(1)} s` : ""}</span>`}<span class="chip">Nothing is kept yet</span>`} />
    <${Failed} error=${error} again=${made ? () => save(asked.current.train) : () => again(turn + 1)} />
    ${error && !made && !given.to && html`<div class="folds" style=${{ marginTop: "16px" }}><${ReadAs} fields=${fields} open onChange=${change} onRead=${reread} dirty=${dirty} /></div>`}
    ${((!made && !error) || keeping) && html`<div class="panel" style=${{ marginTop: "24px" }} role="status"><div class="dense" style=${{ marginBottom: "8px" }}>${stage.text}…</div><div class="bar" role="progressbar" aria-valuenow=${Math.round(100 * stage.share)} aria-label=${stage.text}><i style=${{ width: `${100 * stage.share}%` }}></i></div></div>`}
    ${report && html`<div class=${`report ${report.classes.length > 40 ? "many" : ""}`} style=${{ marginTop: "28px" }}><div>
      <h2 style=${{ fontSize: "20px", lineHeight: "28px" }}>${count(report.num_examples)} of ${count(report.num_examples + out)} ${thing(report.modality, report.num_examples + out)} can be used, in ${several(report.classes.length, "class", "classes")}.</h2>
      ${report.assumed.map((/** @type {string} */ said) => html`<p class="muted" style=${{ marginTop: "6px" }}>${said[0].toUpperCase() + said.slice(1)}.</p>`)}
      <p class="muted" style=${{ marginTop: "6px" }}>${report.splits.map((/** @type {any} */ one) => `${count(one.num_examples)} to ${one.split}`).join(", ")}${report.splits.length === 1 ? ": the figures will come from folds" : ""}.</p>
      <${Problems} report=${report} />
      ${report.samples?.length > 0 && html`<${Texts} samples=${report.samples} />`}
      ${seemGrouped(made.inside) && html`<${Note} kind="miss" icon="info"><b>Do some ${thing(report.modality, 2)} show the same piece?</b> Their names suggest it. Then name its source in a column <code>group</code> of a <code>metadata.csv</code>; without it the figures come out too hopeful.</${Note}>`}
      <div class="folds"><${Fold} title="Name and backbone" summary=${`${name} · ${report.backbone}`}>
        <label class="field"><span>Name</span><input type="text" value=${name} maxlength="200" onInput=${(/** @type {any} */ event) => rename(event.target.value)} /></label></${Fold}>
        <${ReadAs} fields=${fields} onChange=${change} onRead=${reread} dirty=${dirty} />
        <${Same} curl=${curl("v1/datasets?validate_only=true", `${Object.entries(options()).map(([field, value]) => `-F ${field}=${JSON.stringify(value)} `).join("")}-F file=@${JSON.stringify(made.name)}`)} python=${python(`with open(${JSON.stringify(made.name)}, "rb") as file:\n    report = client.post("v1/datasets", params={"validate_only": True}, data=${JSON.stringify(options())}, files={"file": file}).json()\nprint(report["num_examples"], report["problems"])`)} /></div>
    </div><${Classes} report=${report} inside=${made.inside} /></div>`}
    ${made?.to && html`<p class="muted" style=${{ marginTop: "20px" }}>${several(made.inside.length || 1, "file")} will be added to the dataset as its next version. What is there already is not doubled, and where its label differs the newer one holds; what cannot be read is listed under its problems.</p>`}`;
}
