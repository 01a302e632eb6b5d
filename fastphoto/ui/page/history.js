// What a person has changed in the regions, with undo and redo. States are never changed once they are in the history.

import { UNMARKED, fromRuns, toRuns } from "/page/labels.js";

const MOST = 60;
const SIDES = ["content", "style"];

export class EditHistory {
  /** `found`: names of the regions that the server found; `sizes`: {side: [width, height]} of strokes. */
  constructor(found, sizes) {
    this.sizes = sizes;
    const none = { content: null, style: null };
    this.states = [{ names: found, joins: { content: {}, style: {} }, strokes: none, follow: true }];
    this.at = 0;
  }

  get now() { return this.states[this.at]; }
  get canUndo() { return this.at > 0; }
  get canRedo() { return this.at < this.states.length - 1; }

  undo() { if (this.canUndo) this.at--; }
  redo() { if (this.canRedo) this.at++; }

  push(change) {
    this.states.splice(this.at + 1);
    this.states.push({ ...this.now, ...change });
    if (this.states.length > MOST) this.states.shift();
    this.at = this.states.length - 1;
  }

  /** Return a copy of the strokes of one photo, to paint on. */
  strokes(side) {
    const [width, height] = this.sizes[side], now = this.now.strokes[side];
    return now ? now.slice() : new Uint8Array(width * height).fill(UNMARKED);
  }

  setStrokes(side, labels) { this.push({ strokes: { ...this.now.strokes, [side]: labels } }); }

  addRegion(name) { this.push({ names: [...this.now.names, name] }); }

  rename(number, name) { this.push({ names: this.now.names.map((old, i) => (i === number ? name : old)) }); }

  /** Let a region of the content take the look of another of the style: from now on it is that region. */
  pair(from, to) {
    if (from === to) return;
    const joins = { ...this.now.joins.content };
    for (const [old, now] of Object.entries(joins)) if (now === from) joins[old] = to;
    joins[from] = to;
    if (joins[to] !== undefined) delete joins[to];
    const painted = this.now.strokes.content;
    const content = painted && painted.map((label) => (label === from ? to : label));
    this.push({ joins: { ...this.now.joins, content: joins }, strokes: { ...this.now.strokes, content } });
  }

  /** Begin with a state that the server has kept, as `message` wrote it. */
  restore({ names, joins, strokes, follow }) {
    const labels = SIDES.map((side) => strokes[side] && Uint8Array.from(fromRuns(strokes[side], this.sizes[side][0] * this.sizes[side][1])));
    this.push({ names, joins, follow, strokes: { content: labels[0], style: labels[1] } });
  }

  /** Return the state as the server takes it. */
  message(record) {
    const { names, joins, strokes, follow } = this.now;
    const runs = Object.fromEntries(SIDES.map((side) => [side, strokes[side] && toRuns(strokes[side])]));
    return { names, joins, strokes: runs, follow, record };
  }
}
