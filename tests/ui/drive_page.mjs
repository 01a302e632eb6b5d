// Drives the page of `fastphoto ui` in a headless Chromium as a person does, and writes screenshots; see `make ui-test`.
// node drive_page.mjs PYTHON PHOTOS OUT: the interpreter, a folder with content.jpg and style.jpg, and where files go.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const [python, photos, out] = process.argv.slice(2).map((path, i) => (i ? resolve(path) : path));
const require = createRequire(join(process.cwd(), "build/ui-test/package.json")); // where `make ui-test` installs them
const load = async (name) => (await import(pathToFileURL(require.resolve(name)))).default;
const chromium = await load("@sparticuz/chromium"), puppeteer = await load("puppeteer-core");
const content = join(photos, "content.jpg"), style = join(photos, "style.jpg"), downloads = join(out, "downloads");
for (const folder of [out, downloads]) mkdirSync(folder, { recursive: true });

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const temporary = join(out, "temporary");
rmSync(temporary, { recursive: true, force: true });
mkdirSync(temporary);

/** Start a server; return it with its address. */
async function serve(port = 0) {
  const words = ["-m", "fastphoto.cli", "ui", "--no-browser", "--port", String(port)];
  const server = spawn(python, words, { env: { ...process.env, TMPDIR: temporary }, stdio: ["ignore", "pipe", "ignore"] });
  server.address = await new Promise((done) => readline.createInterface({ input: server.stdout }).once("line", done));
  server.port = Number(new URL(server.address).port);
  return server;
}

async function until(what, condition, seconds = 60) {
  const end = Date.now() + 1000 * seconds;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < end, `waited ${seconds} s for: ${what}`);
    await sleep(30);
  }
}

const measured = {};
const problems = [];
let step = "";
async function test(name, act) {
  step = name;
  const start = performance.now();
  await act();
  console.log(`ok  ${name}  (${((performance.now() - start) / 1000).toFixed(1)} s)`);
}

let server = await serve();
// Not all of the package's own arguments: they turn the browser's security off.
const browser = await puppeteer.launch({
  executablePath: await chromium.executablePath(), headless: "shell",
  args: ["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb", "--font-render-hinting=none"],
});

async function open(address) {
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 800 });
  page.on("pageerror", (error) => problems.push(`${step}: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) problems.push(`${step}: ${message.text().slice(0, 300)}`);
  });
  const session = await page.createCDPSession();
  await session.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: downloads });
  page.drop = async (selector, files) => {
    const box = await page.$eval(selector, (e) => { const b = e.getBoundingClientRect(); return { x: b.x + b.width / 2, y: b.y + b.height / 2 }; });
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) await session.send("Input.dispatchDragEvent", { type, ...box, data });
  };
  await page.goto(address);
  return page;
}

const attribute = (page, pane, name) => page.$eval(`[data-pane=${pane}]`, (e, key) => e.dataset[key], name);
const shown = (page) => attribute(page, "result", "shown");
const status = (page) => page.$eval("#status", (e) => e.textContent);
const count = async (page) => Number((await attribute(page, "result", "pictures")) ?? 0);
const regionsCount = async (page) => Number((await attribute(page, "content", "regions")) ?? 0);
const ready = (page, seconds = 90) => until("Ready.", async () => (await status(page)) === "Ready.", seconds);
const messages = (page) => page.$$eval("#messages p span", (lines) => lines.map((line) => line.textContent));
const canvasBox = async (page, pane) => (await page.$(`[data-pane=${pane}] canvas`)).boundingBox();
const checksum = (page, pane) => page.$eval(`[data-pane=${pane}] canvas`, async (canvas) => {
  for (let i = 0; i < 2; i++) await new Promise((drawn) => requestAnimationFrame(drawn));
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum = (sum * 31 + data[i] + 7 * data[i + 1] + 13 * data[i + 2]) % 1000000007;
  return sum;
});

async function drag(page, from, to, steps = 14) {
  await page.mouse.move(...from);
  await page.mouse.down();
  await page.mouse.move(...to, { steps });
  await page.mouse.up();
}

async function at(page, pane, x, y) {
  const box = await canvasBox(page, pane);
  return [box.x + x * box.width, box.y + y * box.height];
}

async function newDownload(act, name) {
  const path = join(downloads, name);
  rmSync(path, { force: true });
  await act();
  await until(`the download ${name}`, () => existsSync(path) && !readdirSync(downloads).some((each) => each.endsWith(".crdownload")));
  return path;
}

/** Take a screenshot in both themes and widths; check that nothing overlaps and nothing is cut. */
async function look(page, name) {
  for (const width of [1280, 390]) {
    await page.setViewport({ width, height: width === 390 ? 844 : 800 });
    for (const theme of ["light", "dark"]) {
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
      await sleep(250);
      await page.screenshot({ path: join(out, `${name}-${width}-${theme}.webp`), type: "webp", quality: 88, fullPage: width === 390 });
    }
    const faults = await page.evaluate(faultsOfLayout);
    assert.deepEqual(faults, [], `${name} at ${width} px`);
  }
  await page.setViewport({ width: 1280, height: 800 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
  await sleep(200);
}

function faultsOfLayout() {
  const faults = [], root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push(`the page is ${root.scrollWidth} px wide`);
  const inDialog = document.querySelector("dialog[open]");
  const controls = [...(inDialog ?? document).querySelectorAll("button, select, input, label, h1, h2, .hint")].filter((each) => each.checkVisibility() && each.getClientRects().length);
  for (const each of controls) {
    const box = each.getBoundingClientRect(), scrolls = each.closest("#thumbs");
    if (!scrolls && (box.left < -0.5 || box.right > root.clientWidth + 0.5)) faults.push(`${each.outerHTML.slice(0, 60)} leaves the window`);
    if (each.matches("button") && each.scrollWidth > each.clientWidth + 1) faults.push(`${each.textContent} is cut`);
  }
  const buttons = controls.filter((each) => each.matches("button:not(.enlarge), select, input"));
  buttons.forEach((one, i) => buttons.slice(i + 1).forEach((other) => {
    if (one.closest("aside") !== other.closest("aside")) return; // the panel scrolls on its own
    const [a, b] = [one, other].map((each) => each.getBoundingClientRect());
    const overlap = Math.min(Math.min(a.right, b.right) - Math.max(a.left, b.left), Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));
    if (overlap > 2) faults.push(`${one.outerHTML.slice(0, 50)} and ${other.outerHTML.slice(0, 50)} overlap`);
  }));
  return faults;
}

const page = await open(server.address);
try {
  await test("the page opens, and its address keeps no token", async () => {
    assert.equal(new URL(page.url()).search, "");
    await look(page, "1-empty");
  });

  await test("dropped photos: regions, a preview, the result", async () => {
    await page.drop("[data-pane=content] .drop", [content]);
    await until("the content", () => page.$eval("[data-pane=content]", (e) => e.classList.contains("filled")));
    const start = performance.now();
    await page.drop("[data-pane=style] .drop", [style]);
    await until("a preview", () => shown(page));
    measured["drop to first preview"] = performance.now() - start;
    await until("the result", async () => (await shown(page)) === "result");
    measured["drop to whole result"] = performance.now() - start;
    await ready(page);
    assert.ok((await page.$$("#region-list li")).length >= 3);
    await look(page, "2-result");
  });

  await test("compare: divider, toggle, changes, sliders", async () => {
    const split = await checksum(page, "result");
    await drag(page, await at(page, "result", 0.5, 0.5), await at(page, "result", 0.25, 0.5));
    const moved = await checksum(page, "result");
    assert.notEqual(moved, split);
    assert.equal(await page.$eval("#divider", (e) => e.value), "25");
    await page.keyboard.press("x");
    const before = await checksum(page, "result");
    await page.keyboard.press("x");
    const after = await checksum(page, "result");
    assert.notEqual(before, after);
    const sums = [after];
    for (const name of ["strength", "photorealism", "blend"]) {
      await page.focus(`#${name}`);
      for (let i = 0; i < 8; i++) await page.keyboard.press(name === "photorealism" ? "ArrowRight" : "ArrowLeft");
      sums.push(await checksum(page, "result"));
    }
    assert.equal(new Set(sums).size, 4);
    for (const name of ["strength", "photorealism", "blend"]) {
      await page.focus(`#${name}`);
      await page.keyboard.press(name === "photorealism" ? "Home" : "End");
    }
    assert.equal(await checksum(page, "result"), after);
    await page.click("[data-mode=changes]");
    assert.notEqual(await checksum(page, "result"), after);
    await look(page, "3-changes");
    await page.click("[data-mode=split]");
  });

  await test("zoom to single pixels fetches them at full size", async () => {
    const fitted = await checksum(page, "result");
    await page.keyboard.press("o");
    await sleep(500);
    assert.notEqual(await checksum(page, "result"), fitted);
    await page.keyboard.press("f");
    await sleep(200);
    assert.equal(await checksum(page, "result"), fitted);
  });

  await test("pointing at a region lights its partner up", async () => {
    await page.keyboard.press("1");
    await sleep(200);
    const dark = await checksum(page, "style");
    await page.mouse.move(...(await at(page, "content", 0.5, 0.2)));
    await sleep(100);
    assert.notEqual(await checksum(page, "style"), dark);
    await look(page, "4-regions");
  });

  await test("a stroke is followed by a preview and a result; undo and redo", async () => {
    const [pictures, regions] = [await count(page), await regionsCount(page)];
    await page.click("#new-region");
    const at0 = await at(page, "content", 0.3, 0.78), at1 = await at(page, "content", 0.7, 0.8);
    await drag(page, at0, at1);
    const start = performance.now();
    await until("the regions", async () => (await regionsCount(page)) > regions);
    measured["stroke to regions"] = performance.now() - start;
    await until("a preview", async () => (await count(page)) > pictures);
    measured["stroke to preview"] = performance.now() - start;
    assert.ok((await page.$$eval("#region-list .name", (e) => e.map((each) => each.textContent))).includes("region 3"));
    const painted = await checksum(page, "content"), done = await regionsCount(page);
    await page.keyboard.down("Control");
    await page.keyboard.press("z");
    await page.keyboard.up("Control");
    await until("the regions before", async () => (await regionsCount(page)) > done);
    assert.notEqual(await checksum(page, "content"), painted);
    await page.click("#redo");
    await until("the regions again", async () => (await regionsCount(page)) > done + 1);
    await page.mouse.move(...at1);
    await look(page, "5-painting");
  });

  await test("eraser, lasso and the keyboard paint, too", async () => {
    for (const [key, act] of [
      ["e", () => drag(page, [600, 400], [700, 420])],
      ["l", async () => {
        const [x, y] = await at(page, "content", 0.3, 0.6);
        await page.mouse.move(x, y);
        await page.mouse.down();
        for (const [dx, dy] of [[90, 0], [90, 60], [0, 60]]) await page.mouse.move(x + dx, y + dy, { steps: 4 });
        await page.mouse.up();
      }],
      ["b", async () => {
        await page.focus("[data-pane=content] canvas");
        await page.keyboard.press("Space");
        for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowRight");
        await page.keyboard.press("Space");
      }],
    ]) {
      const regions = await regionsCount(page);
      await page.keyboard.press(key);
      await act();
      await until(`regions after ${key}`, async () => (await regionsCount(page)) > regions);
    }
  });

  await test("a finger paints, and two fingers zoom", async () => {
    const regions = await regionsCount(page), [x, y] = await at(page, "content", 0.5, 0.45);
    const one = await page.touchscreen.touchStart(x, y);
    for (let i = 1; i < 6; i++) await one.move(x + 12 * i, y);
    await one.end();
    await until("regions after a finger", async () => (await regionsCount(page)) > regions);
    const whole = await checksum(page, "content");
    const [left, right] = [await page.touchscreen.touchStart(x - 30, y), await page.touchscreen.touchStart(x + 30, y)];
    for (let i = 1; i < 6; i++) { await left.move(x - 30 - 20 * i, y); await right.move(x + 30 + 20 * i, y); }
    await left.end();
    await right.end();
    assert.notEqual(await checksum(page, "content"), whole);
    assert.equal(await regionsCount(page), regions + 1, "two fingers painted");
    await page.keyboard.press("f");
  });

  await test("a region that is dragged onto one of the style takes its look", async () => {
    await page.keyboard.press("v");
    const names = await page.$$eval("#region-list select", (lists) => lists.length);
    const regions = await regionsCount(page);
    await drag(page, await at(page, "content", 0.5, 0.15), await at(page, "style", 0.3, 0.75), 20);
    await until("the regions", async () => (await regionsCount(page)) > regions);
    assert.equal(await page.$$eval("#region-list select", (lists) => lists.length), names - 1);
  });

  await test("stop ends a run; earlier results stay", async () => {
    await ready(page);
    const kept = (await page.$$("#thumbs button")).length;
    await page.select("#preset", "painterly");
    await until("a step", async () => /step \d/.test(await status(page)));
    await page.click("#stop");
    await until("the end", async () => (await status(page)) === "Stopped.");
    assert.equal((await page.$$("#thumbs button")).length, kept);
    await page.click("#thumbs button:last-child");
    await until("the first result", async () => (await attribute(page, "result", "result")) === "1");
    assert.equal(await page.$eval("#preset", (e) => e.value), "fast");
  });

  await test("a download has the pixels of the command that is shown", async () => {
    await page.click("#thumbs button:first-child");
    await sleep(500);
    await page.keyboard.press("3");
    await page.focus("#strength");
    for (let i = 0; i < 6; i++) await page.keyboard.press("ArrowLeft");
    await page.select("#format", "png");
    const file = await newDownload(() => page.click("#download"), "result.png");
    await page.click("#show-commands");
    await until("the commands", () => page.$eval("#commands", (e) => e.open));
    const command = await page.$eval("#command", (e) => e.textContent);
    assert.match(command, /--strength 0\.7/);
    const masks = [];
    for (const side of ["content", "style"]) masks.push(await newDownload(() => page.click(`[data-mask=${side}]`), `${side}_mask.png`));
    await page.keyboard.press("Escape");
    writeFileSync(join(out, "command.txt"), command);
    const words = execFileSync(python, ["-c", "import shlex, json, sys; print(json.dumps(shlex.split(sys.argv[1])))", command], { encoding: "utf-8" });
    const made = join(out, "command.png");
    const known = { "content.jpg": content, "style.jpg": style, "content_mask.png": masks[0], "style_mask.png": masks[1], "result.png": made };
    execFileSync(python, ["-m", "fastphoto.cli", ...JSON.parse(words).slice(1).map((word) => known[word] ?? word), "--quiet"]);
    execFileSync(python, ["-c", "import sys, numpy; from PIL import Image; a, b = (numpy.asarray(Image.open(p)) for p in sys.argv[1:]); assert numpy.array_equal(a, b)", file, made]);
  });

  await test("masks are loaded", async () => {
    const [chooser] = await Promise.all([page.waitForFileChooser(), page.click("#load-masks")]);
    await chooser.accept(["content_mask.png", "style_mask.png"].map((name) => join(photos, name)));
    await until("masks", async () => (await page.$eval("#source", (e) => e.value)) === "masks");
    assert.ok((await page.$$eval("#region-list .name", (e) => e.map((each) => each.textContent))).includes("lightblue"));
    await ready(page);
  });

  await test("a second tab has photos of its own", async () => {
    const second = await open(`http://127.0.0.1:${server.port}/`);
    await second.drop("[data-pane=content] .drop", [style, content]);
    await until("its result", async () => (await shown(second)) === "result", 90);
    assert.equal((await second.$$("#thumbs button")).length, 1);
    assert.ok((await page.$$("#thumbs button")).length > 1);
    await second.close();
  });

  await test("a hostile file is refused in one line, and the page goes on", async () => {
    const hostile = join(out, "hostile.png");
    writeFileSync(hostile, "<script>alert(1)</script>");
    await page.drop("[data-pane=result] canvas", [hostile]);
    await until("the error", async () => (await messages(page)).some((line) => /^content: /.test(line)));
    assert.equal(await shown(page), "result");
  });

  await test("a stranger's page is not answered", async () => {
    const stranger = http.createServer((_, answer) => answer.end("<p>hello</p>")).listen(0, "127.0.0.1");
    const visitor = await browser.newPage();
    await visitor.goto(`http://127.0.0.1:${stranger.address().port}/`);
    const answers = await visitor.evaluate(async (port) => {
      const tries = [["GET", "/api/tabs/x"], ["POST", "/api/tabs"]];
      return Promise.all(tries.map(([method, path]) => fetch(`http://127.0.0.1:${port}${path}`, { method, credentials: "include" }).then((r) => r.status, () => "refused")));
    }, server.port);
    assert.deepEqual(answers, ["refused", "refused"]);
    await visitor.close();
    stranger.close();
  });

  await test("a server that is killed and comes back", async () => {
    const { port } = server;
    server.kill("SIGKILL");
    await until("the message", async () => (await messages(page)).some((line) => /does not answer/.test(line)));
    server = await serve(port);
    const second = await open(server.address); // its cookie lets the first page in again
    await until("the result anew", async () => (await shown(page)) === "result" && (await status(page)) === "Ready." && (await page.$$("#thumbs button")).length >= 1
      && !(await messages(page)).some((line) => /does not answer|started anew/.test(line)), 120);
    assert.equal(readdirSync(temporary).filter((name) => name.startsWith("fastphoto-ui-")).length, 1);
    await second.close();
  });

  await test("a photo of 50 megapixels", async () => {
    const large = join(out, "large.jpg");
    if (!existsSync(large)) {
      execFileSync(python, ["-c", "import sys; from PIL import Image; Image.open(sys.argv[1]).resize((8660, 5774), 2).save(sys.argv[2], quality=85)", content, large]);
    }
    const big = await open(`http://127.0.0.1:${server.port}/`);
    await big.select("#preset", "recolour");
    const start = performance.now();
    await big.drop("[data-pane=content] .drop", [large, style]);
    await until("the result", async () => (await shown(big)) === "result", 240);
    measured["50 megapixels, drop to whole result"] = performance.now() - start;
    await big.keyboard.press("o");
    await until("parts at full size", () => attribute(big, "result", "parts"), 30);
    await big.close();
  });

  assert.deepEqual(problems, []);
} catch (error) {
  await page.screenshot({ path: join(out, "failure.png") }).catch(() => null);
  console.log(`FAILED  ${step}: ${error.message}\n${problems.join("\n")}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  const ended = new Promise((done) => server.once("exit", done));
  server.kill("SIGINT");
  await ended;
  const left = readdirSync(temporary);
  if (left.length) { console.log(`FAILED  files are left: ${left}`); process.exitCode = 1; }
  for (const [name, milliseconds] of Object.entries(measured)) console.log(`${name}: ${(milliseconds / 1000).toFixed(2)} s`);
}
