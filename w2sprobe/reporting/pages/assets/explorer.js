// The explorer: from its controls to a state, from the state to plot, list and panel.
(() => {
  "use strict";
  const { explorer: data, explorerPlot: plot, explorerRows: texts, download } = window.w2sprobe;
  const get = (id) => document.getElementById(id);
  const controls = get("controls");
  const body = get("rows").tBodies[0];
  const state = { selected: null, sort: "gap", up: false };

  // ---- what follows from the controls
  const read = () => {
    state.layer = Number(get("layer").value);
    state.k = data.ks[Number(get("k").value)];
    state.kind = controls.elements.probe.value;
    state.colour = get("colour").value;
    state.split = get("split")?.value ?? "";
    state.wanted = get("search").value.trim().toLowerCase();
    state.differing = get("differing").checked;
  };
  const every = Int32Array.from({ length: data.n }, (_, row) => row);
  const compute = () => {
    state.knn = data.votes(state.layer, state.k);
    state.probe = state.kind === "knn" ? state.knn : data.layer(state.layer).logistic;
    state.gap = state.probe.map((p, row) => Math.abs(p - data.weak[row]));
    state.differs = Uint8Array.from(state.probe, (p, row) => (
      data.hard(p) !== data.hard(data.weak[row]) ? 1 : 0
    ));
    state.rows = state.split === ""
      ? every
      : every.filter((row) => data.split[row] === Number(state.split));
    state.searching = state.wanted !== "" || state.differing;
    const keys = {
      text: data.lowered, weak: data.weak, probe: state.probe, gap: state.gap, truth: data.truth,
      mark: state.sort === "mark" ? Array.from(every, texts.markOf) : null,
    }[state.sort];
    const order = state.up ? 1 : -1;
    state.found = [...state.rows]
      .filter((row) => (!state.differing || state.differs[row])
        && (state.wanted === "" || data.lowered[row].includes(state.wanted)))
      .sort((a, b) => (keys[a] < keys[b] ? -order : keys[a] > keys[b] ? order : a - b));
    state.isFound = new Uint8Array(data.n);
    for (const row of state.found) state.isFound[row] = 1;
  };

  // ---- words
  const auc = (name) => {
    const known = data.auc[name];
    if (!known) return "";
    const probe = state.kind === "knn"
      ? known.knn[state.layer][data.ks.indexOf(state.k)]
      : known.logistic[state.layer];
    const where = data.splitNames.length > 1 ? ` on ${name}` : "";
    const folds = known.folds && (known.folds[0] < known.folds[1] ? known.folds.join(" of ") : known.folds[1]);
    const inside = known.folds ? ` (mean inside ${folds} folds)` : "";
    return ` AUC against truth${where}${inside}: probe ${probe.toFixed(3)}, weak labels ${known.weak.toFixed(3)}.`;
  };
  const summarise = () => {
    const differing = state.rows.reduce((sum, row) => sum + state.differs[row], 0);
    const probe = state.kind === "knn" ? `kNN (k = ${state.k})` : "the logistic probe";
    const names = state.split === "" ? data.splitNames : [data.splitNames[Number(state.split)]];
    get("summary").textContent = `Layer ${data.layerNumbers[state.layer]}: ${probe} and the weak labels differ on `
      + `${differing} of ${state.rows.length} rows.${names.map(auc).join("")}`;
    const shown = Math.min(texts.LISTED, state.found.length);
    get("found").textContent = `${shown} of ${state.found.length} found rows are listed.`;
    const [dropped, replaced] = texts.counts();
    get("marked").textContent = `Marked: ${dropped} to drop, ${replaced} to take the probe’s label.`;
  };

  // ---- drawing: once a frame however fast a slider moves, the list when it rests
  const REST = 120; // milliseconds
  const all = { plot: true, list: true };
  const steps = { plot: false, list: false };
  let waiting = false;
  let resting = 0;
  const list = () => texts.list(body, state.found, state);
  const render = () => {
    waiting = false;
    compute();
    summarise();
    if (steps.plot) plot.draw(state);
    if (steps.list) {
      clearTimeout(resting);
      resting = setTimeout(list, REST);
    }
    if (state.selected !== null) texts.detail(get("detail"), state.selected, state);
    Object.assign(steps, { plot: false, list: false });
  };
  const soon = (what) => {
    Object.assign(steps, what);
    if (!waiting) requestAnimationFrame(render);
    waiting = true;
  };

  for (const name of ["layer", "k"]) {
    const values = name === "layer" ? data.layerNumbers : data.ks;
    get(name).addEventListener("input", () => {
      const value = values[Number(get(name).value)];
      get(`${name}-value`).textContent = value;
      get(name).setAttribute("aria-valuetext", value);
    });
    get(name).setAttribute("aria-valuetext", values[Number(get(name).value)]);
  }
  controls.addEventListener("submit", (event) => event.preventDefault());
  for (const event of ["input", "change"]) {
    controls.addEventListener(event, () => { read(); soon(all); });
  }
  for (const name of ["search", "differing"]) {
    get(name).addEventListener("input", () => { read(); soon(all); });
  }
  document.addEventListener("themechange", () => soon({ plot: true }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => soon({ plot: true }));

  const headings = [...get("rows").tHead.rows[0].cells];
  for (const heading of headings) {
    const { sort } = heading.querySelector("button").dataset;
    heading.addEventListener("click", () => {
      state.up = state.sort === sort ? !state.up : sort === "text" || sort === "mark";
      state.sort = sort;
      for (const one of headings) one.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", state.up ? "ascending" : "descending");
      soon({ list: true });
    });
  }

  // ---- selecting and marking
  const select = (row) => {
    state.selected = row;
    for (const line of body.rows) {
      const chosen = Number(line.querySelector("button").dataset.row) === row;
      if (chosen) line.setAttribute("aria-current", "true");
      else line.removeAttribute("aria-current");
    }
    get("detail").scrollTop = 0;
    soon({ plot: true });
  };
  plot.onHover((row) => texts.describe(row, state));
  plot.onClick(select);
  for (const place of [body, get("detail")]) {
    place.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-row]");
      if (button) select(Number(button.dataset.row));
    });
    place.addEventListener("change", (event) => {
      const row = Number(event.target.dataset.mark);
      texts.mark(row, event.target.value, state.probe[row]);
      for (const other of document.querySelectorAll(`select[data-mark="${row}"]`)) other.value = event.target.value;
      summarise();
    });
  }
  get("export-found").addEventListener("click", () => {
    download(texts.asCSV(state.found, false), "labels-found.csv", "text/csv");
  });
  get("export-all").addEventListener("click", () => {
    download(texts.asCSV([...every], true), "labels.csv", "text/csv");
  });

  const kinds = data.splitNames.map((name, place) => (
    `${data.split.reduce((sum, one) => sum + (one === place), 0)} ${name}`
  ));
  get("facts").textContent = `${data.n} rows (${kinds.join(", ")}), ${data.layerNumbers.length} layers, `
    + `${data.projection === "pca" ? "principal components" : "UMAP"} of the training rows.`
    + (data.textsKnown ? "" : " Texts are not known here: ids stand for them.");
  read();
  soon(all);
})();
