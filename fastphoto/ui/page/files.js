// Files that come in: chosen, dropped or pasted photos, and masks.

import { byId, say } from "/page/panels.js";

export const sending = new Set(); // sides whose photo is on its way
export const files = { content: null, style: null }; // kept, to give them to a server that has started anew

/** `page` has send(side, file), server, attempt, focused() and filled(side). */
export function watchFiles(page) {
  const sides = ["content", "style"];
  const choose = (take, several = false) => {
    const input = byId("file");
    Object.assign(input, { value: "", multiple: several, onchange: () => take([...input.files]) });
    input.click();
  };
  for (const side of sides) {
    const pane = document.querySelector(`[data-pane="${side}"]`);
    for (const button of pane.querySelectorAll(".choose, .replace")) button.onclick = () => choose(([file]) => page.send(side, file));
  }
  byId("load-masks").onclick = () => {
    say("Choose two masks: that of the content, then that of the style; or both at once, named so.");
    choose((chosen) => loadMasks(chosen, page), true);
  };
  byId("save-masks").onclick = async () => {
    for (const side of sides) await page.attempt(() => page.server.save(`/masks/${side}`));
  };

  /** Return the photo that a file without a place is for: the one that is missing, or the one that is large. */
  const side = () => sides.find((each) => !page.filled(each) && !sending.has(each)) ?? (sides.includes(page.focused()) ? page.focused() : "content");
  const take = async (list, first) => {
    const images = [...list].filter((file) => file.type.startsWith("image/") || !file.type);
    if (list.length && !images.length) return say("This is no image file.", "error");
    if (images.length > 1) return Promise.all(sides.map((each, i) => page.send(each, images[i])));
    if (images.length) await page.send(first ?? side(), images[0]);
  };
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  for (const name of ["dragleave", "drop"]) {
    document.addEventListener(name, (event) => { if (name === "drop" || !event.relatedTarget) document.body.classList.remove("over"); });
  }
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const pane = event.target.closest?.(".pane")?.dataset.pane;
    take(event.dataTransfer.files, sides.includes(pane) ? pane : undefined);
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files);
  });
}

/** Send masks; one alone waits for the other. */
async function loadMasks(chosen, page) {
  const named = (file, side) => file.name.toLowerCase().includes(side);
  let pairs = [];
  if (chosen.length >= 2) {
    const swapped = named(chosen[0], "style") || named(chosen[1], "content");
    pairs = [["content", chosen[swapped ? 1 : 0]], ["style", chosen[swapped ? 0 : 1]]];
  } else if (chosen.length) {
    pairs = [[named(chosen[0], "style") || loadMasks.waiting === "style" ? "style" : "content", chosen[0]]];
  }
  for (const [side, file] of pairs) {
    const answer = await page.attempt(() => page.server.put(`/masks/${side}`, file, file.name));
    loadMasks.waiting = answer?.waiting ?? null;
  }
  if (loadMasks.waiting) say(`Now load the mask of the ${loadMasks.waiting}.`);
}
