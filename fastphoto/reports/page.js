"use strict";
{
  for (const copy of document.querySelectorAll("img[data-copy-of]"))
    copy.src = document.getElementById(copy.dataset.copyOf).src;

  for (const viewer of document.querySelectorAll(".viewer")) {
    const slider = viewer.querySelector("input");
    const pictures = viewer.querySelectorAll("img");
    const slide = () => {
      viewer.style.setProperty("--at", slider.value);
      const share = Math.round(slider.value);
      const [left, right] = [...viewer.querySelectorAll(".name")].map((name) => name.textContent);
      slider.setAttribute("aria-valuetext", `${share} % ${left}, ${100 - share} % ${right}`);
    };
    const choose = () => {
      for (const select of viewer.querySelectorAll("select")) {
        const side = select.dataset.side;
        pictures.forEach((picture, number) => picture.classList.toggle(side, number === select.selectedIndex));
        viewer.querySelector(`[data-name="${side}"]`).textContent = select.value;
      }
      slide();
    };
    slider.addEventListener("input", slide);
    viewer.addEventListener("change", choose);
    choose(); // a reloaded page keeps what was chosen before
  }

  document.addEventListener("click", (event) => {
    const dialog = document.getElementById("enlarged");
    const button = event.target.closest(".enlarge");
    if (button) {
      const picture = button.querySelector("img");
      const shown = dialog.querySelector("img");
      [shown.src, shown.alt] = [picture.src, picture.alt];
      dialog.querySelector("figcaption").textContent = picture.alt;
      dialog.showModal();
    } else if (dialog && dialog.contains(event.target)) dialog.close();
  });

  const compare = (a, b) => a.localeCompare(b, undefined, { numeric: true });
  for (const button of document.querySelectorAll("th[aria-sort] button"))
    button.addEventListener("click", () => {
      const heading = button.parentElement;
      const body = heading.closest("table").tBodies[0];
      const opposite = { ascending: "descending", descending: "ascending" };
      const order = opposite[heading.getAttribute("aria-sort")] || heading.dataset.first;
      for (const other of heading.parentElement.children) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const numbers = heading.classList.contains("number");
      const rows = [...body.rows].map((row) => {
        const cell = row.cells[heading.cellIndex];
        return { row, value: numbers ? cell.dataset.value : cell.textContent };
      });
      rows.sort((a, b) => {
        if (a.value === undefined || b.value === undefined) return (a.value === undefined) - (b.value === undefined);
        return sign * (numbers ? Number(a.value) - Number(b.value) : compare(a.value, b.value));
      });
      body.append(...rows.map(({ row }) => row));
    });
}
