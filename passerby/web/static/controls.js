// Every control of the page, tied to the app: mouse, finger, keys, and files that are dropped.

import { $ } from "./dom.js";
import { shortcuts } from "./keys.js";

export function listen(app) {
  const on = (id, event, call) => $(id).addEventListener(event, call);
  for (const radio of document.querySelectorAll("#tabs input")) {
    radio.addEventListener("change", () => app.useTab(radio.value));
  }
  for (const radio of document.querySelectorAll("#where input")) {
    radio.addEventListener("change", () => app.set("where", radio.value));
  }
  on("files", "change", () => {
    app.take([...$("files").files]);
    $("files").value = "";
  });
  on("camera-start", "click", () => app.camera());
  on("cameras", "change", () => app.camera(true));
  on("threshold", "input", () => {
    const value = Number($("threshold").value);
    $("threshold-value").textContent = value.toFixed(2);
    app.set("threshold", value);
  });
  on("model", "change", () => app.chooseModel($("model").value));
  on("heat", "change", () => app.showHeat($("heat").checked));
  on("alone", "change", () => app.set("alone", $("alone").checked));
  on("pause", "click", () => app.pause(!app.state.paused));
  const { editor } = app;
  for (const mode of ["line", "zone"]) on(mode, "click", () => editor.draw(editor.mode === mode ? null : mode));
  on("clear", "click", () => editor.clear());
  on("save-picture", "click", () => app.savePicture());
  on("save-json", "click", () => app.saveJson());
  on("seek", "input", () => app.seek(Number($("seek").value)));
  dropping(app);
  keys(app);
}

function dropping(app) {
  const mark = (over) => $("stage").classList.toggle("over", over);
  document.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && mark(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    app.take([...event.dataTransfer.files]);
  });
}

function keys(app) {
  const press = (id) => () => $(id).click();
  const nudge = (way) => () => {
    $("threshold").value = Number($("threshold").value) + way;
    $("threshold").dispatchEvent(new Event("input"));
  };
  const tab = (name) => () => app.state.tab !== name && app.useTab(name);
  const where = () => {
    const other = app.state.where === "server" ? "browser" : "server";
    document.querySelector(`#where input[value="${other}"]`).click();
  };
  shortcuts([
    ["?", "this help", press("help-open")],
    [" ", "pause, go on", press("pause")],
    ["l", "draw a line", press("line")],
    ["z", "draw a zone", press("zone")],
    ["x", "clear lines and zones", press("clear")],
    ["h", "heat map", press("heat")],
    ["[", "lower threshold", nudge(-0.05)],
    ["]", "higher threshold", nudge(0.05)],
    ["b", "look on the server, or in this browser", where],
    ["s", "save the picture", press("save-picture")],
    ["j", "save JSON", press("save-json")],
    ["1", "pictures and video", tab("files")],
    ["2", "camera", tab("camera")],
    ["3", "streams of the server", tab("streams")],
  ]);
}
