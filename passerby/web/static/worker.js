// The network in the browser, away from the page's own thread: pictures in, boxes out. Nothing is sent anywhere.
//
// in   {id, kind: "load", url, threads} -> {id, spec, threads, ms}; url is the model's
// in   {id, kind: "look", url, threads, picture: ImageBitmap or Blob, floor, heat}
//        -> {id, width, height, detections, heat, ms, network}
// What is asked is done one after another. Whatever goes wrong is answered as {id, error: "one line"}.

import * as ort from "./ort/ort.wasm.min.mjs";
import { fit, heatMap, readSpec, settle } from "./detector.js";

// The pixels as they are in the file, upright: no colour profile applied, as the server's decoder does it.
const AS_STORED = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.logLevel = "error";

let open = null; // {url, spec, session}: the model that looks
let canvas = null;
let last = Promise.resolve();

onmessage = ({ data }) => {
  last = last.then(() => serve(data));
};

async function serve(data) {
  try {
    const answer = data.kind === "load" ? await load(data) : await look(data);
    postMessage({ id: data.id, ...answer }, answer.heat ? [answer.heat.values.buffer] : []);
  } catch (error) {
    postMessage({ id: data.id, error: String(error?.message ?? error).split("\n")[0] });
  }
}

async function load({ url, threads }) {
  const start = performance.now();
  if (open?.url === url) return { spec: open.spec, threads, ms: 0 };
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`the model cannot be fetched (${answer.status})`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const spec = readSpec(bytes);
  if (spec.task === "localise") throw new Error(`${spec.name} shows where, not boxes: it runs on the server only`);
  ort.env.wasm.numThreads = threads; // counts for the first model only: the threads are made once
  const before = open;
  open = null;
  await before?.session.release();
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  open = { url, spec, session };
  return { spec, threads, ms: performance.now() - start };
}

async function look({ url, threads, picture, floor, heat }) {
  await load({ url, threads });
  const { spec, session } = open;
  const start = performance.now();
  const image = await pixelsOf(picture);
  const { pixels, placement } = fit(image, spec.width, spec.height, spec.resize);
  const input = new ort.Tensor("uint8", pixels, [1, spec.height, spec.width, 3]);
  const begin = performance.now();
  const output = await session.run({ [session.inputNames[0]]: input });
  const end = performance.now();
  const [boxes, scores] = session.outputNames.map((name) => output[name].data);
  return {
    width: image.width,
    height: image.height,
    detections: settle(boxes, scores, spec, placement, floor),
    heat: heat ? heatMap(scores, spec, placement) : null,
    ms: performance.now() - start,
    network: end - begin,
  };
}

async function pixelsOf(picture) {
  const bitmap = picture instanceof Blob ? await createImageBitmap(picture, AS_STORED) : picture;
  const { width, height } = bitmap;
  if (canvas?.width !== width || canvas?.height !== height) canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: true });
  context.globalCompositeOperation = "copy";
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}
