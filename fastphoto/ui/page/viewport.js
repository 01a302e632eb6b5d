// Zoom and pan of a picture in a canvas, by wheel, keys, buttons, one finger, two fingers or a pen.

const MOST = 8; // screen pixels for a pixel of the photo

export class Viewport {
  /** `changed` draws the canvas anew; `redraw` has it called. */
  constructor(canvas, changed) {
    let frame = 0; // the canvas is drawn once a frame, however much has changed
    this.redraw = () => { frame ||= requestAnimationFrame(() => { frame = 0; changed(); }); };
    Object.assign(this, { canvas, width: 0, height: 0, zoom: 1, x: 0, y: 0, fitted: true });
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  /** Show a picture of this size; a picture of the same size keeps zoom and place. */
  setPicture(width, height) {
    if (width === this.width && height === this.height) return;
    Object.assign(this, { width, height, fitted: true });
    this.resize();
  }

  resize() {
    const box = this.canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    if (!box.width || !box.height) return;
    this.box = { width: box.width, height: box.height };
    this.canvas.width = Math.round(box.width * ratio);
    this.canvas.height = Math.round(box.height * ratio);
    if (this.fitted) this.fit(); else this.settle();
    this.redraw();
  }

  get smallest() { return this.width ? Math.min(this.box.width / this.width, this.box.height / this.height) : 1; }

  fit() {
    if (!this.box || !this.width) return;
    this.zoom = this.smallest;
    this.fitted = true;
    this.settle();
    this.redraw();
  }

  /** Show pixel by pixel: each of the photo's pixels is one of the screen. */
  pixelByPixel() { this.zoomTo(1 / (window.devicePixelRatio || 1), this.box.width / 2, this.box.height / 2); }

  zoomBy(factor, x = this.box.width / 2, y = this.box.height / 2) { this.zoomTo(this.zoom * factor, x, y); }

  zoomTo(zoom, x, y) {
    const now = Math.min(MOST, Math.max(this.smallest, zoom)), factor = now / this.zoom;
    Object.assign(this, { x: x - (x - this.x) * factor, y: y - (y - this.y) * factor, zoom: now });
    this.fitted = now <= this.smallest * 1.0001;
    this.settle();
    this.redraw();
  }

  panBy(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.settle();
    this.redraw();
  }

  /** Keep the picture in the canvas: in the middle where it is smaller, without a gap where it is larger. */
  settle() {
    const place = (at, size, room) => (size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, at)));
    this.x = place(this.x, this.width * this.zoom, this.box.width);
    this.y = place(this.y, this.height * this.zoom, this.box.height);
  }

  /** Return the point of the picture under a point of the window. */
  at(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    return [(clientX - box.left - this.x) / this.zoom, (clientY - box.top - this.y) / this.zoom];
  }

  /** Return the point of the canvas, in CSS pixels, of a point of the picture. */
  on(x, y) { return [this.x + x * this.zoom, this.y + y * this.zoom]; }

  /** Return a context in CSS pixels over a cleared canvas. */
  context() {
    const context = this.canvas.getContext("2d"), ratio = this.canvas.width / (this.box?.width || 1);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    return context;
  }

  /** Draw an image over the whole picture, or over a part {x, y, width, height} of it. */
  draw(context, image, part = { x: 0, y: 0, width: this.width, height: this.height }) {
    const [left, top] = this.on(part.x, part.y);
    context.imageSmoothingEnabled = this.zoom * (part.width / image.width) < 3;
    context.imageSmoothingQuality = "medium";
    context.drawImage(image, left, top, part.width * this.zoom, part.height * this.zoom);
  }

  /** Return the part of the picture that can be seen, in whole pixels. */
  visible() {
    const x = Math.max(0, Math.floor(-this.x / this.zoom)), y = Math.max(0, Math.floor(-this.y / this.zoom));
    const right = Math.min(this.width, Math.ceil((this.box.width - this.x) / this.zoom));
    const bottom = Math.min(this.height, Math.ceil((this.box.height - this.y) / this.zoom));
    return { x, y, width: Math.max(1, right - x), height: Math.max(1, bottom - y) };
  }
}

/** Call handlers for what pointers do on a canvas: down, move, up and hover(event); two fingers zoom and pan. */
export function watchPointers(viewport, handlers) {
  const { canvas } = viewport, pointers = new Map();
  let pinch = null, panning = false;
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return { distance: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) || 1, x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2 };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    if (pointers.size === 2) {
      handlers.cancel?.();
      pinch = spread();
      return;
    }
    panning = event.button === 1 || (event.button === 0 && handlers.pans?.(event));
    if (!panning && event.button === 0) handlers.down?.(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return handlers.hover?.(event);
    pointers.set(event.pointerId, event);
    if (pinch && pointers.size === 2) {
      const now = spread(), box = canvas.getBoundingClientRect();
      viewport.panBy(now.x - pinch.x, now.y - pinch.y);
      viewport.zoomBy(now.distance / pinch.distance, now.x - box.left, now.y - box.top);
      pinch = now;
    } else if (panning) viewport.panBy(event.clientX - before.clientX, event.clientY - before.clientY);
    else if (!pinch) handlers.move?.(event);
  });
  const end = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (!pinch && !panning) (event.type === "pointercancel" ? handlers.cancel : handlers.up)?.(event);
    if (!pointers.size) [pinch, panning] = [null, false];
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", (event) => { if (!pointers.size) handlers.leave?.(event); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    viewport.zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
}

/** Put the buttons of zoom into an element. */
export function addZoomButtons(element, viewport) {
  const actions = [["−", "Zoom out", () => viewport.zoomBy(1 / 1.5)], ["Fit", "Fit", () => viewport.fit()],
    ["1:1", "Pixel by pixel", () => viewport.pixelByPixel()], ["+", "Zoom in", () => viewport.zoomBy(1.5)]];
  for (const [text, label, act] of actions) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text, title: label });
    button.setAttribute("aria-label", label);
    button.addEventListener("click", act);
    element.append(button);
  }
}
