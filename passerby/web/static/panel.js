// The numbers beside the picture, the list of lines and zones, and the table of what was found.

import { $, element } from "./dom.js";

const SAY = 2000; // milliseconds between two counts that are read out
const ROWS = 60; // of the table: what nobody reads costs time in every frame

export class Panel {
  constructor(editor) {
    this.editor = editor;
    this.times = []; // when the last results were shown
    this.said = { at: 0, words: "" };
    this.rows = [];
    $("found-card").addEventListener("toggle", () => this.table());
  }

  /** Begin anew, for another source. */
  clear() {
    this.times = [];
    for (const id of ["people", "total", "rate", "delay"]) $(id).textContent = "-";
    $("untracked").hidden = true;
    this.rows = [];
    this.table();
  }

  /** live: whether results come one after another, so that a rate means something. */
  show(result, live) {
    const now = performance.now();
    if (live) this.times = [...this.times.filter((t) => now - t < 3000), now];
    const span = this.times.at(-1) - this.times[0];
    $("rate").textContent = live && this.times.length > 1 ? (((this.times.length - 1) * 1000) / span).toFixed(1) : "-";
    $("people-of").textContent = live || result.state ? "in view" : "found";
    $("people").textContent = result.people ?? "-";
    $("total").textContent = result.total ?? "-";
    $("delay").textContent = result.delay === undefined ? "-" : Math.round(result.delay).toLocaleString("en");
    $("untracked").hidden = !result.untracked;
    this.counts(result);
    this.rows = result.detections;
    this.table();
    this.say(result);
  }

  say(result) {
    const words = result.people === undefined ? "" : `${result.people} ${$("people-of").textContent}`;
    const now = performance.now();
    if (words === this.said.words || now - this.said.at < SAY) return;
    this.said = { at: now, words };
    $("say").textContent = words;
    $("canvas").setAttribute("aria-label", `${result.source ?? result.stream ?? "picture"}: ${words}`);
  }

  table() {
    if (!$("found-card").open) return;
    const cells = (row) => [row.id ?? "", row.label, row.score.toFixed(2), ...row.box.map((v) => Math.round(v))];
    const line = (row) => element("tr", {}, ...cells(row).map((cell) => element("td", {}, cell)));
    const more = this.rows.length - ROWS;
    const rest = more > 0 ? [element("tr", {}, element("td", { colSpan: 7 }, `and ${more} more`))] : [];
    $("found").replaceChildren(...this.rows.slice(0, ROWS).map(line), ...rest);
  }

  /** The list of lines and zones anew: after one was drawn, named or removed. */
  list(scene) {
    const parts = [...scene.lines.map((part) => ["line", part]), ...scene.zones.map((part) => ["zone", part])];
    $("scene-empty").hidden = parts.length > 0;
    $("clear").disabled = parts.length === 0;
    this.told = new Map();
    $("scene").replaceChildren(...parts.map(([kind, part]) => this.entry(kind, part)));
  }

  entry(kind, part) {
    const { editor } = this;
    const label = `Name of the ${kind}`;
    const name = element("input", { type: "text", value: part.name, maxLength: 60, "aria-label": label });
    name.addEventListener("change", () => {
      const wanted = name.value.trim();
      const taken = [...editor.scene.lines, ...editor.scene.zones].some((p) => p !== part && p.name === wanted);
      if (wanted && !taken) part.name = wanted;
      editor.commit();
    });
    const counts = element("span", { className: "counts" }, "-");
    this.told.set(part.name, counts);
    const buttons = [element("button", { type: "button", onclick: () => editor.remove(part) }, "Remove")];
    if (kind === "line") {
      const turn = () => {
        [part.start, part.end] = [part.end, part.start];
        editor.commit();
      };
      buttons.unshift(element("button", { type: "button", onclick: turn, title: "In becomes out" }, "Turn"));
    }
    return element("li", {}, element("div", { className: "row" }, name, ...buttons), counts);
  }

  counts({ lines = {}, zones = {} }) {
    for (const [name, count] of Object.entries(lines)) this.write(name, `in ${count.in}, out ${count.out}`);
    for (const [name, { present, visitors, dwell }] of Object.entries(zones)) {
      const longest = Object.values(dwell).reduce((a, b) => Math.max(a, b), 0);
      const stay = present ? `, longest stay now ${longest.toFixed(0)} s` : "";
      this.write(name, `${present} now, ${visitors} in all${stay}`);
    }
  }

  write(name, words) {
    const place = this.told?.get(name);
    if (place && place.textContent !== words) place.textContent = words;
  }
}
