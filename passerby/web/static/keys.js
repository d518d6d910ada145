// Shortcuts: one letter each, which can be switched off (they are in the way of speech input).

import { $, element } from "./dom.js";

const STORE = "passerby.keys";

/** rows: [[key, words, function]]; the help lists them. */
export function shortcuts(rows) {
  const shown = { " ": "Space" };
  $("keys").replaceChildren(...rows.flatMap(([key, words]) => [
    element("dt", {}, element("kbd", {}, shown[key] ?? key.toUpperCase())), element("dd", {}, words),
  ]));
  const help = $("help");
  const on = $("keys-on");
  on.checked = stored() !== "off";
  on.addEventListener("change", () => store(on.checked ? "on" : "off"));
  $("help-open").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (!on.checked || event.ctrlKey || event.metaKey || event.altKey || help.open || event.defaultPrevented) return;
    if (event.target.closest("input[type=text], select, textarea")) return;
    // Space and Enter belong to the control that has the focus.
    if (event.key === " " && event.target.closest("button, input, summary, label")) return;
    const row = rows.find(([key]) => key === event.key.toLowerCase());
    if (!row) return;
    event.preventDefault();
    row[2]();
  });
}

function stored() {
  try {
    return localStorage.getItem(STORE);
  } catch {
    return null; // storage is switched off
  }
}

function store(value) {
  try {
    localStorage.setItem(STORE, value);
  } catch {
    // it holds until the page is closed
  }
}
