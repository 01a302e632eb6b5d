// What goes out: the result as a file, the LUT, the look, masks, and the commands that give the same.

import { byId, say } from "/page/panels.js";

export function watchKeep(server, current, pane, attempt, status) {
  const query = () => new URLSearchParams({ ...pane.sliders, format: byId("format").value });
  const save = async (button, path, text) => {
    if (!current()) return null;
    button.disabled = true;
    status(text);
    const headers = await attempt(() => server.save(`/results/${current().number}${path}`));
    button.disabled = false;
    status("Ready.");
    return headers;
  };
  byId("download").onclick = () => save(byId("download"), `/file?${query()}`, "Making the file");
  byId("lut").onclick = async () => {
    const headers = await save(byId("lut"), `/lut?${query()}`, "Fitting the LUT; this takes some seconds");
    if (headers) say(`The LUT is ${headers.get("X-Closeness")}.`);
  };
  byId("look").onclick = () => save(byId("look"), "/look", "Making the look");
  byId("show-commands").onclick = async () => {
    const result = current(), lines = result && (await attempt(() => server.get(`/results/${result.number}/commands?${query()}`)));
    if (!lines) return;
    byId("command").textContent = lines.command;
    byId("python").textContent = lines.python;
    byId("commands-masks").hidden = !result.drawn;
    byId("commands").showModal();
  };
  for (const button of document.querySelectorAll("[data-mask]")) {
    button.onclick = () => save(button, `/mask/${button.dataset.mask}`, "Making the mask");
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.onclick = async () => {
      await navigator.clipboard.writeText(byId(button.dataset.copy).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    };
  }
}
