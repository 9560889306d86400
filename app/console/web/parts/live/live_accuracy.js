// @ts-check
/** How often a model in use is right, from what was drawn at random; and what volunteers said, apart from it. */
import { html, useState } from "../../vendor/preact.js";
import { part, send } from "../../api.js";
import { Button, Failed, Fold, Interval } from "../ui.js";
import { ago, count, label, percent, range, several } from "../words.js";

/** The figure with its interval and what it is of. @param {{live: any}} props */
export function LiveFigure({ live }) {
  if (!live?.audited) return html`<p class="muted dense">Not known yet: label some that are drawn at random, and the figure comes with its interval.</p>`;
  return html`<div style=${{ maxWidth: "420px" }}><p><b style=${{ fontSize: "22px", lineHeight: "28px" }}>${percent(live.accuracy.value)}</b> <span class="muted">right, likely ${range(live.accuracy)}, on ${several(live.audited, "input")} drawn at random${live.abstained ? `; ${several(live.abstained, "of them was", "of them were")} called unknown, which is not right` : ""}</span></p><${Interval} figure=${live.accuracy} name="right in use" /></div>`;
}

/** @param {{live: any, error: any}} props */
export function LiveAccuracy({ live, error }) {
  const summary = live?.audited ? `${percent(live.accuracy.value)} (${range(live.accuracy)}) on ${count(live.audited)} drawn at random` : "not known yet";
  return html`<${Fold} title="Is it still good?" summary=${summary}><${Failed} error=${error} /><${LiveFigure} live=${live} />
    ${live?.per_class.length > 0 && html`<div class="scroll"><table style=${{ marginTop: "12px", maxWidth: "640px" }}><thead><tr><th>Class</th><th class="num">labelled so</th><th style=${{ paddingLeft: "24px" }}>found</th><th class="num"></th></tr></thead><tbody>${live.per_class.map((/** @type {any} */ one) => html`<tr key=${one.label}><td style=${{ fontWeight: 500, overflowWrap: "anywhere" }} title=${one.label}>${label(one.label)}</td><td class="num faint">${one.count}</td><td style=${{ width: "40%", paddingLeft: "24px" }}><${Interval} figure=${one.recall} name=${`${label(one.label)} found`} /></td><td class="num">${percent(one.recall.value, 0)}</td></tr>`)}</tbody></table></div>`}
    ${live && html`<p class="hint" style=${{ marginTop: "10px" }}>${live.basis[0].toUpperCase() + live.basis.slice(1)}.</p>`}</${Fold}>`;
}

/** @param {any} one */
function saidOf(one) {
  if (one.labels) return one.labels.map(label).join(", ") || "none of its labels";
  if (one.label != null) return label(one.label);
  return one.unknown ? "none of its classes" : one.correct ? "right" : "wrong";
}

/** What was said without a draw. @param {{target: string, given: any[], all: number, onChanged: () => void}} props */
export function Volunteered({ target, given, all, onChanged }) {
  const [most, more] = useState(20);
  const [error, fail] = useState(/** @type {any} */ (null));
  const wrong = given.filter((one) => one.correct === false).length;
  const drop = (/** @type {any} */ one) => send("DELETE", `v1/models/${part(target)}/feedback/${one.id}`).then(onChanged, fail);
  return html`<${Fold} title="What was sent in" summary=${given.length ? `${count(given.length)}, of them ${wrong} “wrong”: not used to measure` : all ? "all of it was drawn at random" : "nothing yet"}><${Failed} error=${error} />
    ${given.length > 0 && html`<table class="blocks"><thead><tr><th>When</th><th>It said</th><th>It is</th><th>What became of it</th><th></th></tr></thead><tbody>${given.slice(0, most).map((one) => html`<tr key=${one.id}><td class="faint" style=${{ whiteSpace: "nowrap" }}>${ago(one.created_at)}</td><td style=${{ overflowWrap: "anywhere" }}>${one.predicted.labels ? one.predicted.labels.map(label).join(", ") || "none" : one.predicted.unknown ? "unknown" : label(one.predicted.label)} <span class="faint">${percent(one.predicted.probability, 0)}</span></td><td style=${{ overflowWrap: "anywhere" }}><b style=${{ fontWeight: 500 }}>${saidOf(one)}</b></td><td class="muted">${one.applied ? (one.applied.version ? html`<a href=${`#/datasets/${one.applied.dataset}`}>version ${one.applied.version}</a>` : `in no version: ${one.applied.reason}`) : one.label == null && !one.labels ? "names no class to learn" : one.notes.length ? one.notes.join("; ") : "waits for a version"}</td><td class="right"><${Button} kind="small bare" onClick=${() => drop(one)}>Forget</${Button}></td></tr>`)}</tbody></table>`}
    ${given.length > most && html`<p><button type="button" class="link" onClick=${() => more(most + 200)}>More</button></p>`}</${Fold}>`;
}
