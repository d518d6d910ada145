// What the detector does around the network, as pure functions: pixels into the input, raw output into boxes.
//
// The same steps in the same order as geometry/nms.py, runtime/detector.py and runtime/heat.py, so that a picture
// looked at in the browser gives the boxes that the server gives. No DOM, no network: a test can call each function.

export { fit, place, scaleTo } from "./resize.js";

const CANDIDATES = 2000; // highest scores a class that enter suppression
const METADATA_PROPS = 14; // field of ModelProto, onnx.proto3
const round = Math.fround; // numpy's float32

/** Intersection over union of boxes a and b in a flat array of corners; 0 where neither has area. */
function overlap(boxes, a, b) {
  const i = 4 * a;
  const j = 4 * b;
  const width = round(Math.min(boxes[i + 2], boxes[j + 2]) - Math.max(boxes[i], boxes[j]));
  const height = round(Math.min(boxes[i + 3], boxes[j + 3]) - Math.max(boxes[i + 1], boxes[j + 1]));
  const shared = round(Math.max(width, 0) * Math.max(height, 0));
  const union = round(round(size(boxes, i) + size(boxes, j)) - shared);
  return union > 0 ? round(shared / union) : 0;
}

function size(boxes, i) {
  return round(Math.max(round(boxes[i + 2] - boxes[i]), 0) * Math.max(round(boxes[i + 3] - boxes[i + 1]), 0));
}

/** Indices sorted by falling score; equal scores keep their order. */
function byScore(indices, score) {
  return indices.sort((a, b) => score(b) - score(a) || a - b);
}

/** Greedy suppression of one class: [{row, score}] by falling score -> those that stay. */
function hard(boxes, rows, floor, threshold) {
  const kept = [];
  for (const one of rows) {
    if (kept.every((k) => overlap(boxes, k.row, one.row) <= threshold)) kept.push(one);
  }
  return kept;
}

/** Scores times 1 - IoU where a box overlaps one that was taken; what falls under the floor goes. */
function soft(boxes, rows, floor, threshold, keep) {
  const left = rows.slice();
  const kept = [];
  while (left.length && kept.length < keep) {
    const best = left.reduce((top, one, i) => (one.score > left[top].score ? i : top), 0);
    const [taken] = left.splice(best, 1);
    if (taken.score < floor) break;
    kept.push(taken);
    left.forEach(({ row, score }, i) => {
      const shared = overlap(boxes, taken.row, row);
      if (shared > threshold) left[i] = { row, score: round(score * round(1 - shared)) };
    });
  }
  return kept;
}

/**
 * Suppression class by class over raw output.
 * boxes: (A, 4) flat corners; scores: (A, C) flat; floor: scores under it are dropped first; keep: at most so many
 * returns [{row, label, score}], highest score first
 */
export function suppress(boxes, scores, classes, floor, threshold, keep, method) {
  const least = round(floor);
  const settled = method === "soft" ? soft : hard;
  const found = [];
  for (let label = 0; label < classes; label++) {
    const rows = [];
    for (let row = 0; row * classes < scores.length; row++) if (scores[row * classes + label] >= least) rows.push(row);
    const best = byScore(rows, (r) => scores[r * classes + label]).slice(0, CANDIDATES)
      .map((row) => ({ row, score: scores[row * classes + label] }));
    for (const { row, score } of settled(boxes, best, least, round(threshold), keep)) {
      found.push({ row, label, score });
    }
  }
  return found.map((f, order) => ({ f, order }))
    .sort((a, b) => b.f.score - a.f.score || a.order - b.order).slice(0, keep).map(({ f }) => f);
}

/** Raw output of the graph -> [{box, score, label}] as the server words them; boxes in the picture's pixels. */
export function settle(boxes, scores, spec, placement, floor) {
  const { width, height, scaleX, scaleY, padX, padY } = placement;
  const found = suppress(boxes, scores, spec.labels.length, floor, spec.nms_iou, spec.max_detections, spec.nms);
  const back = (value, pad, scale, limit) => {
    const at = round(round(value - pad) / round(scale));
    return Math.min(Math.max(at, 0), limit);
  };
  return found.map(({ row, label, score }) => ({
    box: [0, 1, 2, 3].map((k) => {
      const value = boxes[4 * row + k];
      return to(k % 2 ? back(value, padY, scaleY, height) : back(value, padX, scaleX, width), 2);
    }),
    score: to(score, 4),
    label: spec.labels[label],
  }));
}

function to(value, digits) {
  return Number(value.toFixed(digits));
}

/**
 * The best score over all feature maps, on the grid of the finest; the padding of a letterbox is left out.
 * All 0 for a two-stage model, whose scores are of proposals, which lie on no grid.
 * returns {width, height, values: bytes 0..255}
 */
export function heatMap(scores, spec, placement) {
  const finest = spec.anchors[0];
  const down = kept(finest.rows, spec.height, placement.padY);
  const across = kept(finest.columns, spec.width, placement.padX);
  const values = new Uint8Array(down.length * across.length);
  let start = 0;
  for (const map of "proposals" in spec.network ? [] : spec.anchors) {
    const each = map.sizes.length * spec.labels.length;
    down.forEach((y, i) => across.forEach((x, j) => {
      const row = Math.floor(((2 * y + 1) * map.rows) / (2 * finest.rows));
      const column = Math.floor(((2 * x + 1) * map.columns) / (2 * finest.columns));
      const cell = start + (row * map.columns + column) * each;
      let best = 0;
      for (let k = cell; k < cell + each; k++) if (scores[k] > best) best = scores[k];
      const at = i * across.length + j;
      values[at] = Math.max(values[at], Math.round(best * 255));
    }));
    start += map.rows * map.columns * each;
  }
  return { width: across.length, height: down.length, values };
}

/** The cells of an axis whose centre is not in the padding, or the middle one of a picture that is too thin. */
function kept(cells, length, pad) {
  const out = [];
  for (let i = 0; i < cells; i++) {
    const centre = ((i + 0.5) / cells) * length;
    if (centre >= pad && centre <= length - pad) out.push(i);
  }
  return out.length ? out : [Math.floor(cells / 2)];
}

/**
 * What a model is, from the metadata inside its .onnx file.
 * bytes: Uint8Array of the file. Throws an Error where it is not one of passerby's.
 */
export function readSpec(bytes) {
  let text;
  try {
    for (const [number, value] of fields(bytes)) {
      if (number !== METADATA_PROPS) continue;
      const pair = new Map([...fields(value)].map(([n, v]) => [n, new TextDecoder().decode(v)]));
      if (pair.get(1) === "passerby") text = pair.get(2);
    }
  } catch (error) {
    throw new Error(`not an ONNX file, or cut short (${error.message})`);
  }
  if (text === undefined) throw new Error("an ONNX file, but not one of passerby's");
  return JSON.parse(text);
}

/** The fields of a protobuf message that hold bytes: [number, bytes]. */
function* fields(data) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      if (at >= data.length) throw new Error("unexpected end");
      const byte = data[at++];
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  while (at < data.length) {
    const key = varint();
    const kind = key & 7;
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const length = varint();
      if (at + length > data.length) throw new Error("unexpected end");
      yield [Math.floor(key / 8), data.subarray(at, at + length)];
      at += length;
    } else throw new Error(`wire type ${kind}`);
  }
}
