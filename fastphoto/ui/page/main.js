// The page: what happens to what a person does, and to what the server says.

import { files, sending, watchFiles } from "/page/files.js";
import { EditHistory } from "/page/history.js";
import { watchKeep } from "/page/keep.js";
import { byId, clearMessages, radioGroup, say, showRegions, showThumbs } from "/page/panels.js";
import { NOTHING, PhotoPane } from "/page/photo_pane.js";
import { ResultPane } from "/page/result_pane.js";
import { Refused, Server } from "/page/server.js";
import { addZoomButtons } from "/page/viewport.js";

const SIDES = ["content", "style"];
const SPARE = ["blue", "green", "red", "yellow", "lightblue", "purple", "black", "white", "grey"]; // as the server chooses
const STAGES = { loading: "Reading the network", regions: "Finding regions", style: "Style", photorealism: "Transfer", result: "Making the full size" };

const main = document.querySelector("main");
const section = (name) => document.querySelector(`[data-pane="${name}"]`);
const states = new Map(); // record -> what was painted, which a result names
const results = new Map();
let history = null, record = Date.now(), current = null, restoring = null, lostLine = null;

const page = {
  tool: "point", region: 0, brush: 14, lit: null, showRegions: true, regions: [], shares: {},
  strokesOf: (side, copy) => (copy ? history.strokes(side) : history?.now.strokes[side]),
  light(label) {
    if (label === page.lit) return;
    page.lit = label;
    for (const pane of Object.values(panes)) pane.redraw?.();
    for (const row of byId("region-list").children) row.firstChild.classList?.toggle("lit", Number(row.dataset.label) === label);
  },
  painted(side, labels) { history.setStrokes(side, labels); change(); },
  choose(label) { page.region = label; listRegions(); for (const side of SIDES) panes[side].draw(); },
  dragging(side, label, event) {
    const target = label === null ? null : otherPane(side, event);
    for (const each of SIDES) panes[each].section.classList.toggle("target", target === each);
    page.light(target ? panes[target].labelAt(panes[target].point(event)) : label);
  },
  dropped(side, label, event) {
    const target = otherPane(side, event), other = target && panes[target].labelAt(panes[target].point(event));
    page.dragging(side, null, event);
    if (other !== null && other !== undefined) side === "content" ? pair(label, other) : pair(other, label);
  },
};

const server = new Server(heard, (text) => {
  lostLine?.remove();
  lostLine = text && say(text, "error");
});
const panes = {
  content: new PhotoPane("content", section("content"), page),
  style: new PhotoPane("style", section("style"), page),
  result: new ResultPane(section("result"), (address) => server.image(address)),
};
let focused = "result";

function otherPane(side, event) {
  const under = document.elementFromPoint(event.clientX, event.clientY)?.closest(".pane")?.dataset.pane;
  return SIDES.includes(under) && under !== side ? under : null;
}

// ---- what a person changes

function pair(from, to) {
  if (from === to) return;
  history.pair(from, to);
  if (page.region === from) page.region = to;
  change();
}

/** Send regions and settings; without `run` nothing is computed but the regions. */
async function change(run = true) {
  showHistory();
  for (const side of SIDES) panes[side].redraw();
  record++;
  states.set(record, history?.now);
  const edit = history && { ...history.message(record), base: page.base };
  if (run) busy("Starting");
  await attempt(() => server.post("/change", { settings: settings(), edit, run }));
}

function settings() {
  return { preset: byId("preset").value, size: Number(byId("size").value), regions: byId("source").value };
}

async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    if (error instanceof Refused) { say(error.message, "error"); idle(); } else if (!(error instanceof TypeError)) throw error;
    return null; // a TypeError of fetch: the server is gone, which the stream of events notices
  }
}

function newRegion() {
  const names = history.now.names;
  if (names.length >= SPARE.length) return say("Masks have nine colours, so there are at most nine regions.", "error");
  let number = names.length + 1;
  while (names.includes(`region ${number}`)) number++;
  history.addRegion(`region ${number}`);
  const used = page.regions.map((each) => each.colour);
  page.regions.push({ name: `region ${number}`, colour: SPARE.find((each) => !used.includes(each)) });
  page.region = names.length;
  if (focused === "result") focusOn("content");
  chooseTool("brush");
  listRegions();
  showHistory();
}

function listRegions() {
  showRegions(page, {
    choose: (label) => { page.choose(label); if (label === NOTHING && page.tool === "point") chooseTool("brush"); },
    light: page.light, pair,
    rename: (label, name) => {
      if (history.now.names.includes(name)) return say(`There is a region named ${name} already.`, "error");
      history.rename(label, name);
      change(false);
    },
  });
}

function showHistory() {
  byId("undo").disabled = !history?.canUndo;
  byId("redo").disabled = !history?.canRedo;
  if (history) byId("follow").checked = history.now.follow;
}

function go(step) {
  if (!history || !(step < 0 ? history.canUndo : history.canRedo)) return;
  step < 0 ? history.undo() : history.redo();
  page.region = Math.min(page.region, page.region === NOTHING ? NOTHING : history.now.names.length - 1);
  change();
}

// ---- what the server says

const heardEvents = {
  async photo(event) {
    if (panes[event.side].photo?.key === event.key) return; // told again, after the page was not seen
    history = null;
    Object.assign(page, { regions: [], shares: {}, region: 0, lit: null });
    for (const note of event.notes) say(note);
    byId("regions").hidden = true;
    panes[event.side].section.classList.add("filled");
    panes[event.side].section.querySelector(".replace").hidden = false;
    panes[event.side].section.querySelector(".fact").textContent = `${event.width} × ${event.height}${event.bits > 8 ? `, ${event.bits} bits` : ""}`;
    panes[event.side].section.querySelector(".fact").title = event.name;
    await panes[event.side].setPhoto(event, `${server.address(`/photos/${event.side}/view`)}?${event.key}`);
    const both = SIDES.every((side) => panes[side].photo);
    if (event.side === "content") {
      byId("format").value = event.output;
      panes.result.setContent(await server.image(`${server.address("/photos/content/view")}?${event.key}`), event.width, event.height);
      current = null;
      for (const id of ["sliders", "keep"]) byId(id).hidden = true;
    }
    if (both && document.body.dataset.state === "empty") {
      document.body.dataset.state = "ready";
      focusOn("result");
    }
    if (!both) status(event.side === "content" ? "Now give the style." : "Now give the content.");
    else busy("Finding regions");
  },
  regions(event) {
    const sizes = Object.fromEntries(SIDES.map((side) => [side, [event.maps[side].width, event.maps[side].height]]));
    if (!history || event.base !== page.base) {
      page.base = event.base;
      history = new EditHistory(event.regions.map((each) => each.name).slice(0, Math.max(event.found, 1)), sizes);
      page.region = 0;
      if (event.edit) history.restore(event.edit);
      if (restoring) { history.push(restoring); restoring = null; change(); }
    }
    page.regions = event.regions.slice();
    for (const name of history.now.names.slice(page.regions.length)) page.regions.push({ name, colour: SPARE.find((c) => !page.regions.some((r) => r.colour === c)) });
    page.shares = Object.fromEntries(SIDES.map((side) => [side, event.maps[side].shares]));
    for (const side of SIDES) panes[side].setRegions(event.regions, event.maps[side]);
    byId("source").querySelector('[value="masks"]').hidden = event.source !== "masks";
    byId("source").value = event.source;
    byId("regions").hidden = false;
    byId("regions-hint").textContent = event.regions.length === 1
      ? "The whole photo is one region. Add another, and paint a stroke of it in both photos."
      : "Enlarge a photo to correct them: paint a stroke where one is wrong, or drag one onto its partner.";
    section("content").dataset.regions = String(Number(section("content").dataset.regions ?? 0) + 1);
    listRegions();
    showHistory();
  },
  queue(event) { status(`Waiting for ${event.ahead} other ${event.ahead === 1 ? "tab" : "tabs"}`); },
  async picture(event) {
    busy(event.kind === "preview" ? "Preview" : null);
    show(event.kind, await createImageBitmap(decoded(event.data)));
  },
  progress(event) {
    const text = STAGES[event.stage] ?? event.stage;
    const isStep = ["style", "photorealism"].includes(event.stage);
    busy(isStep ? `${text}, step ${event.step} of ${event.total}` : text, event.total ? event.step / event.total : 0);
  },
  async result(event) {
    results.set(event.number, event);
    while (results.size > 12) results.delete(results.keys().next().value);
    if (!event.restored || results.size === 1) for (const note of event.notes) say(note);
    const isNew = current === null || event.number > current;
    if (isNew && event.pictures.includes("calm") === false) status("Finishing");
    if (isNew || event.number === current) await openResult(event.number, false);
    else thumbs();
  },
  notes(event) { for (const note of event.notes) say(note); },
  failed(event) { say(event.error, "error"); idle(); },
  idle(event) {
    idle();
    status(event.cancelled ? "Stopped." : "Ready.");
    if (event.cancelled && current !== null) panes.result.setLive(null);
  },
  /** The server has forgotten this page: give it all again. */
  async reopened() {
    results.clear();
    current = null;
    for (const side of SIDES) if (panes[side].photo) panes[side].photo.key = null;
    thumbs();
    if (history?.at) restoring = history.now;
    for (const side of SIDES) if (files[side]) await send(side, files[side]);
  },
};

const queue = [];
/** Events are handled one after the other, although some of them wait for pictures. */
function heard(event) {
  queue.push(event);
  if (queue.length > 1) return;
  (async () => {
    for (; queue.length; queue.shift()) {
      // A picture that a newer one follows is not worth its decoding.
      if (queue[0].type === "picture" && queue.slice(1).some((each) => ["picture", "result"].includes(each.type))) continue;
      await attempt(() => heardEvents[queue[0].type]?.(queue[0]));
    }
  })();
}

/** Return a picture of an event, a data: address, as a Blob. */
function decoded(address) {
  return new Blob([Uint8Array.from(atob(address.slice(address.indexOf(",") + 1)), (letter) => letter.charCodeAt(0))], { type: "image/jpeg" });
}

function show(kind, image) {
  panes.result.setLive(image);
  section("result").dataset.shown = kind;
  section("result").dataset.pictures = String(Number(section("result").dataset.pictures ?? 0) + 1);
}

const viewOf = (result, picture) => server.address(`/results/${result.number}/view/${picture}`);

/** Show a result; `restore`: also the regions and settings that it was made with. */
async function openResult(number, restore) {
  const result = results.get(number), pictures = current === number ? { ...panes.result.pictures } : { content: panes.result.pictures.content };
  const missing = result.pictures.filter((name) => !pictures[name]);
  const images = await Promise.all(missing.map((name) => server.image(viewOf(result, name))));
  missing.forEach((name, i) => { pictures[name] = images[i]; });
  current = number;
  panes.result.setResult(result, pictures, { cut: (name) => server.address(`/results/${number}/cut/${name}`) });
  section("result").dataset.shown = "result";
  section("result").dataset.result = String(number);
  section("result").querySelector(".fact").textContent = `${result.width} × ${result.height}`;
  for (const id of ["sliders", "keep"]) byId(id).hidden = false;
  thumbs();
  if (!restore || !history) return;
  byId("preset").value = result.recipe.preset;
  byId("size").value = String(result.recipe.size);
  const edit = result.edit === null ? history.states[0] : states.get(result.edit);
  if (edit && edit !== history.now) history.push(edit);
  change(false);
}

function thumbs() { showThumbs(results, current, (result) => viewOf(result, "result"), (number) => attempt(() => openResult(number, true))); }

// ---- status

function status(text) { byId("status").textContent = text; }

function busy(text, part) {
  if (text) status(text);
  byId("progress").hidden = byId("stop").hidden = false;
  if (part === undefined) byId("progress").value = 0; else byId("progress").value = part;
  clearMessages("error");
}

function idle() { byId("progress").hidden = byId("stop").hidden = true; }

async function send(side, file) {
  status(`Reading the ${side}`);
  sending.add(side);
  const read = await attempt(() => server.put(`/photos/${side}`, file, file.name ?? ""));
  sending.delete(side);
  if (read) files[side] = file;
  else status("Ready.");
}

// ---- tools, panes and keys

function focusOn(name) {
  focused = name;
  main.dataset.focus = name;
  for (const pane of Object.keys(panes)) section(pane).classList.toggle("large", pane === name);
  if (SIDES.includes(name)) section(name).querySelector(".tools").append(byId("edit-tools"));
  byId("edit-tools").hidden = !SIDES.includes(name);
  requestAnimationFrame(() => { for (const pane of Object.values(panes)) { pane.viewport.fitted = true; pane.viewport.resize(); } });
}

const radios = {
  tool: radioGroup(byId("edit-tools"), (button) => {
    page.tool = button.dataset.tool;
    for (const side of SIDES) panes[side].redraw();
  }),
  mode: radioGroup(section("result"), (button) => {
    panes.result.setMode(button.dataset.mode);
    section("result").querySelector(".legend").hidden = button.dataset.mode !== "changes";
    section("result").querySelector(".wide").hidden = button.dataset.mode !== "split";
  }),
};
const chooseTool = (tool) => radios.tool(byId("edit-tools").querySelector(`[data-tool="${tool}"]`));
const chooseMode = (mode) => radios.mode(section("result").querySelector(`[data-mode="${mode}"]`));
const viewport = () => panes[focused].viewport;

addZoomButtons(byId("edit-tools").querySelector(".zoom"), {
  zoomBy: (factor) => viewport().zoomBy(factor), fit: () => viewport().fit(), pixelByPixel: () => viewport().pixelByPixel(),
});
addZoomButtons(section("result").querySelector(".zoom"), panes.result.viewport);
for (const name of Object.keys(panes)) {
  section(name).querySelector(".enlarge").onclick = () => { focusOn(name); section(name).querySelector("canvas").focus(); };
}
byId("undo").onclick = () => go(-1);
byId("redo").onclick = () => go(1);
byId("brush").oninput = () => { page.brush = Number(byId("brush").value); };
byId("follow").onchange = () => { if (history) { history.push({ follow: byId("follow").checked }); change(); } };
byId("new-region").onclick = newRegion;
byId("stop").onclick = () => attempt(() => server.post("/cancel"));
for (const id of ["preset", "size"]) byId(id).onchange = () => { if (panes.content.photo && panes.style.photo) change(); };
byId("source").onchange = () => { history = null; if (panes.content.photo && panes.style.photo) change(); };
byId("divider").oninput = () => panes.result.setDivider(byId("divider").value / 100);
panes.result.onDivider = (part) => { byId("divider").value = Math.round(part * 100); };
for (const name of ["strength", "photorealism", "blend"]) {
  byId(name).oninput = () => {
    document.querySelector(`output[for="${name}"]`).textContent = byId(name).value;
    panes.result.setSliders({ [name]: Number(byId(name).value) });
  };
}
watchKeep(server, () => results.get(current), panes.result, attempt, status);
watchFiles({ send, server, attempt, focused: () => focused, filled: (side) => Boolean(panes[side].photo) });

const KEYS = {
  1: () => focusOn("content"), 2: () => focusOn("style"), 3: () => focusOn("result"),
  v: () => chooseTool("point"), b: () => chooseTool("brush"), e: () => chooseTool("eraser"), l: () => chooseTool("lasso"), h: () => chooseTool("hand"),
  "[": () => brush(1 / 1.25), "]": () => brush(1.25), q: () => nextRegion(-1), w: () => nextRegion(1),
  "+": () => viewport().zoomBy(1.5), "=": () => viewport().zoomBy(1.5), "-": () => viewport().zoomBy(1 / 1.5), f: () => viewport().fit(), o: () => viewport().pixelByPixel(),
  x: () => chooseMode(panes.result.mode === "before" ? "result" : "before"),
};

function brush(factor) {
  page.brush = Math.min(60, Math.max(2, page.brush * factor));
  byId("brush").value = page.brush;
  if (SIDES.includes(focused)) panes[focused].draw();
}

function nextRegion(step) {
  const labels = [...page.regions.keys(), NOTHING];
  page.choose(labels[(labels.indexOf(page.region) + step + labels.length) % labels.length]);
}

document.addEventListener("keydown", (event) => {
  if (document.body.dataset.state !== "ready" || event.target.matches("input:not([type=range]), select, textarea") || document.querySelector("dialog[open]")) return;
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y")) {
    event.preventDefault();
    go(key === "y" || event.shiftKey ? 1 : -1);
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey && KEYS[key]) {
    event.preventDefault();
    KEYS[key]();
  }
});

for (const preset of ["fast", "recolour", "painterly"]) byId("preset").append(new Option(preset, preset));
await attempt(() => server.open());
