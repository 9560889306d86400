// @ts-check
/** An input from the prediction log: its picture or its text, fetched with the key. */
import { html, useEffect, useState } from "../../vendor/preact.js";
import { ask, picture } from "../../api.js";

/** Where the content of a logged input is, from what the API answers. @param {string} content */
const where = (content) => content.replace(/^\//, "");

/** Fetch what will be looked at next. @param {any} item @param {string} modality */
export const prefetch = (item, modality) => item?.content && modality === "image" && picture(where(item.content), {}, () => true).catch(() => {});

/** @param {{item: any, modality: string, alt: string, whole?: boolean, edge?: number}} props */
export function LoggedInput({ item, modality, alt, whole = false, edge = 96 }) {
  const [shown, set] = useState("");
  const [none, fail] = useState(!item.content);
  useEffect(() => {
    let here = true;
    set(""); fail(!item.content);
    if (!item.content) return;
    const found = modality === "text" ? ask("GET", where(item.content)).then((answer) => answer.text()) : picture(where(item.content), {}, () => true);
    found.then((/** @type {string} */ one) => here && set(one), () => here && fail(true));
    return () => { here = false; };
  }, [item.content]);
  const lost = item.content ? "cannot be shown: deleted by now, or of a kind that browsers do not show" : "only its fingerprint was kept";
  if (modality === "text") return none ? html`<span class="faint">${lost}</span>` : html`<span>${shown || "…"}</span>`;
  return html`<span class=${`pic ${whole ? "whole" : ""} ${none ? "none" : ""}`} aria-busy=${!shown && !none ? "true" : null}>${none ? html`<span>${lost}</span>` : shown && html`<img src=${shown} alt=${alt} width=${edge} height=${edge} decoding="async" onError=${() => fail(true)} />`}</span>`;
}
