// @ts-check
/** How numbers, times and names are said. */

/** @param {number | null | undefined} share */
export const percent = (share, digits = 1) => (share == null ? "–" : `${(share * 100).toFixed(digits)}%`);
/** A share that somebody has set, as exactly as it was said. @param {number} share */
export const exactly = (share) => `${Number((100 * share).toFixed(4))}%`;
/** How sure a model says it is: never all, never nothing. @param {number} share */
export const chance = (share) => (share > 0.9995 ? "over 99.9%" : share < 0.0005 ? "under 0.1%" : percent(share));
/** @param {number} n */
export const count = (n) => n.toLocaleString("en");
/** @param {number} n @param {string} one @param {string} [many] */
export const several = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;
/** @param {{low: number | null, high: number | null} | null | undefined} figure */
export const range = (figure) =>
  figure?.low == null || figure.high == null ? "too few to estimate" : `${(figure.low * 100).toFixed(1)} to ${percent(figure.high)}`;

/** @param {number} bytes */
export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (bytes >= 1000 && at < 4) { bytes /= 1000; at++; }
  return `${at && bytes < 100 ? bytes.toFixed(1) : Math.round(bytes)} ${units[at]}`;
}

/** @param {number} seconds since 1970 */
export function ago(seconds) {
  const age = Date.now() / 1000 - seconds;
  if (age < 60) return "now";
  if (age < 3600) return `${Math.floor(age / 60)} min ago`;
  if (age < 86400) return `${Math.floor(age / 3600)} h ago`;
  if (age < 172800) return "yesterday";
  return new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}

/** @param {number} seconds */
export const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

/** @param {number | null | undefined} seconds */
export function lasted(seconds) {
  if (seconds == null) return "";
  if (seconds < 10) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${(seconds / 3600).toFixed(1)} h` : several(Math.round(seconds / 86_400), "day");
}

/** A class' name: `_` shows as a space. @param {string} label */
export const label = (label) => label.replaceAll("_", " ");

/** @param {string} modality @param {number} [n] */
export const thing = (modality, n = 1) => (modality === "text" ? "text" : "picture") + (n === 1 ? "" : "s");

/** A model's id, its middle left out. @param {string} id */
export const short = (id) => (id.length > 34 ? `${id.slice(0, 20)}…${id.slice(-6)}` : id);

/** What a model is called: its suffix, else its dataset's name, else its backbone. @param {any} model */
export function called(model) {
  return model.suffix || model.dataset?.name || model.id.split(":")[3] || model.backbone || model.id;
}
/** @param {any} model */
export const ofVersion = (model) => called(model) + (model.dataset?.version ? `, of version ${model.dataset.version}` : "");

/** A model among others to choose from; of several labels its figure is not in the list. @param {any} model */
export const choice = (model) => [ofVersion(model), model.accuracy ? percent(model.accuracy.value) : model.label_mode === "multi_label" ? "several labels" : percent(null), model.id.slice(-6)].join(" · ");

/** What a model says of an example, or what it has: one label, or all of them. @param {any} one @param {string} single @param {string} all */
export const told = (one, single, all) => (one[all] ? one[all].map(label).join(", ") || "none of its labels" : label(one[single]));

/** How an alias may be called, for a field's `pattern`; blanks around it are left out. */
export const ALIAS = "\\s*[A-Za-z0-9][A-Za-z0-9._@\\-]*\\s*";
export const ALIAS_SAID = "Letters (A to z), digits, dots, -, _ and @; a letter or a digit first";

/** @param {any} job */
export const ended = (job) => ["succeeded", "failed", "cancelled"].includes(job.status);
