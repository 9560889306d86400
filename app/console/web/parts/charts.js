// @ts-check
/** Charts: each an image named by its sentence, with a table behind it. */
import { html } from "../vendor/preact.js";
import { exactly, percent } from "./words.js";

const LEFT = 44, RIGHT = 14, TOP = 12, BOTTOM = 40;

/** @param {{low: number, high: number, height: number}} props */
const across = ({ low, high, height }) => (/** @type {number} */ share) => TOP + (height - TOP - BOTTOM) * (1 - (share - low) / (high - low || 1));

/** @param {{ticks: number[], y: (share: number) => number, width: number}} props */
const Lines = ({ ticks, y, width }) => ticks.map((tick) => html`<g><line class="grid" x1=${LEFT} x2=${width - RIGHT} y1=${y(tick)} y2=${y(tick)} /><text x=${LEFT - 8} y=${y(tick) + 4} text-anchor="end">${percent(tick, 0)}</text></g>`);

/** @param {{head: string[], rows: any[][]}} props */
export const Behind = ({ head, rows }) => html`<details class="hint" style=${{ marginTop: "4px" }}><summary>As a table</summary><div class="scroll"><table><thead><tr>${head.map((one) => html`<th>${one}</th>`)}</tr></thead><tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table></div></details>`;

/** @param {number} low */
const floorOf = (low) => Math.max(0, Math.floor(low * 5) / 5);

/** @param {{curve: any, target?: number | null, now: number, said: string}} props */
export function LearningCurve({ curve, target, now, said }) {
  const width = 620, height = 260;
  const points = curve.points, forecast = curve.forecast;
  const every = [...points, ...forecast];
  const low = floorOf(Math.min(target ?? 1, ...every.map((one) => one.low)));
  const y = across({ low, high: 1, height });
  const [first, last] = [Math.log(every[0].per_class), Math.log(every.at(-1).per_class)];
  const x = (/** @type {number} */ n) => LEFT + 8 + (width - LEFT - RIGHT - 24) * ((Math.log(n) - first) / (last - first || 1));
  const line = (/** @type {any[]} */ some) => some.map((one) => `${x(one.per_class)},${y(one.accuracy)}`).join(" ");
  const ahead = [points.at(-1), ...forecast];
  const area = [...ahead.map((one) => `${x(one.per_class)},${y(one.high)}`), ...ahead.toReversed().map((one) => `${x(one.per_class)},${y(one.low)}`)].join(" ");
  const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1].filter((tick) => tick >= low - 1e-9);
  return html`<figure><svg class="svg" viewBox=${`0 0 ${width} ${height}`} width="100%" role="img" aria-label=${said || "Accuracy by examples a class; the table below says the same"}>
    <${Lines} ticks=${ticks} y=${y} width=${width} /><polygon class="area" points=${area} />
    ${target && html`<g><line class="dash" x1=${LEFT} x2=${width - RIGHT} y1=${y(target)} y2=${y(target)} /><text x=${LEFT + 4} y=${y(target) - 5}>${exactly(target)} asked for</text></g>`}
    ${every.map((one) => html`<line class="bandline" x1=${x(one.per_class)} x2=${x(one.per_class)} y1=${y(one.low)} y2=${y(one.high)} opacity=${points.includes(one) ? 1 : 0} />`)}
    <polyline class="curve" points=${line(points)} /><polyline class="curve fore" points=${line(ahead)} />
    ${points.map((/** @type {any} */ one) => html`<circle class="hit" cx=${x(one.per_class)} cy=${y(one.accuracy)} r="3.5" />`)}${forecast.map((/** @type {any} */ one) => html`<circle class="open" cx=${x(one.per_class)} cy=${y(one.accuracy)} r="3.5" />`)}
    ${every.map((one, n) => (n && x(one.per_class) - x(every[n - 1].per_class) < 26 ? null : html`<text x=${x(one.per_class)} y=${height - 22} text-anchor="middle" style=${Math.round(one.per_class) === now ? { fontWeight: 600, fill: "var(--ink)" } : {}}>${Math.round(one.per_class)}</text>`))}
    <text x=${width / 2} y=${height - 4} text-anchor="middle">examples a class; hollow: forecast</text></svg>
    <${Behind} head=${["examples a class", "accuracy", "from", "to", ""]} rows=${every.map((one) => [Math.round(one.per_class), percent(one.accuracy), percent(one.low), percent(one.high), points.includes(one) ? "measured" : "forecast"])} /></figure>`;
}

/** Neighbouring bins together, until each has 25 examples. @param {any[]} bins */
export function merged(bins) {
  /** @type {any[]} */
  const found = [];
  for (const bin of bins.filter((one) => one.count)) {
    const last = found.at(-1);
    const hits = bin.count * bin.accuracy.value;
    if (last && last.count < 25) { last.sure = (last.sure * last.count + bin.confidence * bin.count) / (last.count + bin.count); last.hits += hits; last.count += bin.count; }
    else found.push({ sure: bin.confidence, hits, count: bin.count });
  }
  const end = found.at(-1);
  if (found.length > 1 && end.count < 25) { const before = found.at(-2); before.sure = (before.sure * before.count + end.sure * end.count) / (before.count + end.count); before.hits += end.hits; before.count += end.count; found.pop(); }
  return found.map((one) => ({ ...one, ...wilson(one.hits, one.count) }));
}

/** Wilson's 95% interval. @param {number} hits @param {number} n */
export function wilson(hits, n) {
  const z = 1.96, p = hits / n, middle = (p + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n))) / (1 + (z * z) / n);
  return { right: p, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/** @param {{bins: any[], said: string}} props */
export function Certainty({ bins, said }) {
  const width = 360, height = 260, dots = merged(bins);
  if (!dots.length) return null;
  const low = floorOf(Math.min(...dots.map((one) => Math.min(one.low, one.sure))));
  const y = across({ low, high: 1, height });
  const x = (/** @type {number} */ share) => LEFT + (width - LEFT - RIGHT - 14) * ((share - low) / (1 - low || 1));
  const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1].filter((tick) => tick >= low - 1e-9);
  const most = Math.max(...dots.map((one) => one.count));
  return html`<figure><svg class="svg" viewBox=${`0 0 ${width} ${height}`} width="100%" role="img" aria-label=${said || "How often it is right by how sure it says it is; the table below says the same"}>
    <${Lines} ticks=${ticks} y=${y} width=${width} /><line class="dash" x1=${x(low)} y1=${y(low)} x2=${x(1)} y2=${y(1)} />
    ${dots.map((one) => html`<g><line class="bandline" x1=${x(one.sure)} x2=${x(one.sure)} y1=${y(one.low)} y2=${y(one.high)} /><circle class="hit" cx=${x(one.sure)} cy=${y(one.right)} r=${2.5 + 4 * Math.sqrt(one.count / most)} /></g>`)}
    ${ticks.map((tick) => html`<text x=${x(tick)} y=${height - 22} text-anchor="middle">${percent(tick, 0)}</text>`)}
    <text x=${width / 2} y=${height - 4} text-anchor="middle">how sure it says it is; upwards: how often right</text></svg>
    <${Behind} head=${["sure", "right", "from", "to", "how many"]} rows=${dots.map((one) => [percent(one.sure, 0), percent(one.right, 0), percent(one.low, 0), percent(one.high, 0), one.count])} /></figure>`;
}

/** Loss of each epoch, and how often right. @param {{metrics: any[]}} props */
export function Epochs({ metrics }) {
  const width = 620, height = 220;
  const most = Math.max(...metrics.map((one) => Math.max(one.train_loss, one.valid_loss ?? 0)), 1e-9);
  const y = (/** @type {number} */ loss) => TOP + (height - TOP - BOTTOM) * (1 - loss / most);
  const x = (/** @type {number} */ n) => LEFT + (width - LEFT - RIGHT) * (n / Math.max(1, metrics.length - 1));
  const line = (/** @type {string} */ name) => metrics.map((one, n) => (one[name] == null ? "" : `${x(n)},${y(one[name])}`)).join(" ");
  const end = metrics.at(-1);
  const said = `Loss after ${metrics.length} epochs: ${end.train_loss.toFixed(2)} to train${end.valid_loss == null ? "" : `, ${end.valid_loss.toFixed(2)} held out`}`;
  return html`<figure><svg class="svg" viewBox=${`0 0 ${width} ${height}`} width="100%" role="img" aria-label=${said}>
    ${[0, most / 2, most].map((tick) => html`<g><line class="grid" x1=${LEFT} x2=${width - RIGHT} y1=${y(tick)} y2=${y(tick)} /><text x=${LEFT - 8} y=${y(tick) + 4} text-anchor="end">${tick.toFixed(2)}</text></g>`)}
    <polyline class="curve" points=${line("train_loss")} /><polyline class="two-curve" points=${line("valid_loss")} />
    <text x=${width / 2} y=${height - 8} text-anchor="middle">epoch; blue: loss to train, orange: held out</text></svg>
    <${Behind} head=${Object.keys(end)} rows=${metrics.map((one) => Object.values(one).map((value) => (typeof value === "number" ? Number(value.toPrecision(4)) : value)))} /></figure>`;
}
