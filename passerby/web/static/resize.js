// Pixels into the network's input, bit for bit as geometry/resize.py does it by OpenCV on a PC.
//
// The browser's own drawImage is no help: how it scales is not specified, and a network sees the difference.

const GREY = 114; // what is left is filled with
const RULES = { stretch: Infinity, bounded: 1.25, letterbox: 1 }; // most that one side is scaled over the other
const AREA_FROM = 2.5; // past this shrink pixels are averaged: bilinear would skip some
const ONE = 2048; // 1.0 in OpenCV's fixed-point weights (11 bits)

const round = Math.fround;

/** Python's and OpenCV's rounding: halves go to the even number. */
export function roundEven(value) {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/**
 * Where a width x height picture lands in the input: input = picture * scale + pad, pixels.
 * rule: "stretch" fills the input, "letterbox" keeps the shape, "bounded" stretches a little; the picture is centred.
 */
export function place(width, height, inputWidth, inputHeight, rule) {
  if (!(rule in RULES)) throw new Error(`resize rule '${rule}' is unknown`);
  const across = inputWidth / width;
  const down = inputHeight / height;
  const most = Math.min(across, down) * RULES[rule];
  const innerWidth = Math.min(inputWidth, Math.max(1, roundEven(width * Math.min(across, most))));
  const innerHeight = Math.min(inputHeight, Math.max(1, roundEven(height * Math.min(down, most))));
  return {
    width, height, innerWidth, innerHeight,
    scaleX: innerWidth / width, scaleY: innerHeight / height,
    padX: Math.floor((inputWidth - innerWidth) / 2), padY: Math.floor((inputHeight - innerHeight) / 2),
  };
}

/**
 * A picture resized into the network's input.
 * image: {width, height, data: RGBA bytes}, as getImageData gives it; alpha is ignored
 * returns {pixels: RGB bytes (inputHeight, inputWidth, 3), placement}
 */
export function fit(image, inputWidth, inputHeight, rule) {
  const placement = place(image.width, image.height, inputWidth, inputHeight, rule);
  const { innerWidth, innerHeight, padX, padY } = placement;
  const inner = scaleTo(image, innerWidth, innerHeight);
  if (innerWidth === inputWidth && innerHeight === inputHeight) return { pixels: inner, placement };
  const pixels = new Uint8Array(inputWidth * inputHeight * 3).fill(GREY);
  for (let y = 0; y < innerHeight; y++) {
    const row = inner.subarray(y * innerWidth * 3, (y + 1) * innerWidth * 3);
    pixels.set(row, ((y + padY) * inputWidth + padX) * 3);
  }
  return { pixels, placement };
}

/** RGBA picture -> RGB bytes of width x height: bilinear, or averaged where the shrink is over AREA_FROM. */
export function scaleTo(image, width, height) {
  const scaleX = image.width / width;
  const scaleY = image.height / height;
  if (scaleX === 1 && scaleY === 1) return withoutAlpha(image.data);
  const area = Math.max(scaleX, scaleY) > AREA_FROM;
  const whole = Number.isInteger(scaleX) && Number.isInteger(scaleY);
  if (area && whole) return blocks(image, width, height, scaleX, scaleY);
  if (area && scaleX >= 1 && scaleY >= 1) return averaged(image, width, height);
  if (scaleX === 2 && scaleY === 2) return halved(image, width, height);
  return bilinear(image, width, height, area);
}

function withoutAlpha(data) {
  const out = new Uint8Array((data.length / 4) * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    out[to++] = data[from];
    out[to++] = data[from + 1];
    out[to++] = data[from + 2];
  }
  return out;
}

/** Exactly half: cv2 averages 2 x 2 pixels, which bilinear at half-pixel centres is. */
function halved({ width: fromWidth, data }, width, height) {
  const out = new Uint8Array(width * height * 3);
  const line = fromWidth * 4;
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = 2 * y * line + 8 * x;
      for (let k = at; k < at + 3; k++) {
        out[to++] = (data[k] + data[k + 4] + data[k + line] + data[k + line + 4] + 2) >> 2;
      }
    }
  }
  return out;
}

/** A whole number of pixels for each new one: their sum times one weight. */
function blocks({ width: fromWidth, data }, width, height, across, down) {
  const out = new Uint8Array(width * height * 3);
  const weight = round(1 / (across * down));
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let dy = 0; dy < down; dy++) {
          const start = ((y * down + dy) * fromWidth + x * across) * 4 + c;
          for (let k = start; k < start + 4 * across; k += 4) sum += data[k];
        }
        out[to++] = roundEven(round(sum * weight));
      }
    }
  }
  return out;
}

/**
 * Which two pixels of a side each new pixel lies between, and their weights in fixed point.
 * area: cv2's stand-in for averaging where the other side is enlarged
 * hold: past the border, the border pixel has all the weight; cv2 does so across, not down (the sum rounds otherwise)
 */
function between(from, to, area, hold) {
  const first = new Int32Array(to);
  const second = new Int32Array(to);
  const weights = new Int32Array(to * 2);
  const scale = 1 / (to / from); // as cv2 computes it: by way of the inverse
  for (let i = 0; i < to; i++) {
    let at, share;
    if (area) {
      at = Math.floor(i * scale);
      share = round(i + 1 - (at + 1) * (to / from));
      share = share <= 0 ? 0 : share - Math.floor(share);
    } else {
      const exact = round((i + 0.5) * scale - 0.5);
      at = Math.floor(exact);
      share = round(exact - at);
    }
    if (hold && (at < 0 || at >= from - 1)) share = 0;
    first[i] = Math.min(Math.max(at, 0), from - 1);
    second[i] = Math.min(Math.max(at + 1, 0), from - 1);
    if (hold && at < 0) second[i] = first[i];
    weights[2 * i] = roundEven(round(round(1 - share) * ONE));
    weights[2 * i + 1] = roundEven(round(share * ONE));
  }
  return { first, second, weights };
}

/** cv2.INTER_LINEAR on bytes: half-pixel centres, 11-bit weights, across first and then down. */
function bilinear({ width: fromWidth, height: fromHeight, data }, width, height, area) {
  const across = between(fromWidth, width, area, true);
  const down = between(fromHeight, height, area, false);
  const out = new Uint8Array(width * height * 3);
  const rows = [new Int32Array(width * 3), new Int32Array(width * 3)];
  const held = [-1, -1]; // which picture row each of `rows` is
  const row = (y, other) => {
    for (const k of [0, 1]) if (held[k] === y) return k;
    const k = other === 0 ? 1 : 0;
    held[k] = y;
    const line = y * fromWidth * 4;
    for (let x = 0, to = 0; x < width; x++) {
      const a = line + across.first[x] * 4;
      const b = line + across.second[x] * 4;
      const wa = across.weights[2 * x];
      const wb = across.weights[2 * x + 1];
      for (let c = 0; c < 3; c++) rows[k][to++] = data[a + c] * wa + data[b + c] * wb;
    }
    return k;
  };
  for (let y = 0; y < height; y++) {
    const a = row(down.first[y], held.indexOf(down.second[y]));
    const b = row(down.second[y], a);
    const upper = rows[a];
    const lower = rows[b];
    const wa = down.weights[2 * y];
    const wb = down.weights[2 * y + 1];
    const to = y * width * 3;
    for (let i = 0; i < width * 3; i++) {
      out[to + i] = (((wa * (upper[i] >> 4)) >> 16) + ((wb * (lower[i] >> 4)) >> 16) + 2) >> 2;
    }
  }
  return out;
}

/** Which pixels of a side each new pixel covers, and their shares: rows [new, old, share] in order. */
function covered(from, to) {
  const scale = 1 / (to / from);
  const table = [];
  for (let i = 0; i < to; i++) {
    const start = i * scale;
    const end = start + scale;
    const cell = Math.min(scale, from - start);
    const last = Math.min(Math.floor(end), from - 1);
    const begin = Math.min(Math.ceil(start), last);
    if (begin - start > 1e-3) table.push([i, begin - 1, round((begin - start) / cell)]);
    for (let k = begin; k < last; k++) table.push([i, k, round(1 / cell)]);
    if (end - last > 1e-3) table.push([i, last, round(Math.min(end - last, 1, cell) / cell)]);
  }
  return table;
}

/** cv2.INTER_AREA: each new pixel is the mean of what it covers, the pixels at its border by their share. */
function averaged({ width: fromWidth, height: fromHeight, data }, width, height) {
  const across = covered(fromWidth, width);
  const into = Int32Array.from(across, (t) => t[0] * 3);
  const from = Int32Array.from(across, (t) => t[1] * 4);
  const share = Float32Array.from(across, (t) => t[2]);
  const out = new Uint8ClampedArray(width * height * 3);
  const line = new Float32Array(width * 3);
  const sum = new Float32Array(width * 3);
  let present = 0;
  const finish = () => {
    out.set(sum, present * width * 3); // Uint8ClampedArray rounds halves to even, as cv2 does
    sum.fill(0);
  };
  for (const [y, old, weight] of covered(fromHeight, height)) {
    if (y !== present) {
      finish();
      present = y;
    }
    line.fill(0);
    const start = old * fromWidth * 4;
    for (let k = 0; k < into.length; k++) {
      const to = into[k];
      const at = start + from[k];
      const part = share[k];
      line[to] += round(data[at] * part);
      line[to + 1] += round(data[at + 1] * part);
      line[to + 2] += round(data[at + 2] * part);
    }
    for (let i = 0; i < sum.length; i++) sum[i] += round(line[i] * weight);
  }
  finish();
  return new Uint8Array(out.buffer);
}
