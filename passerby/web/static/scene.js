// Lines and zones drawn on the stage by mouse, finger or keys. Points are shares of the picture, 0 to 1.

import { $, element, later } from "./dom.js";

const STEP = 0.01; // of an arrow key; with Shift five times as much
const NEAR = 12; // screen pixels within which two points are one
const HINTS = {
  line: "Drag from one end to the other, or click both ends. Enter puts a line across the middle. Escape ends.",
  zone: "Click the corners; double click or Enter closes the zone. Enter at once puts one in the middle. Escape ends.",
};

const within = (value) => Math.min(1, Math.max(0, Math.round(value * 1e4) / 1e4));
const copy = (scene) => structuredClone(scene);

export class SceneEditor {
  /** changed(scene): called when something was drawn, moved, named or removed, not at every pixel of the way. */
  constructor(stage, changed) {
    this.stage = stage;
    this.root = stage.root;
    this.changed = changed;
    this.scene = { lines: [], zones: [] };
    this.mode = null; // "line", "zone" or null
    this.points = []; // of what is being drawn
    this.tell = later(250, () => this.changed(copy(this.scene)));
    this.root.addEventListener("pointerdown", (event) => this.press(event));
    this.root.addEventListener("pointermove", (event) => this.move(event));
    this.root.addEventListener("pointerup", (event) => this.release(event));
    this.root.addEventListener("dblclick", () => this.mode === "zone" && this.close());
    this.root.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.layHandles()).observe(this.root);
  }

  /** Take a scene from outside; nothing is told. */
  set(scene) {
    this.scene = { lines: [...(scene?.lines ?? [])], zones: [...(scene?.zones ?? [])] };
    this.draw(null);
    this.refresh();
  }

  /** Begin to draw a line or zone, or stop (null). */
  draw(mode) {
    this.mode = mode;
    this.points = [];
    this.root.classList.toggle("drawing", mode !== null);
    for (const kind of ["line", "zone"]) $(kind).setAttribute("aria-pressed", String(mode === kind));
    $("hint").textContent = mode ? HINTS[mode] : "";
    $("hint").hidden = !mode;
    if (mode) this.root.focus({ preventScroll: true });
    this.preview();
  }

  clear() {
    this.scene = { lines: [], zones: [] };
    this.draw(null);
    this.commit();
  }

  remove(part) {
    this.scene.lines = this.scene.lines.filter((p) => p !== part);
    this.scene.zones = this.scene.zones.filter((p) => p !== part);
    this.commit();
  }

  commit() {
    this.refresh();
    this.tell();
    this.tell.now();
  }

  refresh() {
    this.preview();
    this.makeHandles();
  }

  /** A name that no line or zone has yet. */
  name(kind) {
    const taken = new Set([...this.scene.lines, ...this.scene.zones].map((part) => part.name));
    for (let k = 1; ; k++) if (!taken.has(`${kind} ${k}`)) return `${kind} ${k}`;
  }

  add(kind, points) {
    if (kind === "line") {
      const line = { name: this.name("line"), start: points[0], end: points[1], point: "centre", slack: 0.25 };
      this.scene.lines.push(line);
    } else {
      this.scene.zones.push({ name: this.name("zone"), corners: points, point: "foot", settle: 0.5 });
    }
    this.draw(null);
    this.commit();
  }

  // Drawing by pointer

  at(event) {
    const box = this.root.getBoundingClientRect();
    return [within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)];
  }

  near(a, b) {
    const { clientWidth, clientHeight } = this.root;
    return Math.hypot((a[0] - b[0]) * clientWidth, (a[1] - b[1]) * clientHeight) < NEAR;
  }

  press(event) {
    if (!this.mode || event.button !== 0) return;
    event.preventDefault();
    this.root.setPointerCapture(event.pointerId);
    const point = this.at(event);
    if (this.mode === "line") {
      if (this.points.length === 0) this.points = [point];
      this.preview(point);
    } else if (this.points.length > 2 && this.near(point, this.points[0])) {
      this.close();
    } else if (!this.points.length || !this.near(point, this.points.at(-1))) {
      this.points.push(point);
      this.preview(point);
    }
  }

  move(event) {
    if (this.mode && this.points.length) this.preview(this.at(event));
  }

  release(event) {
    const point = this.at(event);
    if (this.mode !== "line" || !this.points.length) return;
    // A press and release in one place is the first of two clicks.
    if (!this.near(point, this.points[0])) this.add("line", [this.points[0], point]);
  }

  close() {
    if (this.points.length > 2) this.add("zone", this.points);
  }

  /** What is being drawn, on the canvas beside what is there; `point`: where the pointer is. */
  preview(point = null) {
    const lines = [...this.scene.lines];
    const zones = [...this.scene.zones];
    const points = point ? [...this.points, point] : this.points;
    if (this.mode === "line" && points.length > 1) lines.push({ name: "", start: points[0], end: points[1] });
    if (this.mode === "zone" && points.length) zones.push({ name: "", corners: points });
    this.stage.scene = { lines, zones };
    this.stage.repaint();
  }

  // Drawing and moving by keys

  key(event) {
    if (event.key === "Escape" && this.mode) this.draw(null);
    else if (event.key === "Enter" && this.mode && event.target === this.root) this.enter();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  enter() {
    const kind = this.mode;
    if (kind === "line") this.add("line", [[0.1, 0.5], [0.9, 0.5]]);
    else if (this.points.length > 2) this.close();
    else this.add("zone", [[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]]);
    const made = kind === "line" ? this.scene.lines.at(-1) : this.scene.zones.at(-1);
    this.handles.find((h) => h.part === made)?.button.focus();
  }

  makeHandles() {
    const points = [];
    for (const part of this.scene.lines) points.push([part, "start", part.start], [part, "end", part.end]);
    for (const part of this.scene.zones) part.corners.forEach((corner, k) => points.push([part, k, corner]));
    this.handles = points.map(([part, which, point]) => {
      const what = typeof which === "number" ? `corner ${which + 1}` : which;
      const button = element("button", { type: "button", "aria-label": `${part.name}, ${what}: arrow keys move it` });
      const handle = { part, which, point, button };
      button.addEventListener("keydown", (event) => this.nudge(event, handle));
      button.addEventListener("pointerdown", (event) => this.drag(event, handle));
      return handle;
    });
    $("handles").replaceChildren(...this.handles.map((h) => h.button));
    this.layHandles();
  }

  layHandles() {
    for (const { point, button } of this.handles ?? []) {
      button.style.left = `${100 * point[0]}%`;
      button.style.top = `${100 * point[1]}%`;
    }
  }

  put(handle, point) {
    const [x, y] = point.map(within);
    handle.point = [x, y];
    if (typeof handle.which === "number") handle.part.corners[handle.which] = handle.point;
    else handle.part[handle.which] = handle.point;
    this.layHandles();
    this.preview();
  }

  nudge(event, handle) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (way) {
      const step = STEP * (event.shiftKey ? 5 : 1);
      this.put(handle, [handle.point[0] + way[0] * step, handle.point[1] + way[1] * step]);
      this.tell();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.remove(handle.part);
      this.root.focus({ preventScroll: true });
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  drag(event, handle) {
    if (event.button !== 0) return;
    event.stopPropagation();
    const button = handle.button;
    button.setPointerCapture(event.pointerId);
    const move = (e) => this.put(handle, this.at(e));
    const end = () => {
      button.removeEventListener("pointermove", move);
      this.tell();
      this.tell.now();
    };
    button.addEventListener("pointermove", move);
    button.addEventListener("pointerup", end, { once: true });
    button.addEventListener("pointercancel", end, { once: true });
  }
}
