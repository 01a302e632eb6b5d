// Labels of pixels: runs as the server sends them, strokes painted into arrays, and where names and borders go.

export const NOTHING = 254; // strokes that take pixels out of all regions
export const UNMARKED = 255; // no stroke

/** Return runs [label, length, ...] as an Int16Array of `count` labels. */
export function fromRuns(runs, count) {
  const labels = new Int16Array(count);
  for (let i = 0, at = 0; i < runs.length; i += 2) {
    labels.fill(runs[i], at, at + runs[i + 1]);
    at += runs[i + 1];
  }
  return labels;
}

/** Return labels as runs, or null if all of them are UNMARKED. */
export function toRuns(labels) {
  const runs = [];
  for (let i = 0, start = 0; i <= labels.length; i++) {
    if (i === labels.length || labels[i] !== labels[start]) {
      if (i > start) runs.push(labels[start], i - start);
      start = i;
    }
  }
  return runs.length === 2 && runs[0] === UNMARKED ? null : runs;
}

/** Paint a thick line between two points into labels of a photo `width` pixels wide. */
export function stroke(labels, width, from, to, radius, label) {
  const height = labels.length / width, reach = Math.max(radius, 0.5);
  const [x0, y0] = from, dx = to[0] - x0, dy = to[1] - y0, squared = dx * dx + dy * dy;
  const left = Math.max(0, Math.floor(Math.min(x0, to[0]) - reach)), right = Math.min(width - 1, Math.ceil(Math.max(x0, to[0]) + reach));
  const top = Math.max(0, Math.floor(Math.min(y0, to[1]) - reach)), bottom = Math.min(height - 1, Math.ceil(Math.max(y0, to[1]) + reach));
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const px = x + 0.5 - x0, py = y + 0.5 - y0;
      const along = squared > 0 ? Math.min(1, Math.max(0, (px * dx + py * dy) / squared)) : 0;
      const ex = px - along * dx, ey = py - along * dy;
      if (ex * ex + ey * ey <= reach * reach) labels[y * width + x] = label;
    }
  }
}

/** Paint the inside of a polygon, by the even-odd rule. */
export function fill(labels, width, points, label) {
  const height = labels.length / width;
  for (let y = 0; y < height; y++) {
    const crossings = [], middle = y + 0.5;
    points.forEach(([x0, y0], i) => {
      const [x1, y1] = points[(i + 1) % points.length];
      if (y0 <= middle !== y1 <= middle) crossings.push(x0 + ((middle - y0) / (y1 - y0)) * (x1 - x0));
    });
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const left = Math.max(0, Math.round(crossings[i])), right = Math.min(width, Math.round(crossings[i + 1]));
      if (left < right) labels.fill(label, y * width + left, y * width + right);
    }
  }
}

/** Return {label: [x, y]}, a point of each region that lies far from its borders, for its name. */
export function places(labels, width) {
  const height = labels.length / width, depth = new Uint16Array(labels.length), best = {};
  const near = (i, j) => (labels[j] === labels[i] ? depth[j] + 1 : 1);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      depth[i] = x && y ? Math.min(near(i, i - 1), near(i, i - width)) : 1;
    }
  }
  for (let y = height - 1, i = labels.length - 1; y >= 0; y--) {
    for (let x = width - 1; x >= 0; x--, i--) {
      const back = x < width - 1 && y < height - 1 ? Math.min(near(i, i + 1), near(i, i + width)) : 1;
      depth[i] = Math.min(depth[i], back);
      const label = labels[i];
      if (label >= 0 && (!best[label] || depth[i] > best[label][2])) best[label] = [x, y, depth[i]];
    }
  }
  return best;
}

/** Draw regions as an image: tinted areas and light borders; `lit` stands out, and the others step back. */
export function overlayImage(labels, width, colours, lit) {
  const height = labels.length / width, image = new ImageData(width, height), data = new Uint32Array(image.data.buffer);
  const packed = (rgb, alpha) => (alpha << 24) | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0];
  const tints = colours.map((rgb, label) => packed(rgb, lit === null ? 84 : label === lit ? 150 : 26));
  const border = packed([255, 255, 255], lit === null ? 200 : 120);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const label = labels[i];
      const edge = (x + 1 < width && labels[i + 1] !== label) || (y + 1 < height && labels[i + width] !== label);
      data[i] = edge ? border : label < 0 ? hatch(x, y) : tints[label];
    }
  }
  return image;
}

/** Draw strokes as an image. */
export function strokesImage(labels, width, colours) {
  const image = new ImageData(width, labels.length / width), data = new Uint32Array(image.data.buffer);
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (label === UNMARKED) continue;
    const rgb = label === NOTHING ? [40, 40, 44] : colours[label] ?? [0, 0, 0];
    data[i] = (225 << 24) | (rgb[2] << 16) | (rgb[1] << 8) | rgb[0];
  }
  return image;
}

function hatch(x, y) {
  return (x + y) % 12 < 3 ? 0xb0ffffff | 0 : 0x50202020;
}
