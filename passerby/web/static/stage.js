// What is seen: the picture that was looked at, with its boxes, heat map, lines and zones, on one canvas.
//
// Picture and boxes always belong together: a live picture is drawn when its boxes are known.

const COLOURS = ["#ffc400", "#00c8ff", "#ff5aa0", "#78e63c", "#aa82ff", "#ff8232"]; // by class, as media/draw.py
const DARK = "#141414";
const LINE = "#4de1ff";
const ZONE = "#c59bff";
const ROOM = 520; // screen pixels across from which counts are written beside lines and zones
const HEAT = 0.75; // opacity where the score is 1

export class Stage {
  constructor(root, canvas) {
    this.root = root;
    this.canvas = canvas;
    this.picture = null; // anything that a canvas can draw
    this.result = null; // {width, height, detections, heat, lines, zones, ...}
    this.scene = { lines: [], zones: [] };
    this.heat = false;
    new ResizeObserver(() => this.repaint()).observe(root);
  }

  /** Show a picture with what was found in it; null clears the stage. */
  show(picture, result) {
    this.picture = picture;
    this.result = result;
    this.root.style.setProperty("--ratio", result ? String(result.width / result.height) : "1.7778");
    this.repaint();
  }

  repaint() {
    const dots = globalThis.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(this.root.clientWidth * dots));
    const height = Math.max(1, Math.round(this.root.clientHeight * dots));
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    if (this.result) this.paint(context, width, height, dots);
  }

  /** The picture in its own size with all that is drawn on it, as a PNG. */
  async png() {
    const { width, height } = this.result;
    const canvas = new OffscreenCanvas(width, height);
    this.paint(canvas.getContext("2d"), width, height, Math.max(1, Math.max(width, height) / 900));
    return canvas.convertToBlob({ type: "image/png" });
  }

  /** unit: pixels of the canvas to a pixel of the screen. */
  paint(context, width, height, unit) {
    if (this.picture) context.drawImage(this.picture, 0, 0, width, height);
    if (this.heat && this.result.heat) paintHeat(context, this.result.heat, width, height);
    for (const zone of this.scene.zones) paintZone(context, zone, this.result.zones?.[zone.name], width, height, unit);
    for (const row of [...this.result.detections].reverse()) {
      paintBox(context, row, width / this.result.width, height / this.result.height, unit, this.result.labels ?? []);
    }
    for (const line of this.scene.lines) paintLine(context, line, this.result.lines?.[line.name], width, height, unit);
  }
}

/** Where a class or an identity has its colour from. */
export function colourOf(row, labels) {
  if (row.id !== undefined) return `hsl(${(row.id * 137.508) % 360} 90% 62%)`;
  return COLOURS[Math.max(0, labels.indexOf(row.label)) % COLOURS.length];
}

function paintBox(context, row, scaleX, scaleY, unit, labels) {
  const [x0, y0, x1, y1] = row.box;
  const [x, y, w, h] = [x0 * scaleX, y0 * scaleY, (x1 - x0) * scaleX, (y1 - y0) * scaleY];
  const colour = colourOf(row, labels);
  for (const [style, thick] of [[DARK, 4], [colour, 2]]) {
    context.strokeStyle = style;
    context.lineWidth = thick * unit;
    context.strokeRect(x, y, w, h);
  }
  const name = labels.length > 1 ? `${row.label} ` : "";
  const number = row.id === undefined ? "" : `#${row.id} `;
  const room = Math.max(1.6 * w, 26 * unit);
  const words = [`${name}${number}${row.score.toFixed(2)}`, number.trim()]
    .find((text) => text && wordsWidth(context, text, unit) <= room);
  if (words) paintWords(context, words, x - 2 * unit, y, unit, colour);
}

function wordsWidth(context, words, unit) {
  context.font = `600 ${12 * unit}px system-ui, sans-serif`;
  return context.measureText(words).width + 6 * unit;
}

/** Dark words on a bar whose lower left corner is at x, y; kept inside the canvas. */
function paintWords(context, words, x, y, unit, colour) {
  const wide = wordsWidth(context, words, unit);
  const high = 16 * unit;
  const left = Math.min(Math.max(0, x), Math.max(0, context.canvas.width - wide));
  const top = Math.min(Math.max(0, y - high), context.canvas.height - high);
  context.fillStyle = colour;
  context.fillRect(left, top, wide, high);
  context.fillStyle = DARK;
  context.textBaseline = "middle";
  context.fillText(words, left + 3 * unit, top + high / 2 + unit / 2);
}

function paintHeat(context, heat, width, height) {
  const small = new OffscreenCanvas(heat.width, heat.height);
  const image = new ImageData(heat.width, heat.height);
  heat.values.forEach((value, i) => {
    const share = value / 255;
    image.data.set([255, Math.round(230 * (1 - share)), 40, Math.round(255 * HEAT * share)], 4 * i);
  });
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, width, height);
}

function paintLine(context, line, counts, width, height, unit) {
  const [x0, y0, x1, y1] = [line.start[0] * width, line.start[1] * height, line.end[0] * width, line.end[1] * height];
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (length < 1) return;
  const [middleX, middleY] = [(x0 + x1) / 2, (y0 + y1) / 2];
  // From start to end, the right hand is "in": with y downwards that is (-dy, dx).
  const [rightX, rightY] = [-(y1 - y0) / length, (x1 - x0) / length];
  const [tipX, tipY] = [middleX + rightX * 30 * unit, middleY + rightY * 30 * unit];
  const [alongX, alongY] = [rightY * 7 * unit, -rightX * 7 * unit];
  context.lineCap = context.lineJoin = "round";
  for (const [style, thick] of [[DARK, 6], [LINE, 3]]) {
    context.strokeStyle = style;
    context.lineWidth = thick * unit;
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.moveTo(middleX, middleY);
    context.lineTo(tipX, tipY);
    context.moveTo(tipX - rightX * 9 * unit + alongX, tipY - rightY * 9 * unit + alongY);
    context.lineTo(tipX, tipY);
    context.lineTo(tipX - rightX * 9 * unit - alongX, tipY - rightY * 9 * unit - alongY);
    context.stroke();
  }
  if (!line.name) return;
  const told = counts && width >= ROOM * unit ? ` in ${counts.in} out ${counts.out}` : "";
  // The words stand across from the arrow.
  const steep = Math.abs(rightX) > 0.5;
  const back = steep && rightX > 0 ? wordsWidth(context, line.name + told, unit) + 16 * unit : 0;
  const below = steep ? 8 : rightY < 0 ? 26 : -8;
  paintWords(context, line.name + told, middleX + 8 * unit - back, middleY + below * unit, unit, LINE);
}

function paintZone(context, zone, counts, width, height, unit) {
  const corners = zone.corners.map(([x, y]) => [x * width, y * height]);
  context.beginPath();
  corners.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
  context.fillStyle = "rgb(160 110 255 / .2)";
  context.fill();
  for (const [style, thick] of [[DARK, 4], [ZONE, 2]]) {
    context.strokeStyle = style;
    context.lineWidth = thick * unit;
    context.stroke();
  }
  const told = counts && width >= ROOM * unit ? ` ${counts.present} now, ${counts.visitors} in all` : "";
  const [x, y] = corners.reduce((best, corner) => (corner[1] - corner[0] > best[1] - best[0] ? corner : best));
  if (zone.name) paintWords(context, zone.name + told, x + 2 * unit, y - 2 * unit, unit, ZONE);
}
