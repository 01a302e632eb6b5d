// What stands beside the photos: the list of regions, thumbnails of results, messages.

import { NOTHING, hue } from "/page/photo_pane.js";

export const byId = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Show one line until it is closed; an error also ends the same error shown before. */
export function say(text, kind = "note") {
  const messages = byId("messages");
  for (const line of [...messages.children]) if (line.firstChild.textContent === text) line.remove();
  const line = element("p", { className: kind }, element("span", { textContent: text }));
  const close = element("button", { type: "button", textContent: "Close", onclick: () => line.remove() });
  close.setAttribute("aria-label", `Close: ${text}`);
  line.append(close);
  messages.append(line);
  while (messages.children.length > 4) messages.firstChild.remove();
  return line;
}

export function clearMessages(kind) {
  for (const line of document.querySelectorAll(`#messages .${kind}`)) line.remove();
}

/**
 * Fill the list of regions. `page` has regions, shares {side: [...]}, region, lit; `actions` has choose(label),
 * light(label), pair(from, to), rename(label, name).
 */
export function showRegions(page, actions) {
  const rows = page.regions.map((region, label) => regionRow(page, region, label, actions));
  rows.push(nothingRow(page, actions));
  const focused = document.activeElement?.closest?.("#region-list li")?.dataset.label;
  byId("region-list").replaceChildren(...rows);
  if (focused !== undefined) byId("region-list").querySelector(`[data-label="${focused}"] .pick`)?.focus();
}

function regionRow(page, region, label, actions) {
  const [content, style] = ["content", "style"].map((side) => page.shares[side]?.[label] ?? 0);
  const swatch = element("span", { className: "swatch" });
  swatch.style.background = `rgb(${hue(region.colour).join(" ")})`;
  const share = content > 0 ? `${percent(content)}` : "";
  const pick = element("button", { type: "button", className: "pick", title: "Paint in this region; double click or F2: rename" },
    swatch, element("span", { className: "name", textContent: region.name }), element("span", { className: "share", textContent: share }));
  pick.setAttribute("aria-pressed", String(page.region === label));
  pick.classList.toggle("lit", page.lit === label);
  pick.onclick = () => actions.choose(label);
  pick.onmouseenter = pick.onfocus = () => actions.light(label);
  pick.onmouseleave = pick.onblur = () => actions.light(null);
  pick.ondblclick = () => rename(pick, region.name, (name) => actions.rename(label, name));
  pick.onkeydown = (event) => { if (event.key === "F2") pick.ondblclick(); };
  const row = element("li", {}, pick, partner(page, label, content, style, actions));
  row.dataset.label = label;
  return row;
}

/** Return what says, and changes, whose look a region takes. */
function partner(page, label, content, style, actions) {
  if (content === 0) {
    return element("span", { className: "alone", textContent: style > 0 ? `only in the style, ${percent(style)}` : "paint it in both photos" });
  }
  const select = element("select", { title: "Region of the style whose look it takes" });
  select.setAttribute("aria-label", `${page.regions[label].name} takes the look of`);
  if (style === 0) select.append(element("option", { value: "", textContent: "as neighbour", selected: true }));
  page.regions.forEach((other, number) => {
    if ((page.shares.style?.[number] ?? 0) > 0) {
      select.append(element("option", { value: String(number), textContent: `as ${other.name}`, selected: number === label }));
    }
  });
  select.onchange = () => actions.pair(label, Number(select.value));
  return select;
}

function nothingRow(page, actions) {
  const pick = element("button", { type: "button", className: "pick", title: "Paint what must not change (in the style: what is not used)" },
    element("span", { className: "swatch nothing" }), element("span", { className: "name", textContent: "no change here" }));
  pick.setAttribute("aria-pressed", String(page.region === NOTHING));
  pick.onclick = () => actions.choose(NOTHING);
  const row = element("li", {}, pick, element("span", { className: "alone", textContent: "keeps its look" }));
  row.dataset.label = NOTHING;
  return row;
}

function rename(button, name, done) {
  const input = element("input", { value: name, maxLength: 40 });
  input.setAttribute("aria-label", "Name of the region");
  input.style.cssText = "min-width:0;width:100%";
  const end = (keep) => {
    input.onblur = null;
    input.replaceWith(button);
    button.focus();
    if (keep && input.value.trim() && input.value.trim() !== name) done(input.value.trim());
  };
  input.onkeydown = (event) => { if (event.key === "Enter" || event.key === "Escape") end(event.key === "Enter"); event.stopPropagation(); };
  input.onblur = () => end(true);
  button.replaceWith(input);
  input.select();
}

const percent = (share) => (share < 0.01 ? "<1 %" : `${Math.round(share * 100)} %`);

/** Show the thumbnails of results, the newest first. */
export function showThumbs(results, current, addressOf, open) {
  const buttons = [...results.values()].reverse().map((result) => {
    const title = `${result.number} · ${result.recipe.preset} · ${result.recipe.size}`;
    const image = element("img", { src: addressOf(result), alt: "" });
    const button = element("button", { type: "button", title: `Go back to result ${title}` }, image, title);
    button.dataset.result = result.number;
    if (result.number === current) button.setAttribute("aria-current", "true");
    button.onclick = () => open(result.number);
    return button;
  });
  byId("thumbs").replaceChildren(...buttons);
}

/** Let the arrow keys move in a group of radio buttons, as in any other, and call `chosen` with the one chosen. */
export function radioGroup(group, chosen) {
  const buttons = [...group.querySelectorAll('[role="radio"]')];
  const choose = (button) => {
    for (const each of buttons) {
      each.setAttribute("aria-checked", String(each === button));
      each.tabIndex = each === button ? 0 : -1;
    }
  };
  for (const [i, button] of buttons.entries()) {
    button.onclick = () => { choose(button); chosen(button); };
    button.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      const next = buttons[(i + step + buttons.length) % buttons.length];
      next.focus();
      next.click();
    };
  }
  choose(buttons.find((each) => each.getAttribute("aria-checked") === "true"));
  return (button) => button.click();
}
