// @ts-check
/** One amount, day by day or week by week: bars, named by a sentence, with a table behind them. */
import { html } from "../../vendor/preact.js";
import { Behind } from "../charts.js";

const DAY = 86_400_000, MOST_BARS = 100;

/** @param {string} date */
const short = (date) => new Date(date).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

/**
 * The amounts of every day between, the unused too; of weeks where the days are many.
 * @param {any[]} days @param {string} from @param {string} to @param {string} kind @param {boolean} most whether a week is its largest day, not their sum
 * @returns {{date: string, n: number}[]}
 */
export function bars(days, from, to, kind, most) {
  const of = new Map(days.map((one) => [one.date, one[kind]]));
  const every = [];
  for (let at = Date.parse(from); at <= Date.parse(to); at += DAY) { const date = new Date(at).toISOString().slice(0, 10); every.push({ date, n: of.get(date) ?? 0 }); }
  if (every.length <= MOST_BARS) return every;
  const weeks = [];
  for (let at = 0; at < every.length; at += 7) { const some = every.slice(at, at + 7).map((one) => one.n); weeks.push({ date: every[at].date, n: most ? Math.max(...some) : some.reduce((sum, n) => sum + n, 0) }); }
  return weeks;
}

/** @param {{days: any[], from: string, to: string, kind: string, what: string, said: (n: number) => string, most: boolean}} props */
export function DayBars({ days, from, to, kind, what, said, most }) {
  const shown = bars(days, from, to, kind, most);
  const weekly = shown.length > 1 && Date.parse(shown[1].date) - Date.parse(shown[0].date) > DAY;
  const top = Math.max(...shown.map((one) => one.n));
  const peak = shown.find((one) => one.n === top);
  const each = weekly ? "week" : "day";
  if (!top) return html`<p class="empty" style=${{ padding: "24px 0" }}>None in this time.</p>`;
  const name = `${what}, ${each} by ${each} from ${short(from)} to ${short(to)}: most ${weekly ? "in the week from" : "on"} ${short(peak?.date ?? from)}, ${said(top)}`;
  return html`<figure><div class="days" role="img" aria-label=${name}>
      <div class="peak faint">${said(top)}</div>
      <div class="of">${shown.map((one) => html`<span title=${`${weekly ? "week from " : ""}${short(one.date)}: ${said(one.n) || 0}`}><i style=${{ height: one.n ? `max(2px, ${(100 * one.n) / top}%)` : 0 }}></i></span>`)}</div>
      <div class="scale"><span>${short(shown[0].date)}</span>${shown.length > 2 && html`<span>${short(shown[Math.floor(shown.length / 2)].date)}</span>`}<span>${short(shown.at(-1)?.date ?? to)}</span></div></div>
    <${Behind} head=${[each, what.toLowerCase()]} rows=${shown.filter((one) => one.n).map((one) => [one.date, said(one.n)])} /></figure>`;
}
