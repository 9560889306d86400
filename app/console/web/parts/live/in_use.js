// @ts-check
/** A model in use under an alias: what is written down, whether it is still right, whether what it is asked has changed. */
import { html } from "../../vendor/preact.js";
import { get, part } from "../../api.js";
import { Drift } from "./drift.js";
import { LiveFigure } from "./live_accuracy.js";
import { LogSwitch } from "./prediction_log.js";
import { Failed, Loading, useLoad } from "../ui.js";

/** @param {{alias: any, modality: string, onChanged: () => void}} props */
export function InUse({ alias, modality, onChanged }) {
  const live = useLoad(() => get(`v1/models/${part(alias.name)}/accuracy`), [alias.name, alias.model]);
  return html`<section><header><h2>Is it still right?</h2><small>of what is drawn at random alone; what people report by themselves is mostly errors</small></header><${LogSwitch} alias=${alias} onChanged=${onChanged} />
      <div style=${{ marginTop: "14px" }}>${live.data ? html`<${LiveFigure} live=${live.data} />` : html`<${Failed} error=${live.error} again=${live.again} />`}</div>
      ${alias.prediction_log && html`<p class="row" style=${{ marginTop: "12px" }}><a class="btn small" href=${`#/feedback/${part(alias.name)}?draw=random`}>Label some drawn at random</a><a class="btn small" href=${`#/feedback/${part(alias.name)}`}>Label what it doubts</a></p>`}</section>
    <section><header><h2>Has what it is asked changed?</h2></header><${Drift} target=${alias.name} alias=${alias} modality=${modality} /></section>`;
}

/** The same on a model's page, of each of its aliases. @param {{names: string[], modality: string}} props */
export function InUseOf({ names, modality }) {
  const { data, error, again } = useLoad(() => Promise.all(names.map((name) => get(`v1/aliases/${part(name)}`))), [names.join()]);
  if (!names.length) return html`<p class="empty">No alias names this model yet. Give it one under “Use it”; what is asked under that name can then be written down, labelled and watched.</p>`;
  if (!data) return html`<${Failed} error=${error} again=${again} />${!error && html`<${Loading} />`}`;
  return html`${data.map((alias) => html`<div key=${alias.name}>${names.length > 1 && html`<h2 style=${{ marginTop: "28px" }}><a href=${`#/aliases/${part(alias.name)}`}>${alias.name}</a></h2>`}<${InUse} alias=${alias} modality=${modality} onChanged=${again} /></div>`)}`;
}
