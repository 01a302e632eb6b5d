// The result beside the photo: split, toggled, with a heat map over it, mixed by the sliders, and pixel by pixel.

import { Viewport, watchPointers } from "/page/viewport.js";

const WAIT = 180; // milliseconds without a change of zoom or place before full-size parts are fetched

export class ResultPane {
  /** `fetchImage(address)` returns an ImageBitmap; `sliders` is {strength, photorealism, blend}. */
  constructor(section, fetchImage) {
    Object.assign(this, { section, fetchImage, mode: "split", divider: 0.5, pictures: {}, live: null, result: null, parts: {} });
    this.sliders = { strength: 1, photorealism: 0, blend: 1 };
    this.canvas = section.querySelector("canvas");
    this.waiting = section.querySelector(".waiting");
    this.viewport = new Viewport(this.canvas, () => { this.paint(); this.fetchPartsSoon(); });
    let moving = false;
    watchPointers(this.viewport, {
      pans: (event) => !(moving = this.nearDivider(event)),
      down: (event) => moving && this.moveDivider(event),
      move: (event) => moving && this.moveDivider(event),
      hover: (event) => { this.canvas.style.cursor = this.nearDivider(event) ? "ew-resize" : "grab"; },
    });
  }

  get large() { return this.section.classList.contains("large"); }

  /** In the whole picture the divider follows a pointer anywhere; in a part of it only one that is near. */
  nearDivider(event) {
    if (this.mode !== "split" || !this.large) return false;
    const box = this.canvas.getBoundingClientRect();
    return this.viewport.fitted || Math.abs(event.clientX - box.left - this.divider * box.width) < 22;
  }

  moveDivider(event) {
    const box = this.canvas.getBoundingClientRect();
    this.setDivider(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
    this.onDivider?.(this.divider);
  }

  setDivider(part) { this.divider = part; this.draw(); }

  setMode(mode) { this.mode = mode; this.draw(); this.fetchPartsSoon(); }

  setSliders(sliders) { Object.assign(this.sliders, sliders); this.draw(); this.fetchPartsSoon(); }

  /** Show the content, before there is any result. */
  setContent(image, width, height) {
    Object.assign(this, { pictures: { content: image }, live: null, result: null, parts: {} });
    this.viewport.setPicture(width, height);
    this.draw();
  }

  /** Show a picture of a run that is not at its end. */
  setLive(image) { this.live = image; this.draw(); }

  /** Show the pictures of a result. */
  setResult(result, pictures, addresses) {
    if (this.result?.number !== result.number) this.parts = {};
    Object.assign(this, { result, addresses, live: null, pictures: { ...pictures } });
    this.viewport.setPicture(result.width, result.height);
    this.draw();
    this.fetchPartsSoon();
  }

  /** What the sliders need: names of pictures. */
  needed() {
    const { strength, photorealism } = this.sliders, names = ["content", "result"];
    if (strength < 1) names.push("start");
    if (photorealism > 0) names.push("calm");
    return names;
  }

  draw() { this.viewport.redraw(); }

  paint() {
    const { viewport, pictures } = this;
    if (!viewport.box || !pictures.content) return;
    const context = viewport.context(), { width, height } = viewport.box, after = this.live ?? pictures.result ?? pictures.start;
    this.waiting.hidden = Boolean(after);
    const part = this.live || !this.showsParts() ? null : this.parts;
    const layer = (name) => (to) => {
      viewport.draw(to, pictures[name]);
      if (!part?.[name]) return;
      to.globalCompositeOperation = "source-atop"; // parts have no alpha of their own
      viewport.draw(to, part[name], part.box);
      to.globalCompositeOperation = "source-over";
    };
    if (this.mode === "before" || !after) return layer("content")(context);
    if (this.live || !pictures.result) viewport.draw(context, after);
    else this.mix(context, layer);
    if (this.mode === "changes" && pictures.heat && !this.live) {
      context.fillStyle = "rgb(16 17 20 / 0.55)";
      context.fillRect(...viewport.on(0, 0), viewport.width * viewport.zoom, viewport.height * viewport.zoom);
      viewport.draw(context, pictures.heat);
    }
    if (this.mode === "split") {
      const at = Math.round(this.divider * width);
      context.save();
      context.beginPath();
      context.rect(0, 0, at, height);
      context.clip();
      layer("content")(context);
      context.restore();
      this.drawDivider(context, at, height);
    }
  }

  /** Mix finished pictures: the start with the result, the result with its calm end, and all with the content. */
  mix(context, layer) {
    const { strength, photorealism, blend } = this.sliders, { canvas, pictures } = this;
    const sheet = (draw) => {
      const copy = document.createElement("canvas");
      Object.assign(copy, { width: canvas.width, height: canvas.height });
      const to = copy.getContext("2d");
      to.setTransform(context.getTransform());
      draw(to);
      return copy;
    };
    const over = (to, image, alpha) => {
      to.save();
      to.setTransform(1, 0, 0, 1, 0, 0);
      to.globalAlpha = alpha;
      to.drawImage(image, 0, 0);
      to.restore();
    };
    let draw = layer("result");
    if (photorealism > 0 && pictures.calm) {
      const below = draw, calm = sheet(layer("calm"));
      draw = (to) => { below(to); over(to, calm, photorealism); };
    }
    if (strength < 1 && pictures.start) {
      const above = sheet(draw);
      draw = (to) => { layer("start")(to); over(to, above, strength); };
    }
    if (blend < 1) {
      const above = sheet(draw);
      draw = (to) => { layer("content")(to); over(to, above, blend); };
    }
    draw(context);
  }

  drawDivider(context, at, height) {
    context.fillStyle = "#fff";
    context.shadowColor = "rgb(0 0 0 / 0.6)";
    context.shadowBlur = 4;
    context.fillRect(at - 1, 0, 2, height);
    if (this.large) {
      context.beginPath();
      context.arc(at, height / 2, 17, 0, 7);
      context.fill();
      context.shadowBlur = 0;
      Object.assign(context, { strokeStyle: "#222", lineWidth: 2, lineCap: "round", lineJoin: "round" });
      for (const side of [-1, 1]) {
        context.beginPath();
        context.moveTo(at + side * 4, height / 2 - 5);
        context.lineTo(at + side * 9, height / 2);
        context.lineTo(at + side * 4, height / 2 + 5);
        context.stroke();
      }
      this.drawTag(context, "Before", 10, "left", at);
      this.drawTag(context, "After", this.viewport.box.width - 10, "right", at);
    }
    context.shadowBlur = 0;
  }

  drawTag(context, text, x, align, at) {
    context.font = "13px system-ui, sans-serif";
    const width = context.measureText(text).width + 20, left = align === "left" ? x : x - width;
    if (align === "left" ? left + width > at - 20 : left < at + 20) return;
    context.fillStyle = "rgb(0 0 0 / 0.66)";
    context.beginPath();
    context.roundRect(left, 10, width, 24, 12);
    context.fill();
    context.fillStyle = "#fff";
    context.textBaseline = "middle";
    context.fillText(text, left + 10, 22.5);
  }

  /** Whether the views are too coarse for the zoom, so that parts at full size are drawn over them. */
  showsParts() {
    const view = this.pictures.result;
    return Boolean(view && this.result?.whole && this.large && this.viewport.zoom * (window.devicePixelRatio || 1) > 1.2 * (view.width / this.result.width)
      && this.result.width > view.width);
  }

  fetchPartsSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetchParts(), WAIT);
  }

  async fetchParts() {
    if (!this.showsParts() || this.live) return;
    const box = this.viewport.visible(), { result } = this, key = JSON.stringify([result.number, box]);
    if (box.width > 2800 || box.height > 2800) return;
    const names = this.needed().filter((name) => this.partsKey !== key || !(name in this.parts));
    if (!names.length) return;
    const query = new URLSearchParams(box);
    const images = await Promise.all(names.map((name) => this.fetchImage(`${this.addresses.cut(name)}?${query}`).catch(() => null)));
    if (this.result !== result || JSON.stringify([result.number, this.viewport.visible()]) !== key) return;
    this.parts = { ...(this.partsKey === key ? this.parts : {}), ...Object.fromEntries(names.map((name, i) => [name, images[i]])), box };
    this.partsKey = key;
    this.section.dataset.parts = String(result.number);
    this.draw();
  }
}
