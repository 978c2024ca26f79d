// Rows as text: the list, the selected row, what the mouse is over, and exports.
(() => {
  "use strict";
  const data = window.w2sprobe.explorer;
  const LISTED = 200;

  // texts of data sets go in as text nodes only
  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };
  const shortened = (text, most) => {
    const flat = text.replace(/\s+/g, " ").trim();
    return flat.length > most ? `${flat.slice(0, most)}…` : flat;
  };
  const number = (value) => value.toFixed(3);

  // ---- marks: what the exported label will be
  const MARKS = { given: "as given", drop: "drop", probe: "probe’s label" };
  const marks = new Map(); // row -> {kind, value}
  const markOf = (row) => marks.get(row)?.kind ?? "given";
  const mark = (row, kind, value) => {
    if (kind === "given") marks.delete(row);
    else marks.set(row, { kind, value });
  };
  const marker = (row) => {
    const made = element("select", { ariaLabel: `Label to export, row ${data.ids[row]}` });
    made.dataset.mark = row;
    for (const [kind, title] of Object.entries(MARKS)) {
      const chosen = kind === markOf(row);
      made.append(new Option(title, kind, chosen, chosen));
    }
    return made;
  };
  const opener = (row, most) => {
    const made = element("button", { type: "button", className: "row" }, shortened(data.texts[row], most));
    made.dataset.row = row;
    return made;
  };

  // ---- the list
  const list = (body, rows, state) => {
    body.replaceChildren(...rows.slice(0, LISTED).map((row) => {
      const line = element("tr");
      line.append(element("th", { scope: "row" }, opener(row, 160)));
      const differs = state.differs[row] ? "◆ " : "";
      const cells = [number(data.weak[row]), number(state.probe[row]), differs + number(state.gap[row])];
      if (data.truth) cells.push(String(data.truth[row]));
      for (const text of cells) line.append(element("td", { className: "number" }, text));
      line.append(element("td", {}, marker(row)));
      if (row === state.selected) line.setAttribute("aria-current", "true");
      return line;
    }));
  };

  // ---- one row
  const facts = (row, state) => {
    const { logistic } = data.layer(state.layer);
    const found = [
      ["weak label", number(data.weak[row])],
      [`kNN, k = ${state.k}`, number(state.knn[row])],
      ["logistic", number(logistic[row])],
    ];
    if (data.truth) found.push(["truth", String(data.truth[row])]);
    found.push(["disagreement", number(state.gap[row]) + (state.differs[row] ? " ◆" : "")]);
    return found;
  };
  const known = (row) => {
    const truth = data.truth ? `, truth ${data.truth[row]}` : "";
    return `weak ${number(data.weak[row])}${truth}`;
  };
  const describe = (row, state) => {
    const near = [...data.neighborsOf(state.layer, row).subarray(0, 5)];
    return [
      element("p", {}, element("strong", {}, shortened(data.texts[row], 240))),
      element("p", {}, facts(row, state).map((pair) => pair.join(" ")).join(" · ")),
      element("p", {}, near.length === 1 ? "Nearest:" : `Nearest ${near.length}:`),
      element("ol", {}, ...near.map((other) => (
        element("li", {}, `${shortened(data.texts[other], 80)} (${known(other)})`)
      ))),
    ];
  };
  const detail = (section, row, state) => {
    const about = element("dl");
    const split = data.splitNames[data.split[row]] + (data.keep[row] ? "" : ", filtered out");
    const id = data.textsKnown ? [["id", data.ids[row]]] : [];
    for (const [name, value] of [...facts(row, state), ["split", split], ...id]) {
      about.append(element("dt", {}, name), element("dd", {}, value));
    }
    section.replaceChildren(
      element("p", { className: "text" }, data.texts[row]),
      about,
      element("p", {}, element("label", {}, "Label to export ", marker(row))),
      element("h2", {}, `Nearest training rows; the first ${state.k} vote`),
      element("ol", {}, ...[...data.neighborsOf(state.layer, row)].map((other) => (
        element("li", {}, opener(other, 140), ` (${known(other)})`)
      ))),
    );
  };

  // ---- exports
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const line = (id, soft, keep) => `${quoted(id)},${soft},${Boolean(keep)}\n`;
  const labelled = (row) => {
    const { kind, value } = marks.get(row) ?? {};
    const soft = kind === "probe" ? value : data.weak[row];
    return line(data.ids[row], soft, kind === "drop" ? false : data.keep[row]);
  };
  const asCSV = (rows, others) => [
    "id,soft_label,keep\n",
    ...rows.map(labelled),
    ...(others ? data.other.ids.map((id, at) => line(id, data.other.weak[at], data.other.keep[at])) : []),
  ].join("");

  window.w2sprobe.explorerRows = {
    LISTED, list, detail, describe, mark, markOf, asCSV, counts: () => {
      const kinds = [...marks.values()].map(({ kind }) => kind);
      return ["drop", "probe"].map((kind) => kinds.filter((one) => one === kind).length);
    },
  };
})();
