// What the page holds: rows, layers, neighbours; votes are summed here.
(() => {
  "use strict";
  const raw = JSON.parse(document.getElementById("explorer-data").textContent);
  const TYPES = {
    u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array,
  };
  const unpacked = ([kind, text]) => {
    const characters = atob(text);
    const bytes = new Uint8Array(characters.length);
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = characters.charCodeAt(at);
    return new TYPES[kind](bytes.buffer);
  };

  const n = raw.ids.length;
  const weak = unpacked(raw.weak);
  const keep = unpacked(raw.keep);
  const kMax = raw.ks.at(-1);
  const lowered = raw.texts.map((text) => text.toLowerCase());

  const layers = new Map();
  const layer = (place) => {
    if (!layers.has(place)) {
      const packed = raw.layers[place];
      const points = unpacked(packed.points);
      layers.set(place, {
        layer: packed.layer,
        explained: packed.explained,
        x: points.subarray(0, n),
        y: points.subarray(n),
        neighbors: unpacked(packed.neighbors),
        logistic: unpacked(packed.logistic),
      });
    }
    return layers.get(place);
  };

  // in the order in which Python sums, so that the votes are the same to the last bit
  const votes = (place, k) => {
    const { neighbors } = layer(place);
    const found = new Float64Array(n);
    for (let row = 0; row < n; row += 1) {
      let sum = 0;
      for (let at = row * kMax; at < row * kMax + k; at += 1) sum += weak[neighbors[at]];
      found[row] = Math.min(1, sum / k);
    }
    return found;
  };

  const other = raw.other.ids.length
    ? { ids: raw.other.ids, weak: unpacked(raw.other.weak), keep: unpacked(raw.other.keep) }
    : { ids: [], weak: [], keep: [] };

  window.w2sprobe.explorer = {
    n, weak, keep, kMax, lowered, layer, votes, other,
    ids: raw.ids,
    texts: raw.texts,
    textsKnown: raw.texts_known,
    splitNames: raw.split_names,
    split: unpacked(raw.split),
    truth: raw.truth && unpacked(raw.truth),
    ks: raw.ks,
    layerNumbers: raw.layers.map((one) => one.layer),
    projection: raw.projection,
    auc: raw.auc,
    hard: (p) => (p > 0.5 ? 1 : 0),
    neighborsOf: (place, row) => layer(place).neighbors.subarray(row * kMax, (row + 1) * kMax),
  };
})();
