// @ts-check
/** On a phone: what the five tabs have no room for. */
import { html } from "../vendor/preact.js";
import { beside } from "../api.js";
import { Head } from "../parts/ui.js";

export default function More() {
  return html`<${Head} title="More" /><div class="list">${[["Models", "#/models", "what was trained, and how good it is"], ["Aliases", "#/aliases", "stable names that programs ask"], ["Hooks", "#/hooks", "what retrains by itself"], ["Webhooks", "#/webhooks", "where events are sent to"], ["Jobs", "#/jobs", "what runs and what ran"], ["System", "#/system", "workers, queue, disk, backbones"], ["Usage", "#/usage", "what was used, and what is allowed"], ["Keys", "#/keys", "who may do what"], ["Guide", beside("guide"), "how things are done"], ["HTTP API", beside("docs"), "every route"]].map(([name, to, said]) => html`<a class="item" href=${to}><div><div class="name">${name}</div><small>${said}</small></div></a>`)}</div>`;
}
