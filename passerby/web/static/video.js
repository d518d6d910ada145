// Live pictures in this browser, of its camera or of a video file: the newest frame, again and again, one at a time.

import { sleep } from "./dom.js";
import { Link } from "./link.js";

const WIDEST = 960; // pixels across that travel to the server; it looks at fewer still
const QUALITY = 0.85; // of the JPEGs that travel
const LOW = 0.1; // boxes from this score on help to follow people
const ALIVE = 20_000; // milliseconds after which a paused page says something, so that its counts are kept

/** What was counted before a connection was lost: the server begins at 0 then, the page goes on. */
class Carried {
  constructor() {
    this.base = { total: 0, id: 0, lines: {}, zones: {} };
    this.last = null;
    this.highest = 0;
  }

  again() {
    const { last } = this;
    if (last) this.base = { total: last.total, id: this.highest, lines: last.lines, zones: last.zones };
    this.last = null;
  }

  /** Lines and zones that were changed begin at 0. */
  forget(before, now) {
    for (const kind of ["lines", "zones"]) {
      const same = (name) => {
        const find = (scene) => JSON.stringify(scene[kind].find((part) => part.name === name));
        return find(before) !== undefined && find(before) === find(now);
      };
      this.base[kind] = Object.fromEntries(Object.entries(this.base[kind]).filter(([name]) => same(name)));
    }
  }

  add(seen) {
    const { base } = this;
    const sum = (counts, before) => {
      const out = { ...counts };
      for (const key of ["in", "out", "visitors"]) if (key in out) out[key] += before?.[key] ?? 0;
      return out;
    };
    const all = (kind) => Object.fromEntries(Object.entries(seen[kind]).map(([n, c]) => [n, sum(c, base[kind][n])]));
    const own = (row) => ({ ...row, id: row.id + base.id });
    const detections = seen.detections.map(own);
    for (const row of detections) this.highest = Math.max(this.highest, row.id);
    this.last = {
      ...seen, detections, events: seen.events.map(own), total: seen.total + base.total,
      lines: all("lines"), zones: all("zones"),
    };
    return this.last;
  }
}

export class LiveVideo {
  /** video: a <video> that is ready to play; ends: whether it is a file, with its own time. */
  constructor(app, video, name, ends) {
    Object.assign(this, { app, video, name, ends, kind: ends ? "video" : "camera" });
    this.spare = document.createElement("canvas"); // the frame that is looked at
    this.held = document.createElement("canvas"); // the frame that is shown
    this.small = document.createElement("canvas");
    this.carried = new Carried();
    this.scene = structuredClone(app.state.scene);
    this.frame = 0;
    this.stopped = false;
  }

  start() {
    this.connect();
    this.alive = setInterval(() => this.app.state.paused && this.set({}), ALIVE);
    this.video.play().catch(() => {});
    this.run();
  }

  stop() {
    this.stopped = true;
    clearInterval(this.alive);
    this.link?.close();
    this.video.pause();
    this.video.srcObject?.getTracks().forEach((track) => track.stop());
    if (this.video.src) URL.revokeObjectURL(this.video.src);
  }

  change(what) {
    const { state } = this.app;
    if (what === "scene") {
      this.carried.forget(this.scene, state.scene);
      this.scene = structuredClone(state.scene);
      this.set({ scene: state.scene });
    } else if (what === "where" || what === "alone") {
      this.link?.giveUp();
      this.connect();
    } else if (what === "paused" && this.ends) state.paused ? this.video.pause() : this.video.play();
    else if (what !== "paused") this.set({ [what]: state[what] });
  }

  /** A connection, unless nothing may leave this machine. */
  connect() {
    if (this.app.silent()) {
      this.link?.close();
      this.link = null;
    } else {
      this.link ??= new Link("ws/detect", () => this.greet(), (state) => (this.connection = state));
    }
  }

  greet() {
    this.carried.again();
    const { model, threshold, scene, heat } = this.app.state;
    this.set({ model, threshold, scene, heat });
  }

  set(what) {
    if (this.link?.socket.readyState !== WebSocket.OPEN) return; // `greet` will say it
    this.link.ask({ set: what }).catch((error) => this.app.notice(error.message, true));
  }

  async run() {
    while (!this.stopped) {
      await this.news();
      if (this.stopped) return;
      try {
        await this.step();
      } catch (error) {
        if (this.stopped) return;
        if (error.lost) continue;
        if (error.retry) this.app.notice(`The server is busy: next frame in ${error.retry} s.`);
        else this.app.notice(`${this.name}: ${error.message}`, true);
        await sleep((error.retry || 1) * 1000);
      }
    }
  }

  /** Resolves when there is a frame that was not looked at yet. A hidden page gets no callbacks: hence the clock. */
  async news() {
    const { video } = this;
    while (!this.stopped) {
      const fresh = video.readyState >= 2 && video.currentTime !== this.taken;
      if (fresh && !this.app.state.paused && video.videoWidth) return;
      if (this.ends && video.ended) this.app.ended();
      await new Promise((done) => {
        const timer = setTimeout(done, 100);
        video.requestVideoFrameCallback?.(() => { clearTimeout(timer); done(); });
      });
    }
  }

  async step() {
    const { video, spare } = this;
    const captured = performance.now();
    const time = this.ends ? video.currentTime : captured / 1000;
    this.taken = video.currentTime;
    fitCanvas(spare, video.videoWidth, video.videoHeight);
    spare.getContext("2d").drawImage(video, 0, 0);
    const result = this.app.state.where === "browser" ? await this.here(spare, time) : await this.there(spare, time);
    if (this.stopped || result === null) return;
    [this.held, this.spare] = [spare, this.held];
    const told = { source: this.name, frame: this.frame++, time, ...result, delay: performance.now() - captured };
    this.app.show(this.held, told, true);
  }

  /** Looked at by the server; boxes come back in the pixels that were sent. */
  async there(canvas, time) {
    const { width, height } = canvas;
    const scale = Math.min(1, WIDEST / width);
    fitCanvas(this.small, Math.round(width * scale), Math.round(height * scale));
    this.small.getContext("2d").drawImage(canvas, 0, 0, this.small.width, this.small.height);
    const jpeg = await new Promise((done) => this.small.toBlob(done, "image/jpeg", QUALITY));
    const bytes = new Uint8Array(8 + jpeg.size);
    new DataView(bytes.buffer).setFloat64(0, time, true);
    bytes.set(new Uint8Array(await jpeg.arrayBuffer()), 8);
    if (!this.link) return null; // nothing may be sent any more
    await this.link.ready();
    const answer = this.app.ready(await this.link.ask(bytes));
    const [x, y] = [width / answer.width, height / answer.height];
    const seen = this.carried.add(answer);
    const detections = seen.detections.map((row) => ({ ...row, box: row.box.map((v, k) => v * (k % 2 ? y : x)) }));
    return { ...seen, width, height, detections };
  }

  /** Looked at in this browser; boxes alone go to the server, to be followed and counted, unless nothing may. */
  async here(canvas, time) {
    const { model, threshold, heat } = this.app.state;
    const { width, height } = canvas;
    const found = await this.app.local.look(model, await createImageBitmap(canvas), Math.min(LOW, threshold), heat);
    const own = { width, height, heat: found.heat, ms: found.ms };
    if (this.link && this.link.socket.readyState === WebSocket.OPEN) {
      const boxes = { time, width, height, detections: found.detections };
      return { ...this.carried.add(await this.link.ask({ boxes })), ...own };
    }
    const detections = found.detections.filter((row) => row.score >= threshold);
    return { ...own, detections, people: detections.length, untracked: true };
  }
}

function fitCanvas(canvas, width, height) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}

const NO_CAMERA = {
  NotAllowedError: "The browser was told not to give its camera. Allow it beside the address, then start again.",
  NotFoundError: "The browser finds no camera.",
  NotReadableError: "The camera cannot be read; another program may be using it.",
  OverconstrainedError: "That camera is not there any more.",
};

/** The browser's camera as a playing <video>; device: "" for the one that the browser likes. Throws one line. */
export async function openCamera(device) {
  if (!globalThis.isSecureContext || !navigator.mediaDevices?.getUserMedia) {
    throw new Error("Browsers give their camera only to pages under https:// or on localhost. Open this page so: with "
      + "`passerby serve --cert --key`, or through a tunnel (ssh -L 8000:localhost:8000).");
  }
  const wanted = { width: { ideal: 1280 }, height: { ideal: 720 }, ...(device ? { deviceId: { exact: device } } : {}) };
  try {
    const video = document.createElement("video");
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    return await playable(video);
  } catch (error) {
    throw new Error(NO_CAMERA[error.name] ?? `The camera cannot be opened (${error.message}).`);
  }
}

/** A video file as a <video>. Throws one line where the browser cannot play it. */
export async function openVideo(file) {
  const video = document.createElement("video");
  video.src = URL.createObjectURL(file);
  try {
    return await playable(video);
  } catch {
    URL.revokeObjectURL(video.src);
    throw new Error(`${file.name}: this browser cannot play it (H.264 in MP4, or WebM, works in most).`);
  }
}

function playable(video) {
  Object.assign(video, { muted: true, playsInline: true, autoplay: false });
  return new Promise((done, fail) => {
    video.addEventListener("loadeddata", () => done(video), { once: true });
    video.addEventListener("error", () => fail(new Error("no picture comes")), { once: true });
    if (video.srcObject) video.play().catch(fail);
  });
}
