// A photo with its regions drawn over it: pointing at them, painting strokes, and dragging one onto another.

import { NOTHING, UNMARKED, fill, fromRuns, overlayImage, places, stroke, strokesImage } from "/page/labels.js";
import { Viewport, watchPointers } from "/page/viewport.js";

const REGION_HUES = { // the palette of masks, softened so that the photo shows through
  blue: [66, 110, 230], green: [60, 170, 90], black: [30, 30, 34], white: [240, 240, 240], red: [215, 70, 60],
  yellow: [235, 190, 40], grey: [135, 138, 145], lightblue: [70, 190, 215], purple: [185, 80, 200],
};

export const hue = (colour) => REGION_HUES[colour];

export class PhotoPane {
  /**
   * `page` is what all panes share: tool, region, brush, lit, showRegions, and functions light(label), strokesOf(side),
   * painted(side, labels), dropped(side, label, event).
   */
  constructor(side, section, page) {
    Object.assign(this, { side, section, page, photo: null, regions: null, painting: null, cursor: null, drag: null });
    this.canvas = section.querySelector("canvas");
    this.viewport = new Viewport(this.canvas, () => this.paint());
    watchPointers(this.viewport, {
      pans: () => page.tool === "hand",
      down: (event) => this.down(event), move: (event) => this.move(event), up: (event) => this.up(event),
      cancel: () => this.cancel(), hover: (event) => this.hover(event), leave: () => this.leave(),
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => { this.cursor = null; this.cancel(); });
  }

  get large() { return this.section.classList.contains("large"); }

  async setPhoto(facts, address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    Object.assign(this, { photo: facts, image, regions: null, strokes: null });
    this.viewport.setPicture(facts.width, facts.height);
    this.draw();
  }

  /** Show regions: names and colours, and the runs of this photo's map. */
  setRegions(regions, map) {
    this.regions = { list: regions, width: map.width, shares: map.shares, labels: fromRuns(map.runs, map.width * map.height) };
    this.regions.places = places(this.regions.labels, map.width);
    this.redraw();
  }

  /** Draw overlay and strokes anew; `draw` alone only moves them. */
  redraw() {
    this.overlay = this.strokes = null;
    this.draw();
  }

  draw() { this.viewport.redraw(); }

  paint() {
    if (!this.image || !this.viewport.box) return;
    const { page, viewport } = this, context = viewport.context();
    viewport.draw(context, this.image);
    if (this.regions && page.showRegions) {
      this.overlay ??= onCanvas(overlayImage(this.regions.labels, this.regions.width, this.hues(), page.lit));
      viewport.draw(context, this.overlay);
    }
    const labels = this.painting?.labels ?? page.strokesOf(this.side);
    if (labels && (page.tool !== "point" || this.painting)) {
      this.strokes ??= onCanvas(strokesImage(labels, this.photo.work[0], this.hues()));
      viewport.draw(context, this.strokes);
    }
    if (this.regions && page.showRegions) this.drawNames(context);
    if (this.painting?.points) this.drawLasso(context);
    if (this.drag) this.drawDrag(context);
    this.drawCursor(context);
  }

  hues() { return this.page.regions.map((each) => hue(each.colour)); }

  drawNames(context) {
    const size = this.large ? 13 : 11;
    context.font = `600 ${size}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    for (const [label, [x, y]] of Object.entries(this.regions.places)) {
      const region = this.page.regions[label];
      if (!region) continue;
      const [left, top] = this.viewport.on(x * this.scale, y * this.scale), lit = this.page.lit === Number(label);
      const text = region.name.length > 24 ? `${region.name.slice(0, 23)}…` : region.name;
      const width = context.measureText(text).width + size * 2.2, height = size * 1.7;
      const at = Math.min(Math.max(left - width / 2, 2), this.viewport.box.width - width - 2);
      if (top < 0 || top > this.viewport.box.height) continue;
      context.globalAlpha = this.page.lit === null || lit ? 1 : 0.55;
      context.fillStyle = "rgb(20 21 24 / 0.82)";
      context.beginPath();
      context.roundRect(at, top - height / 2, width, height, height / 2);
      context.fill();
      context.fillStyle = `rgb(${hue(region.colour).join(" ")})`;
      context.strokeStyle = "#fff";
      context.lineWidth = 1;
      context.beginPath();
      context.arc(at + size * 0.95, top, size * 0.36, 0, 7);
      context.fill();
      context.stroke();
      context.fillStyle = "#fff";
      context.fillText(text, at + size * 1.6, top + 0.5);
      context.globalAlpha = 1;
    }
  }

  drawLasso(context) {
    context.beginPath();
    for (const [x, y] of this.painting.points) context.lineTo(...this.viewport.on(x * this.scale, y * this.scale));
    context.closePath();
    for (const [colour, dash] of [["#000", []], ["#fff", [6, 4]]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: 1.5 });
      context.setLineDash(dash);
      context.stroke();
    }
    context.setLineDash([]);
  }

  drawDrag(context) {
    const [x, y] = this.drag.now, text = `${this.page.regions[this.drag.label]?.name} → ?`;
    context.font = "600 13px system-ui, sans-serif";
    context.fillStyle = "rgb(20 21 24 / 0.9)";
    context.beginPath();
    context.roundRect(x + 10, y - 12, context.measureText(text).width + 16, 24, 12);
    context.fill();
    context.fillStyle = "#fff";
    context.fillText(text, x + 18, y);
  }

  drawCursor(context) {
    if (!this.cursor || !this.large) return;
    const [x, y] = this.viewport.on(this.cursor[0] * this.scale, this.cursor[1] * this.scale);
    const paints = ["brush", "eraser"].includes(this.page.tool);
    const radius = paints ? Math.max(2, this.page.brush * this.scale * this.viewport.zoom) : 7;
    if (this.page.tool === "hand" || (this.page.tool === "point" && !this.byKey)) return;
    for (const [colour, width] of [["#000", 3], ["#fff", 1.5]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: width });
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      if (!paints) { context.moveTo(x - 12, y); context.lineTo(x + 12, y); context.moveTo(x, y - 12); context.lineTo(x, y + 12); }
      context.stroke();
    }
  }

  /** Pixels of the photo for one of its small copy, on which regions are painted. */
  get scale() { return this.photo.width / this.photo.work[0]; }

  /** Return the point of the small copy under an event. */
  point(event) { return this.viewport.at(event.clientX, event.clientY).map((value) => value / this.scale); }

  /** Return the region at a point of the small copy, or null. */
  labelAt([x, y]) {
    const { regions } = this, [width, height] = this.photo?.work ?? [0, 0];
    if (!regions || x < 0 || y < 0 || x >= width || y >= height) return null;
    const label = regions.labels[Math.floor(y) * width + Math.floor(x)];
    return label < 0 ? null : label;
  }

  down(event) {
    if (!this.regions || !this.large) return;
    const point = this.point(event), { page } = this;
    if (page.tool === "point") {
      const label = this.labelAt(point);
      if (label !== null) this.drag = { label, from: [event.clientX, event.clientY], now: null };
    } else this.begin(point, event);
  }

  move(event) {
    const point = this.point(event);
    this.cursor = point;
    if (this.drag) {
      const box = this.canvas.getBoundingClientRect();
      this.drag.now = [event.clientX - box.left, event.clientY - box.top];
      this.page.dragging(this.side, this.drag.label, event);
      this.draw();
    } else if (this.painting) {
      for (const each of event.getCoalescedEvents?.() ?? [event]) this.go(this.point(each), each);
      this.draw();
    }
  }

  up(event) {
    if (this.drag) {
      const { label, from } = this.drag;
      this.drag = null;
      if (Math.hypot(event.clientX - from[0], event.clientY - from[1]) > 6) this.page.dropped(this.side, label, event);
      else this.page.choose(label);
      this.draw();
    } else this.end();
  }

  begin(point, event) {
    const { page } = this, labels = page.strokesOf(this.side, true);
    this.painting = { labels, last: point, points: page.tool === "lasso" ? [point] : null };
    this.go(point, event);
    this.draw();
  }

  go(point, event) {
    const { page, painting } = this;
    if (painting.points) painting.points.push(point);
    else {
      const pressure = event?.pointerType === "pen" && event.pressure ? 0.4 + 1.2 * event.pressure : 1;
      const label = page.tool === "eraser" ? UNMARKED : page.region;
      stroke(painting.labels, this.photo.work[0], painting.last, point, page.brush * pressure, label);
      painting.last = point;
      this.strokes = null;
    }
  }

  end() {
    const { page, painting } = this;
    if (!painting) return;
    if (painting.points) fill(painting.labels, this.photo.work[0], painting.points, page.region);
    this.painting = null;
    this.strokes = null;
    page.painted(this.side, painting.labels);
  }

  cancel() {
    Object.assign(this, { painting: null, drag: null, strokes: null });
    this.page.dragging(this.side, null, null);
    this.draw();
  }

  hover(event) {
    this.cursor = this.photo && this.point(event);
    this.byKey = false;
    if (this.page.tool === "point") this.page.light(this.photo ? this.labelAt(this.cursor) : null);
    this.canvas.style.cursor = { hand: "grab", point: this.page.lit === null ? "default" : "pointer" }[this.page.tool] ?? "none";
    this.draw();
  }

  leave() {
    this.cursor = null;
    this.page.light(null);
    this.draw();
  }

  /** Arrows move a cursor, Space puts the brush down and up. */
  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!this.regions || event.ctrlKey || event.metaKey || event.altKey) return;
    const [width, height] = this.photo.work;
    if (event.key in steps) {
      event.preventDefault();
      if (this.page.tool === "hand") return this.viewport.panBy(...steps[event.key].map((value) => -40 * value));
      const far = event.shiftKey ? 24 : 6, [dx, dy] = steps[event.key];
      const [x, y] = this.cursor ?? [width / 2, height / 2];
      this.cursor = [Math.min(width - 1, Math.max(0, x + far * dx)), Math.min(height - 1, Math.max(0, y + far * dy))];
      this.byKey = true;
      if (this.painting) this.go(this.cursor);
      if (this.page.tool === "point") this.page.light(this.labelAt(this.cursor));
      this.draw();
    } else if (event.key === " ") {
      event.preventDefault();
      this.cursor ??= [width / 2, height / 2];
      this.byKey = true;
      if (this.page.tool === "point") { const label = this.labelAt(this.cursor); if (label !== null) this.page.choose(label); }
      else if (this.painting) this.end();
      else if (this.page.tool !== "hand") this.begin(this.cursor);
    } else if (event.key === "Escape") this.cancel();
  }
}

function onCanvas(image) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

export { NOTHING };
