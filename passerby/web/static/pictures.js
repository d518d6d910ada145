// Pictures that were dropped or chosen: looked at one after another, shown as a strip.

import { $, element } from "./dom.js";
import { ask } from "./link.js";

// Asked for once with this, and filtered in the page: so the slider acts at once. The same boxes, since a box of a
// lower score never suppresses one of a higher.
const FLOOR = 0.05;
const THUMB = 240; // pixels across, of the strip

export class Pictures {
  kind = "pictures";

  constructor(app, files) {
    this.app = app;
    this.entries = files.map((file) => ({ file, name: file.name, result: null, error: "" }));
    this.round = 0; // rises when all must be looked at anew
    this.shown = null;
  }

  start() {
    $("strip").replaceChildren(...this.entries.map((entry) => this.tile(entry)));
    $("strip").hidden = this.entries.length < 2;
    this.lookAtAll();
  }

  stop() {
    this.round++;
    this.bitmap?.close();
    $("strip").hidden = true;
    $("strip").replaceChildren();
  }

  change(what) {
    if (what === "model" || what === "where") this.lookAtAll();
    else if (what === "threshold") this.refresh();
  }

  async lookAtAll() {
    const round = ++this.round;
    for (const entry of this.entries) {
      entry.result = null;
      entry.error = "";
    }
    this.refresh();
    for (const entry of this.entries) {
      const begun = performance.now();
      try {
        const result = await this.lookAt(entry.file);
        if (round !== this.round) return;
        entry.result = { ...result, source: entry.name, frame: 0, delay: performance.now() - begun };
        entry.bitmap = null;
      } catch (error) {
        if (round !== this.round) return;
        entry.error = error.message;
      }
      this.label(entry);
      if (!this.shown || this.shown === entry) await this.select(entry);
      this.app.progress();
    }
  }

  async lookAt(file) {
    const { where, model } = this.app.state;
    if (where === "browser") return this.app.local.look(model, file, FLOOR, true);
    const type = /^image\/(jpeg|png|webp|bmp)$/.test(file.type) ? file.type : "application/octet-stream";
    const query = new URLSearchParams({ model, threshold: FLOOR, heat: 1 });
    const options = { method: "POST", body: file, headers: { "Content-Type": type } };
    const busy = (seconds) => this.app.notice(`The server is busy: asking again in ${seconds} s.`);
    return this.app.ready(await ask(`detect?${query}`, options, busy));
  }

  tile(entry) {
    entry.canvas = element("canvas", { width: THUMB, height: Math.round(THUMB * 0.62) });
    entry.count = element("span", { className: "count" }, "waiting");
    const button = element("button", { type: "button", title: entry.name, "aria-current": "false" },
      entry.canvas, entry.count, element("span", {}, entry.name));
    button.addEventListener("click", () => this.select(entry));
    entry.button = button;
    this.thumb(entry);
    return button;
  }

  async thumb(entry) {
    try {
      const bitmap = await createImageBitmap(entry.file, { resizeWidth: THUMB, resizeQuality: "medium" });
      entry.canvas.height = Math.max(1, bitmap.height);
      entry.canvas.getContext("2d").drawImage(bitmap, 0, 0);
      bitmap.close();
    } catch {
      // `select` says that the browser cannot show it
    }
  }

  label(entry) {
    if (entry.error) entry.count.textContent = "failed";
    else entry.count.textContent = entry.result ? `${this.visible(entry).length} found` : "waiting";
  }

  visible(entry) {
    return entry.result.detections.filter((row) => row.score >= this.app.state.threshold);
  }

  refresh() {
    this.entries.forEach((entry) => this.label(entry));
    if (this.shown) this.draw();
  }

  /** Show one of the pictures. */
  async select(entry) {
    this.shown = entry;
    for (const other of this.entries) other.button.setAttribute("aria-current", String(other === entry));
    if (this.of !== entry) {
      try {
        const bitmap = await createImageBitmap(entry.file);
        if (this.shown !== entry) return bitmap.close();
        this.bitmap?.close();
        this.bitmap = bitmap;
        this.of = entry;
      } catch {
        this.bitmap = this.of = null;
        this.app.notice(`${entry.name}: this browser cannot show it.`, true);
      }
    }
    this.draw();
  }

  draw() {
    const { result, error, name } = this.shown;
    if (error) this.app.notice(`${name}: ${error}`, true);
    if (!result) {
      const empty = this.bitmap && { width: this.bitmap.width, height: this.bitmap.height, detections: [] };
      this.app.show(this.bitmap, empty, false);
      return;
    }
    const detections = this.visible(this.shown);
    this.app.show(this.bitmap, { ...result, detections, people: detections.length }, false);
  }

  /** What is saved: a line a picture, as `passerby detect --json` words it. */
  results() {
    return this.entries.filter((entry) => entry.result).map((entry) => {
      const { source, frame, width, height } = entry.result;
      return { source, frame, width, height, detections: this.visible(entry) };
    });
  }
}
