// The page's own behaviour: theme, sortable tables, saving figures. Everything can be read without it.

const root = document.documentElement;

function saveText(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function setTheme(theme) {
  root.dataset.theme = theme;
  document.getElementById("theme").textContent = theme === "dark" ? "Light" : "Dark";
}

function setUpTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const asked = new URLSearchParams(location.search).get("theme");
  setTheme(asked || (dark.matches ? "dark" : "light"));
  dark.addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));
  document.getElementById("theme").addEventListener("click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"));
}

function setUpPrinting() {
  let before = null;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    setTheme("light");
    document.querySelectorAll("details.more").forEach((element) => { element.dataset.before = element.open; element.open = true; });
  });
  addEventListener("afterprint", () => {
    setTheme(before);
    document.querySelectorAll("details.more").forEach((element) => { element.open = element.dataset.before === "true"; });
  });
}

function sortTable(table, column, header) {
  const ascending = header.getAttribute("aria-sort") !== "ascending";
  const key = (row) => {
    const value = row.cells[column].dataset.value;
    if (value === undefined) return null;
    return Number.isNaN(Number(value)) ? value : Number(value);
  };
  const rows = [...table.tBodies[0].rows].sort((first, second) => {
    const [a, b] = [key(first), key(second)];
    if (a === null || b === null) return (a === null) - (b === null);
    return (a < b ? -1 : a > b ? 1 : 0) * (ascending ? 1 : -1);
  });
  table.tBodies[0].append(...rows);
  table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
}

function setUpTables() {
  document.querySelectorAll("table.sortable").forEach((table) => {
    table.querySelectorAll("thead th").forEach((header, column) => {
      header.tabIndex = 0;
      header.addEventListener("click", () => sortTable(table, column, header));
      header.addEventListener("keydown", (event) => { if (event.key === "Enter") sortTable(table, column, header); });
    });
  });
}

function setUpFigures() {
  document.querySelectorAll(".plot").forEach((plot) => {
    plot.querySelector(".save").addEventListener("click", () => {
      saveText(`${plot.dataset.name}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(plot.querySelector("svg")));
    });
  });
}

setUpTheme();
setUpPrinting();
setUpTables();
setUpFigures();
