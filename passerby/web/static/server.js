// How the server is: its health in the badge, its streams as buttons.

import { $, element, sleep } from "./dom.js";
import { ask } from "./link.js";

const HEALTH = 5000; // milliseconds between two questions
const STREAMS = 3000;

export async function followHealth() {
  for (;;) {
    let words, mood;
    try {
      const { status, version } = await ask("health");
      [words, mood] = [`server ${status}`, status === "ok" ? "good" : "warn"];
      $("server").title = `passerby ${version}`;
    } catch {
      [words, mood] = ["server not reached", "bad"];
    }
    if ($("server").textContent !== words) $("server").textContent = words;
    $("server").className = `badge ${mood}`;
    await sleep(HEALTH);
  }
}

export async function followStreams(app) {
  for (;;) {
    if (app.state.tab === "streams" && !document.hidden) await showStreams(app);
    await sleep(STREAMS);
  }
}

export async function showStreams(app) {
  try {
    const rows = await ask("streams");
    const chosen = app.session?.kind === "stream" ? app.session.name : null;
    list(rows, chosen, (row) => app.watch(row));
    $("streams-say").textContent = rows.length ? "" : "The server has none: start it with passerby live SOURCE.";
  } catch (error) {
    $("streams-say").textContent = error.message;
  }
}

/** Buttons that stay in place while the list stays: whoever is about to press one must not lose it. */
function list(rows, chosen, choose) {
  const root = $("streams");
  const have = new Map([...root.children].map((button) => [button.dataset.name, button]));
  const buttons = rows.map((row) => {
    const button = have.get(row.name) ?? element("button", { type: "button", "data-name": row.name });
    const words = `${row.name}${row.state === "live" ? "" : ` (${row.state})`}`;
    if (button.textContent !== words) button.textContent = words;
    button.title = words;
    button.setAttribute("aria-pressed", String(row.name === chosen));
    button.onclick = () => choose(row);
    return button;
  });
  const same = buttons.length === root.children.length && buttons.every((button, k) => root.children[k] === button);
  if (!same) root.replaceChildren(...buttons);
}
