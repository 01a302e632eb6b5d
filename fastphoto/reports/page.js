"use strict";
{
  // A picture that the page shows several times is stored in one <img>; the others take it from there.
  for (const copy of document.querySelectorAll("img[data-copy-of]"))
    copy.src = document.getElementById(copy.dataset.copyOf).src;

  for (const viewer of document.querySelectorAll(".viewer")) {
    const slider = viewer.querySelector("input");
    const pictures = viewer.querySelectorAll("img");
    const moveDivider = () => {
      viewer.style.setProperty("--at", slider.value);
      const percent = Math.round(slider.value);
      const [left, right] = [...viewer.querySelectorAll(".name")].map((name) => name.textContent);
      slider.setAttribute("aria-valuetext", `${percent} % ${left}, ${100 - percent} % ${right}`);
    };
    const showChosen = () => {
      for (const list of viewer.querySelectorAll("select")) {
        const side = list.dataset.side;
        pictures.forEach((picture, index) => picture.classList.toggle(side, index === list.selectedIndex));
        viewer.querySelector(`[data-name="${side}"]`).textContent = list.value;
      }
      moveDivider();
    };
    slider.addEventListener("input", moveDivider);
    viewer.addEventListener("change", showChosen);
    showChosen(); // browsers restore lists and sliders when a page is reloaded
  }

  document.addEventListener("click", (event) => {
    const dialog = document.getElementById("enlarged");
    const button = event.target.closest(".enlarge");
    if (button) {
      const picture = button.querySelector("img");
      const enlarged = dialog.querySelector("img");
      [enlarged.src, enlarged.alt] = [picture.src, picture.alt];
      dialog.querySelector("figcaption").textContent = picture.alt;
      dialog.showModal();
    } else if (dialog && dialog.contains(event.target)) dialog.close();
  });

  const compareTexts = (a, b) => a.localeCompare(b, undefined, { numeric: true });
  for (const button of document.querySelectorAll("th[aria-sort] button"))
    button.addEventListener("click", () => {
      const heading = button.parentElement;
      const body = heading.closest("table").tBodies[0];
      const opposite = { ascending: "descending", descending: "ascending" };
      const order = opposite[heading.getAttribute("aria-sort")] || heading.dataset.first;
      for (const other of heading.parentElement.children) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const numeric = heading.classList.contains("number");
      const rows = [...body.rows].map((row) => {
        const cell = row.cells[heading.cellIndex];
        return { row, value: numeric ? cell.dataset.value : cell.textContent };
      });
      rows.sort((a, b) => {
        if (a.value === undefined || b.value === undefined) // missing numbers come last in either order
          return (a.value === undefined) - (b.value === undefined);
        return sign * (numeric ? Number(a.value) - Number(b.value) : compareTexts(a.value, b.value));
      });
      body.append(...rows.map(({ row }) => row));
    });
}
