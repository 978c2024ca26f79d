// Theme, sortable and copyable tables, downloads: what every page has.
(() => {
  "use strict";

  // ---- theme: auto, light, dark; kept where the browser lets a local file keep anything
  const themes = ["auto", "light", "dark"];
  const button = document.getElementById("theme");
  const remembered = () => {
    try { return localStorage.getItem("w2sprobe-theme"); } catch { return null; }
  };
  const remember = (theme) => {
    try { localStorage.setItem("w2sprobe-theme", theme); } catch { /* then not kept */ }
  };
  const show = (theme) => {
    if (theme === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  let theme = themes.includes(remembered()) ? remembered() : "auto";
  show(theme);
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    remember(theme);
    show(theme);
  });

  // ---- downloads
  const download = (text, name, type) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  for (const one of document.querySelectorAll("button[data-csv]")) {
    one.addEventListener("click", () => {
      const source = document.getElementById(one.dataset.csv);
      download(JSON.parse(source.textContent), one.dataset.name, "text/csv");
    });
  }

  // ---- tables
  const value = (cell) => ("sort" in cell.dataset ? cell.dataset.sort : cell.textContent.trim());
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const [m, n] = [Number(x), Number(y)];
    return Number.isNaN(m) || Number.isNaN(n) ? x.localeCompare(y) : m - n;
  };
  const sortBy = (table, place, heading) => {
    const up = heading.getAttribute("aria-sort") === "descending"
      || !heading.hasAttribute("aria-sort");
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const missing = (row) => value(row.cells[place]) === "";
    rows.sort((a, b) => {
      if (missing(a) || missing(b)) return missing(a) - missing(b); // unknown last, either way
      return (up ? 1 : -1) * compare(a.cells[place], b.cells[place]);
    });
    body.append(...rows);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((heading, place) => {
      const control = heading.querySelector("button");
      if (control) control.addEventListener("click", () => sortBy(table, place, heading));
    });
  }
  const line = (row) => [...row.cells].map((cell) => cell.innerText.trim().replace(/\s+/g, " ")).join("\t");
  for (const one of document.querySelectorAll("button[data-copy]")) {
    one.addEventListener("click", async () => {
      const table = document.getElementById(one.dataset.copy);
      const text = [...table.rows].map(line).join("\n");
      const label = one.textContent;
      try {
        await navigator.clipboard.writeText(text);
        one.textContent = "Copied";
      } catch { // a local file may not use the clipboard: select instead
        getSelection().selectAllChildren(table);
        one.textContent = "Selected: copy it";
      }
      setTimeout(() => { one.textContent = label; }, 2000);
    });
  }
  for (const field of document.querySelectorAll("input[data-filter]")) {
    const table = document.getElementById(field.dataset.filter);
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLowerCase();
      for (const row of table.tBodies[0].rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
      }
    });
  }

  window.w2sprobe = { download };
})();
