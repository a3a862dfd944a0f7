"use strict";
(() => {
  const value = (cell) => {
    const data = cell.dataset.value;
    if (data !== undefined) return Number(data);
    const text = cell.textContent.trim();
    return cell.classList.contains("number") || text === "–" ? null : text.toLowerCase();
  };
  // what is not known stays at the end, whichever way the rest goes
  const order = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
  };
  const sort = (table, head) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const index = [...head.parentNode.children].indexOf(head);
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => order(value(a.cells[index]), value(b.cells[index]), down ? -1 : 1));
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    table.tBodies[0].append(...rows);
  };
  for (const table of document.querySelectorAll("table.sortable"))
    for (const head of table.tHead.rows[0].cells)
      head.querySelector("button").addEventListener("click", () => sort(table, head));
  const frames = document.querySelectorAll(".scroll");
  const mark = () => frames.forEach((one) => one.classList.toggle("wide", one.scrollWidth > one.clientWidth + 1));
  addEventListener("resize", mark);
  mark();
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
})();
