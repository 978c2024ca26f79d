// The scatter plot: one trace of all rows, one of the selected row and its neighbours.
(() => {
  "use strict";
  const data = window.w2sprobe.explorer;
  const plot = document.getElementById("plot");
  const hover = document.getElementById("hover");

  const hasWebGL = Boolean(document.createElement("canvas").getContext("webgl"));
  document.getElementById("no-webgl").hidden = hasWebGL;
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "autosize" };
  const type = hasWebGL ? "scattergl" : "scatter";

  // colours as the theme has them now: custom properties are resolved only where they are used
  const sample = document.createElement("span");
  sample.hidden = true;
  document.body.append(sample);
  const colour = (name) => {
    sample.style.color = `var(--${name})`;
    return getComputedStyle(sample).color;
  };
  const SCALES = {
    label: [[0, "blue"], [0.5, "middle"], [1, "orange"]],
    gap: [[0, "near"], [0.5, "far"], [1, "farthest"]],
  };
  const NAMES = { weak: "weak label", probe: "probe", truth: "truth", gap: "disagreement" };

  // as wide as the values are: soft labels may all be near one half
  const ends = (kind, values) => {
    let most = 0.02;
    for (const value of values) most = Math.max(most, kind === "gap" ? value : Math.abs(value - 0.5));
    return kind === "gap" ? [0, most] : [0.5 - most, 0.5 + most];
  };
  const legend = (kind, [low, high]) => {
    const scale = SCALES[kind === "gap" ? "gap" : "label"];
    document.getElementById("low").textContent = `${NAMES[kind]} ${Number(low.toFixed(2))}`;
    document.getElementById("high").textContent = String(Number(high.toFixed(2)));
    const stops = scale.map(([at, name]) => `var(--${name}) ${at * 100}%`);
    document.getElementById("scale").style.background = `linear-gradient(90deg, ${stops})`;
    return scale.map(([at, name]) => [at, colour(name)]);
  };

  const axis = (number, explained) => ({
    title: {
      text: explained === null
        ? `UMAP ${number + 1}`
        : `PC ${number + 1} (${(100 * explained[number]).toFixed(1)} % of variance)`,
      standoff: 4,
    },
    color: colour("muted"),
    gridcolor: colour("line"),
    zeroline: false,
    showticklabels: false,
    ticks: "",
  });

  // ---- what is in view: all but the outermost rows, until somebody zooms
  const OUTERMOST = 0.005; // of the rows, at each end: one outlier would squeeze all others
  const inner = (values) => {
    const sorted = values.slice().sort();
    const last = sorted.length - 1;
    const [low, high] = [sorted[Math.floor(last * OUTERMOST)], sorted[Math.ceil(last * (1 - OUTERMOST))]];
    const pad = 0.12 * (high - low) || 1;
    return [low - pad, high + pad];
  };
  const outside = ([low, high], value) => value < low || value > high;
  let view = { of: "", x: [0, 1], y: [0, 1] };
  const look = (x, y) => {
    const hidden = x.reduce((sum, _, at) => (
      sum + (outside(view.x, x[at]) || outside(view.y, y[at]) ? 1 : 0)
    ), 0);
    document.getElementById("outside").textContent = hidden ? `${hidden} rows lie outside the view.` : "";
  };

  let drawn = new Int32Array(0); // rows of the first trace, in its order
  let points = null; // that trace

  const draw = (state) => {
    const { x, y, explained, layer } = data.layer(state.layer);
    const rows = state.rows;
    const take = (values, Kind) => Kind.from(rows, (row) => values[row]);
    const all = { weak: data.weak, probe: state.probe, truth: data.truth, gap: state.gap };
    const values = take(all[state.colour], Float32Array);
    const [cmin, cmax] = ends(state.colour, values);
    drawn = rows;
    points = {
      type,
      mode: "markers",
      x: take(x, Float32Array),
      y: take(y, Float32Array),
      hoverinfo: "none",
      marker: {
        color: values,
        cmin,
        cmax,
        colorscale: legend(state.colour, [cmin, cmax]),
        size: rows.length > 3000 ? 6 : 8,
        symbol: Array.from(rows, (row) => (state.differs[row] ? "diamond" : "circle")),
        opacity: state.searching
          ? Float32Array.from(rows, (row) => (state.isFound[row] ? 0.95 : 0.1))
          : 0.85,
        line: { width: 0 },
      },
    };
    const of = `${layer} ${state.split}`;
    if (view.of !== of) view = { of, x: inner(points.x), y: inner(points.y) };
    look(points.x, points.y);
    const chosen = state.selected === null
      ? []
      : [state.selected, ...data.neighborsOf(state.layer, state.selected).subarray(0, state.k)];
    const rings = {
      type,
      mode: "markers",
      x: chosen.map((row) => x[row]),
      y: chosen.map((row) => y[row]),
      hoverinfo: "skip",
      marker: {
        symbol: "circle-open",
        size: chosen.map((_, at) => (at ? 11 : 22)),
        color: colour("ink"),
        opacity: chosen.map((_, at) => (at ? 0.55 : 1)),
        line: { width: 2 },
      },
    };
    const layout = {
      margin: { l: 34, r: 8, t: 8, b: 34 },
      paper_bgcolor: colour("paper"),
      plot_bgcolor: colour("paper"),
      font: { color: colour("ink"), size: 12, family: "system-ui, sans-serif" },
      xaxis: { ...axis(0, explained), range: view.x },
      yaxis: { ...axis(1, explained), range: view.y },
      showlegend: false,
      hovermode: "closest",
      dragmode: "zoom",
    };
    plot.setAttribute(
      "aria-label",
      `${rows.length} rows in two dimensions, layer ${layer}, coloured by ${NAMES[state.colour]}; `
        + "the list below has the same rows",
    );
    Plotly.react(plot, [points, rings], layout, CONFIG).then(listen);
  };

  // ---- hovering; Plotly is given no text, as it would read some as HTML
  let describe = () => [];
  let choose = () => {};
  const hide = () => { hover.hidden = true; };
  let listening = false;
  const listen = () => {
    if (listening) return;
    listening = true;
    plot.on("plotly_relayout", () => {
      const { xaxis, yaxis } = plot._fullLayout;
      view = { of: view.of, x: [...xaxis.range], y: [...yaxis.range] };
      look(points.x, points.y);
    });
    plot.on("plotly_hover", ({ points: [point], event }) => {
      hover.replaceChildren(...describe(drawn[point.pointNumber]));
      hover.hidden = false;
      const { clientX: x, clientY: y } = event;
      const box = hover.getBoundingClientRect();
      const left = x + 16 + box.width < innerWidth ? x + 16 : Math.max(8, x - 16 - box.width);
      hover.style.left = `${Math.min(left, innerWidth - box.width - 8)}px`;
      hover.style.top = `${Math.max(8, Math.min(y + 16, innerHeight - box.height - 8))}px`;
    });
    plot.on("plotly_unhover", hide);
    plot.on("plotly_click", ({ points: [point] }) => { hide(); choose(drawn[point.pointNumber]); });
  };
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  // ---- zoom without a mouse
  for (const button of document.querySelectorAll("button[data-zoom]")) {
    button.addEventListener("click", () => {
      const factor = Number(button.dataset.zoom);
      if (!factor) {
        Plotly.relayout(plot, { "xaxis.autorange": true, "yaxis.autorange": true });
        return;
      }
      const zoomed = ({ range: [a, b] }) => {
        const [middle, half] = [(a + b) / 2, (factor * (b - a)) / 2];
        return [middle - half, middle + half];
      };
      const { xaxis, yaxis } = plot._fullLayout;
      Plotly.relayout(plot, { "xaxis.range": zoomed(xaxis), "yaxis.range": zoomed(yaxis) });
    });
  }

  window.w2sprobe.explorerPlot = {
    draw,
    onHover: (how) => { describe = how; },
    onClick: (how) => { choose = how; },
  };
})();
