// @ts-check
/** Whether an alias is asked what it was asked at first: quiet or moved, by how much, and which inputs to look at. */
import { html, useState } from "../../vendor/preact.js";
import { get, part } from "../../api.js";
import { Behind } from "../charts.js";
import { LoggedInput } from "./logged.js";
import { Failed, Loading, Note, useEvery, useLoad } from "../ui.js";
import { ago, count, label, percent, several, thing } from "../words.js";

/** @type {[string, string][]} */
const TESTS = [["inputs", "the inputs themselves"], ["inputs_mean", "what all of them share, such as light"], ["outputs", "how sure it is of what"], ["outputs_mean", "which classes it answers"], ["outputs_mean_of_four", "the same, over four windows"], ["given_class", "inputs of the same class"], ["labelled_mix", "how often its labels name each class"]];

/** What labels say that a change is. @type {Record<string, string>} */
const CHANGES = { inputs: "Of the same class the inputs are others.", class_mix: "Other classes come more often; within a class nothing evident has changed.", both: "Other classes come more often, and within a class the inputs are others.", undecided: "Labels do not decide yet whether inputs or classes have changed." };
const MOST_MIX = 6;

/** @param {number} p */
const chances = (p) => (p >= 0.095 ? p.toFixed(2) : p >= 0.00095 ? p.toFixed(3) : p > 0 ? p.toFixed(4) : "under 0.0001");

/** The test of a window that shows most. @param {any} one */
const clearest = (one) => TESTS.slice(0, 5).map(([name, said]) => ({ said, ...(one[name] ?? { p: 2, effect: 0 }) })).sort((a, b) => a.p - b.p || b.effect - a.effect)[0];

/** Each window as a bar of its effect. @param {{windows: any[], at: any, onOpen: (one: any) => void}} props */
function Windows({ windows, at, onOpen }) {
  const oldest = windows.toReversed();
  const most = Math.max(0.05, ...oldest.map((one) => one.inputs.effect));
  return html`<div class="windows" role="group" aria-label="Windows, oldest first">${oldest.map((one) => html`<button type="button" key=${one.id} class=${one.drifted ? "moved" : ""} aria-pressed=${one.id === at.id ? "true" : "false"} aria-label=${`Window ${one.number}: ${one.drifted ? "moved" : "quiet"}, effect ${one.inputs.effect.toFixed(3)}`} title=${`window ${one.number}, ${one.drifted ? "moved" : "quiet"}, effect ${one.inputs.effect.toFixed(3)}`} onClick=${() => onOpen(one)}><i style=${{ height: `${Math.max(6, (100 * one.inputs.effect) / most)}%` }}></i></button>`)}</div>
    <p class="hint">each bar ${several(oldest[0].size, "input")}, newest at the right; height: how far they lie from the first ones; orange: told as moved</p>`;
}

/** @param {{one: any, target: string, modality: string}} props */
function Window({ one, target, modality }) {
  const moved = one.class_mix.filter((/** @type {any} */ share) => Math.abs(share.window - share.reference) >= 0.03).sort((/** @type {any} */ a, /** @type {any} */ b) => Math.abs(b.window - b.reference) - Math.abs(a.window - a.reference)).slice(0, MOST_MIX);
  const tests = TESTS.filter(([name]) => one[name]);
  return html`<div class="half" style=${{ gap: "20px 40px", marginTop: "16px" }}><div>
      <table><thead><tr><th>What was compared</th><th class="num">effect</th><th class="num">by chance (p)</th></tr></thead><tbody>${tests.map(([name, said]) => html`<tr key=${name}><td>${said}</td><td class="num">${one[name].effect.toFixed(3)}</td><td class="num">${chances(one[name].p)}</td></tr>`)}<tr><td style=${{ fontWeight: 500 }}>together</td><td></td><td class="num" style=${{ fontWeight: 500 }}>${chances(one.p)}</td></tr></tbody></table>
      <p class="hint" style=${{ marginTop: "6px" }}>0: the same; 1: nothing in common.${one.change ? ` ${CHANGES[one.change]}` : one.given_class ? "" : " No class-by-class comparison: too few of these inputs have an audited label, so another mix of the same classes counts as moved, too."}</p></div>
    <div>${moved.length > 0 ? html`<h3>What it answers</h3><table><thead><tr><th>Class</th><th class="num">at first</th><th class="num">now</th></tr></thead><tbody>${moved.map((/** @type {any} */ share) => html`<tr key=${share.label}><td style=${{ overflowWrap: "anywhere" }} title=${share.label}>${label(share.label)}</td><td class="num muted">${percent(share.reference, 0)}</td><td class="num">${percent(share.window, 0)}</td></tr>`)}</tbody></table>` : html`<p class="muted dense">It answers with the classes as often as at first.</p>`}</div></div>
    ${one.strangest.length > 0 && html`<h3 style=${{ margin: "18px 0 8px" }}>Strangest of them</h3><div class=${modality === "text" ? "" : "tiles"} style=${{ maxWidth: modality === "text" ? null : "620px" }}>${one.strangest.slice(0, 5).map((/** @type {any} */ odd) => html`<div class=${`tile ${modality === "text" ? "text" : ""}`} style=${{ cursor: "default" }} key=${odd.id}><${LoggedInput} item=${{ content: `/v1/models/${part(target)}/logged/${odd.id}/content` }} modality=${modality} alt=${`called ${label(odd.label)}, distance ${odd.distance.toFixed(2)}`} /><small>${label(odd.label)} <span class="faint">${odd.distance.toFixed(2)}</span></small></div>`)}</div>`}`;
}

/** How far the next comparison is. @param {{done: number, of: number, said: string}} props */
const Until = ({ done, of, said }) => html`<p class="dense">${said}</p><div class="bar" style=${{ maxWidth: "420px", marginTop: "6px" }} role="progressbar" aria-label="Inputs until the next comparison" aria-valuemin="0" aria-valuemax=${of} aria-valuenow=${Math.min(done, of)}><i style=${{ width: `${Math.min(100, (100 * done) / of)}%` }}></i></div>`;

/** @param {{target: string, alias: any, modality: string}} props */
export function Drift({ target, alias, modality }) {
  const { data, error, again } = useLoad(() => get(`v1/models/${part(target)}/drift`, { limit: 30 }), [target, JSON.stringify(alias?.prediction_log)]);
  const [chosen, choose] = useState("");
  useEvery(again, 30);
  if (!data) return html`<${Failed} error=${error} again=${again} />${!error && html`<${Loading} lines=${1} height=${90} />`}`;
  const log = alias?.prediction_log, newest = data.windows[0], things = thing(modality, 2);
  const at = data.windows.find((/** @type {any} */ one) => one.id === chosen) ?? newest;
  if (data.status === "off") return html`<p class="muted dense">Not looked for: that takes the log of what it is asked.</p>`;
  const wanted = log?.reference ?? 200;
  const next = data.status === "collecting" ? `The first ${count(wanted)} ${things} it is asked are what later ones are compared with: ${count(data.waiting)} so far.` : `Next comparison after ${count(data.window_size)} ${things}: ${count(Math.min(data.waiting, data.window_size))} so far.`;
  const notes = data.notes.filter((/** @type {string} */ one) => !/^\d+ more logged/.test(one)); // the bar says that
  const best = newest && clearest(newest);
  const sentence = newest && `${newest.drifted ? "Moved" : "Quiet"}: the latest ${count(newest.size)} ${things} ${newest.drifted ? "are not" : "are"} like the first ${count(data.reference.size)} it was asked`;
  return html`${newest && html`<p style=${{ fontSize: "17px", lineHeight: "26px" }} role="status"><span class=${newest.drifted ? "miss-ink" : "ok-ink"}>${newest.drifted ? "Moved." : "Quiet."}</span> The latest ${count(newest.size)} ${things} ${newest.drifted ? "are not like" : "are like"} the first ${count(data.reference.size)} it was asked.</p>
      <p class="muted dense" style=${{ margin: "4px 0 14px" }}>${newest.drifted ? `Clearest in ${best.said}: effect ${best.effect.toFixed(3)}, by chance ${chances(newest.p)} (all comparisons together). ` : `By chance ${chances(newest.p)} (all comparisons together). `}${ago(newest.last_at)}. ${newest.drifted && html`<a href=${`#/feedback/${part(target)}?draw=random`}>Label some drawn at random</a> to see whether it is still right.`}</p>
      <${Windows} windows=${data.windows} at=${at} onOpen=${(/** @type {any} */ one) => choose(one.id)} />
      ${at !== newest && html`<h3 style=${{ marginTop: "16px" }}>Window ${at.number}, ${at.drifted ? "moved" : "quiet"}, ${ago(at.last_at)}</h3>`}<${Window} one=${at} target=${target} modality=${modality} />`}
    <div style=${{ marginTop: "16px" }}><${Until} done=${data.waiting} of=${data.status === "collecting" ? wanted : data.window_size} said=${next} /></div>
    ${notes.length > 0 && html`<${Note} icon="info">${notes.join("; ")}.</${Note}>`}<${Failed} error=${error} again=${again} />
    <p class="hint" style=${{ marginTop: "12px", maxWidth: "760px" }} title=${data.method}>False alarms: ${data.false_alarms}.</p>
    ${newest && html`<${Behind} head=${["window", "outcome", "p", "effect"]} rows=${data.windows.map((/** @type {any} */ one) => [one.number, one.drifted ? "moved" : "quiet", chances(one.p), one.inputs.effect.toFixed(3)])} /><span class="sr">${sentence}</span>`}`;
}
