// The page: which source is looked at, how, and what is done with the results.

import { listen } from "./controls.js";
import { $, download, element, sleep } from "./dom.js";
import { ask } from "./link.js";
import { Local } from "./local.js";
import { Panel } from "./panel.js";
import { Pictures } from "./pictures.js";
import { SceneEditor } from "./scene.js";
import { followHealth, followStreams, showStreams } from "./server.js";
import { Stage } from "./stage.js";
import { ServerStream } from "./streams.js";
import { LiveVideo, openCamera, openVideo } from "./video.js";
import { bannerOf, fileName, silence, where as whereWords } from "./words.js";

const VIDEO = /\.(mp4|m4v|webm|mov|mkv)$/i;
const EMPTY = {
  files: "Drop pictures or a video here", camera: "The camera is off", streams: "No stream is chosen",
};
const KEPT = 5000; // results that a saved file can hold: the newest

class App {
  constructor() {
    this.state = {
      tab: "files", where: "server", alone: false, model: "", threshold: 0.35, heat: false, paused: false,
      scene: { lines: [], zones: [] },
    };
    this.own = { lines: [], zones: [] }; // the scene of the browser's own sources; a stream has its own
    this.models = new Map();
    this.local = new Local();
    this.stage = new Stage($("stage"), $("canvas"));
    this.editor = new SceneEditor(this.stage, (scene) => this.drawn(scene));
    this.panel = new Panel(this.editor);
    this.session = null;
    this.history = [];
    listen(this);
    setInterval(() => this.tick(), 500);
    this.known = this.begin();
    followHealth();
    followStreams(this);
  }

  /** Ask for the models, and show the first stream where there is one. */
  async begin() {
    if (location.search.includes("token=")) history.replaceState(null, "", location.pathname); // the cookie has it now
    try {
      const models = await ask("models");
      models.forEach((model) => this.models.set(model.name, model));
      $("model").replaceChildren(...models.map((m) => element("option", { value: m.name }, m.name)));
      this.useModel((models.find((m) => m.default) ?? models[0]).name);
      this.setThreshold(this.models.get(this.state.model).threshold);
      const streams = await ask("streams");
      if (streams.length && !this.session && this.state.tab === "files") {
        this.useTab("streams");
        this.watch(streams[0]);
      }
    } catch (error) {
      this.notice(`The server cannot be used: ${error.message}.`, true);
    }
    $("main").setAttribute("aria-busy", "false");
  }

  // What sessions need

  silent() {
    return this.state.where === "browser" && this.state.alone;
  }

  /** An answer of the server with its heat map as bytes. */
  ready(answer) {
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    if (answer.heat) answer.heat = { ...answer.heat, values: bytes(answer.heat.values) };
    return answer;
  }

  /** Show a picture and what was found in it. live: one of a sequence, and new. */
  show(picture, result, live) {
    this.last = result;
    this.shownAt = performance.now();
    $("empty").hidden = result !== null;
    const labels = this.models.get(this.state.model)?.labels ?? [];
    this.stage.show(picture, result && { ...result, labels });
    if (result) this.panel.show(result, live);
    if (live) {
      if (this.busy) this.notice("");
      const { heat, ...kept } = result;
      this.history.push(kept);
      if (this.history.length > KEPT) this.history.shift();
    }
    this.progress();
    this.tick();
  }

  /** What can be saved now. */
  progress() {
    $("save-picture").disabled = !this.last;
    $("save-json").disabled = !(this.session?.results?.().length || this.history.length);
    if (this.session?.kind === "video" && !$("seek").matches(":active")) {
      $("seek").value = this.session.video.currentTime / (this.session.video.duration || 1);
    }
  }

  ended() {
    this.over = true;
    this.tick();
  }

  /** One line for the user; "" takes it away. */
  notice(words, bad = false) {
    $("notice").textContent = words;
    $("notice").hidden = !words;
    $("notice").classList.toggle("bad", bad);
    this.busy = words !== "";
  }

  takeScene(scene) {
    this.state.scene = scene;
    this.editor.set(scene);
    this.panel.list(this.editor.scene);
  }

  takeSettings({ threshold, model }) {
    if (threshold !== undefined) this.setThreshold(threshold);
    if (model !== undefined && this.models.has(model)) this.useModel(model);
  }

  // Sources

  use(session) {
    this.session?.stop();
    this.session = session;
    this.history = [];
    this.last = null;
    this.over = false;
    this.pause(false);
    this.notice("");
    this.panel.clear();
    this.show(null, null, false);
    const kind = session?.kind;
    const draws = ["camera", "video", "stream"].includes(kind);
    for (const id of ["pause", "line", "zone"]) $(id).disabled = !draws;
    $("seek-row").hidden = kind !== "video";
    if (kind !== "stream") this.takeScene(draws ? this.own : { lines: [], zones: [] });
    this.explain();
    session?.start();
  }

  useTab(tab) {
    this.state.tab = tab;
    document.querySelector(`#tabs input[value="${tab}"]`).checked = true;
    for (const name of ["files", "camera", "streams"]) $(`of-${name}`).hidden = name !== tab;
    $("empty").textContent = EMPTY[tab];
    this.cameraOff();
    this.use(null);
  }

  async take(files) {
    const videos = files.filter((file) => file.type.startsWith("video/") || VIDEO.test(file.name));
    if (files.length === 0) return;
    await this.known;
    if (this.state.tab !== "files") this.useTab("files");
    if (videos.length === 0) {
      this.use(new Pictures(this, files));
      return;
    }
    try {
      const video = await openVideo(videos[0]);
      this.use(new LiveVideo(this, video, videos[0].name, true));
      if (files.length > 1) this.notice(`One video at a time: ${videos[0].name}.`);
    } catch (error) {
      this.notice(error.message, true);
    }
  }

  /** Start the camera, or stop it; `other`: go on with the one that is chosen now. */
  async camera(other = false) {
    const on = this.session?.kind === "camera";
    if (on) {
      this.cameraOff();
      this.use(null);
      if (!other) return;
    }
    $("camera-says").textContent = "asking for the camera";
    await this.known;
    try {
      const video = await openCamera($("cameras").value);
      if (this.state.tab !== "camera") return;
      const [track] = video.srcObject.getVideoTracks();
      this.use(new LiveVideo(this, video, track.label || "camera", false));
      $("camera-start").textContent = "Stop the camera";
      $("camera-says").textContent = "";
      await this.listCameras(track.getSettings().deviceId);
    } catch (error) {
      $("camera-says").textContent = "";
      this.notice(error.message, true);
    }
  }

  cameraOff() {
    $("camera-start").textContent = "Start the camera";
    $("camera-says").textContent = "";
  }

  async listCameras(chosen) {
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter((d) => d.kind === "videoinput");
    const option = (d, k) => element("option", { value: d.deviceId }, d.label || `camera ${k + 1}`);
    $("cameras").replaceChildren(...devices.map(option));
    $("cameras").value = chosen;
    $("cameras-row").hidden = devices.length < 2;
  }

  watch(row) {
    this.takeSettings(row);
    this.use(new ServerStream(this, row.name));
    showStreams(this);
  }

  // Settings

  set(what, value) {
    if (this.state[what] === value) return;
    this.state[what] = value;
    this.session?.change(what);
    this.explain();
  }

  setThreshold(value) {
    $("threshold").value = value;
    $("threshold-value").textContent = Number(value).toFixed(2);
    this.state.threshold = Number(value);
  }

  useModel(name) {
    $("model").value = name;
    this.state.model = name;
  }

  /** Another model, with the threshold that is its own. */
  chooseModel(name) {
    this.set("model", name);
    this.setThreshold(this.models.get(name).threshold);
    this.session?.change("threshold");
  }

  showHeat(heat) {
    this.stage.heat = heat;
    this.set("heat", heat);
    this.stage.repaint();
  }

  /** Go to a place in the video, 0 to 1. */
  seek(share) {
    const { video } = this.session;
    video.currentTime = share * (video.duration || 0);
    this.over = false;
    if (!this.state.paused) video.play();
  }

  pause(paused) {
    $("pause").setAttribute("aria-pressed", String(paused));
    $("pause").textContent = paused ? "Go on" : "Pause";
    this.set("paused", paused);
    this.tick();
  }

  drawn(scene) {
    if (this.session?.kind !== "stream") this.own = scene;
    this.state.scene = scene;
    this.panel.list(this.editor.scene);
    this.session?.change("scene");
  }

  /** What the present choice means for the user's pictures, in words. */
  async explain() {
    const { where, alone, model } = this.state;
    const kind = this.session?.kind;
    const browser = where === "browser" && kind !== "stream";
    $("alone-row").hidden = !browser;
    $("untracked").textContent = silence(alone);
    const words = whereWords(browser, alone, kind);
    $("where-says").textContent = browser ? `${words} Fetching the model.` : words;
    if (!browser) return;
    let more;
    try {
      const { threads } = await this.local.load(model);
      more = `${words} ${threads} thread${threads > 1 ? "s" : ""}.`;
    } catch (error) {
      more = `This browser cannot run the network: ${error.message}.`;
    }
    const still = this.state.where === where && this.state.alone === alone && this.session?.kind === kind;
    if (still) $("where-says").textContent = more;
  }

  // Time

  tick() {
    const { words, calm } = bannerOf(this, performance.now() - (this.shownAt ?? 0));
    if ($("banner").textContent !== words) $("banner").textContent = words;
    $("banner").hidden = !words;
    $("banner").classList.toggle("calm", calm);
    $("stage").classList.toggle("old", words !== "" && !calm);
  }

  // Saving

  async savePicture() {
    if (this.last) download(await this.stage.png(), `${fileName(this.last)}.png`);
  }

  saveJson() {
    const { model, threshold, where } = this.state;
    const results = this.session?.results?.() ?? this.history;
    const scene = this.state.scene;
    const text = JSON.stringify({ model, threshold, where, saved: new Date().toISOString(), scene, results }, null, 1);
    download(new Blob([text], { type: "application/json" }), `${fileName(this.last)}.json`);
  }
}

new App();
