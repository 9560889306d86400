// @ts-check
/** An input from the prediction log: its picture or its text, fetched with the key. */
import { html, useEffect, useState } from "../../vendor/preact.js";
import { ask, picture } from "../../api.js";
import { LOST, unreached, useBack } from "../ui.js";

/** Where the content of a logged input is, from what the API answers. @param {string} content */
const where = (content) => content.replace(/^\//, "");

/** Fetch what will be looked at next. @param {any} item @param {string} modality */
export const prefetch = (item, modality) => item?.content && modality === "image" && picture(where(item.content), {}, () => true).catch(() => {});

/** @param {{item: any, modality: string, alt: string, whole?: boolean, edge?: number}} props */
export function LoggedInput({ item, modality, alt, whole = false, edge = 96 }) {
  const [shown, set] = useState("");
  const why = item.content ? "" : "only its fingerprint was kept";
  const [none, fail] = useState(why);
  const [turn, again] = useState(0);
  const unseen = () => fail("cannot be shown: deleted by now, or of a kind that browsers do not show");
  useBack(none === LOST, () => again((n) => n + 1));
  useEffect(() => {
    let here = true;
    set(""); fail(why);
    if (!item.content) return;
    const found = modality === "text" ? ask("GET", where(item.content)).then((answer) => answer.text()) : picture(where(item.content), {}, () => true);
    found.then((/** @type {string} */ one) => here && set(one), (/** @type {any} */ error) => { if (here) unreached(error) ? fail(LOST) : unseen(); });
    return () => { here = false; };
  }, [item.content, turn]);
  if (modality === "text") return none ? html`<span class="faint">${none}</span>` : html`<span>${shown || "…"}</span>`;
  return html`<span class=${`pic ${whole ? "whole" : ""} ${none ? "none" : ""}`} aria-busy=${!shown && !none ? "true" : null}>${none ? html`<span>${none}</span>` : shown && html`<img src=${shown} alt=${alt} width=${edge} height=${edge} decoding="async" onError=${unseen} />`}</span>`;
}
