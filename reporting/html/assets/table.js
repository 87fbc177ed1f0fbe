"use strict";
// Tables of variants: sorting, columns, the chosen row, and CSV of what is shown.

function startTable() {
  const table = document.querySelector("table.sortable");
  if (!table) return;
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => sortBy(table, column)));
  const chosen = headings.map((heading) => heading.dataset.main !== undefined);
  const box = document.getElementById("columns");
  headings.slice(1).forEach((heading, index) => {
    const input = make("input", {type: "checkbox", checked: chosen[index + 1]});
    input.addEventListener("change", () => { chosen[index + 1] = input.checked; showColumns(table, chosen); });
    box.append(make("label", {}, input, heading.textContent.trim()));
  });
  const fit = () => { fitColumns(table, chosen); [...box.querySelectorAll("input")].forEach((input, index) => { input.checked = chosen[index + 1]; }); };
  fit();
  document.getElementById("csv").addEventListener("click", () => download(csvOf(table)));
}

function sortBy(table, column) {
  const headings = [...table.tHead.rows[0].cells], heading = headings[column];
  const descending = heading.getAttribute("aria-sort") === "ascending";
  headings.forEach((other) => other.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const value = (row) => row.cells[column].dataset.value;
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");  // unknown comes last
    return (descending ? -1 : 1) * (value(a) - value(b));
  });
  table.tBodies[0].append(...rows);
}

function showColumns(table, chosen) {
  for (const row of table.rows) [...row.cells].forEach((cell, index) => { cell.hidden = !(index === 0 || chosen[index]); });
}

// Leaves out main columns, those that matter least first, until the table is no wider than its place.
function fitColumns(table, chosen) {
  showColumns(table, chosen);
  const place = table.parentElement, headings = [...table.tHead.rows[0].cells];
  const main = chosen.map((is, index) => index).filter((index) => chosen[index] && index > 0);
  for (const index of main.sort((a, b) => headings[b].dataset.main - headings[a].dataset.main).slice(0, -1)) {
    if (place.scrollWidth <= place.clientWidth + 1) return;
    chosen[index] = false;
    showColumns(table, chosen);
  }
}

function csvOf(table) {
  const shown = [...table.tHead.rows[0].cells].map((cell, index) => index).filter((index) => !table.tHead.rows[0].cells[index].hidden);
  const rows = [...table.tBodies[0].rows];
  const wide = shown.map((index) => rows.some((row) => row.cells[index].dataset.low !== undefined));
  const line = (values) => values.map((value) => /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value).join(",");
  const head = shown.flatMap((index, place) => {
    const title = table.tHead.rows[0].cells[index].textContent.trim();
    return wide[place] ? [title, `${title} low`, `${title} high`] : [title];
  });
  const body = rows.map((row) => line(shown.flatMap((index, place) => {
    const cell = row.cells[index], own = index === 0 ? cell.dataset.name : cell.dataset.csv ?? cell.dataset.value;
    return wide[place] ? [own, cell.dataset.low ?? "", cell.dataset.high ?? ""] : [own];
  })));
  return [line(head), ...body, ""].join("\n");
}

function download(text) {
  const link = make("a", {href: URL.createObjectURL(new Blob([text], {type: "text/csv"})), download: "variants.csv"});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// A row of any table that is of a variant chooses it, and shows whether it is chosen.
function startRows() {
  const rows = [...document.querySelectorAll("tr[data-variant]")];
  for (const row of rows) {
    const index = Number(row.dataset.variant), heading = row.cells[0];
    const button = make("button", {type: "button", className: "pick", title: "choose this variant everywhere"});
    button.append(...heading.childNodes);
    heading.append(button);
    row.addEventListener("click", (event) => { if (!event.target.closest("a, input")) pickVariant(index); });
  }
  const show = () => rows.forEach((row) => row.classList.toggle("picked", Number(row.dataset.variant) === state.variant));
  follow(["variant"], show);
  show();
}

// The table of patients is of the chosen variant.
function startGroups() {
  const table = document.getElementById("patients-table");
  if (!table || BASELINE === null) return;
  const show = () => {
    const own = VARIANTS[state.variant], full = VARIANTS[BASELINE];
    document.getElementById("patients-variant").textContent = own.name;
    const rows = [...table.tBodies[0].rows];
    for (const row of rows) {
      const before = full.groups[row.dataset.group], after = own.groups[row.dataset.group];
      const change = after === undefined ? null : after - before;
      row.cells[2].textContent = fixed(after, 3);
      row.cells[3].textContent = signed(change);
      row.dataset.change = change ?? 0;
    }
    table.tBodies[0].append(...rows.sort((a, b) => a.dataset.change - b.dataset.change));
  };
  follow(["variant"], show);
  show();
}
