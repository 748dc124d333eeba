// Canvas layers of the lanes: axis, pictures, tracks, proposals. All of them map time to pixels in the same way.
const COLUMN = { axis: 26, band: 94, act: 46 };
const place = { truth: [4, 15], events: [19, 47], wait: 51, tracks: [56, 91] };
const ink = {};
function readInk() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["ink", "soft", "rule", "edge", "card", "field", "accent"]) ink[name] = style.getPropertyValue("--" + name).trim();
  for (let k = 0; k < COLORS; k++) ink["k" + k] = style.getPropertyValue("--k" + k).trim();
}

/** The canvas of a plot, sized to its box and the screen's pixels; null while it has no size. */
function surface(plot) {
  const canvas = plot.querySelector("canvas"), width = plot.clientWidth, height = plot.clientHeight;
  if (!width || !height) return null;
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  const scale = width / (state.to - state.from);
  return { g, width, height, scale, x: (t) => (t - state.from) * scale };
}

const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const stepFor = (scale, pixels) => STEPS.find((s) => s * scale >= pixels) || 14400;

function grid(s) {
  s.g.fillStyle = ink.field;
  for (const [from, to] of gaps) s.g.fillRect(s.x(from), 0, (to - from) * s.scale, s.height);
  const step = stepFor(s.scale, 84);
  s.g.strokeStyle = ink.rule;
  s.g.lineWidth = 1;
  s.g.beginPath();
  for (let k = Math.ceil(state.from / step - 1e-9); k * step <= state.to + 1e-9; k++) {
    const x = Math.round(s.x(k * step)) + 0.5;
    s.g.moveTo(x, 0);
    s.g.lineTo(x, s.height);
  }
  s.g.stroke();
  return step;
}

function drawAxis(plot) {
  const s = surface(plot);
  if (!s) return;
  const step = grid(s);
  s.g.fillStyle = ink.soft;
  s.g.font = "12px system-ui, sans-serif";
  s.g.textBaseline = "middle";
  for (let k = Math.ceil(state.from / step - 1e-9); k * step <= state.to + 1e-9; k++) {
    const text = clock(k * step, step), wide = s.g.measureText(text).width, x = s.x(k * step) + 5;
    if (x + wide < s.width) s.g.fillText(text, x, s.height / 2 + 1);
  }
}

const pictures = data.thumbs.map(([at, uri]) => ({ at, uri, image: null }));
const spacing = pictures.length > 1 ? (pictures[pictures.length - 1].at - pictures[0].at) / (pictures.length - 1) : whole.to - whole.from;
function loaded(picture) {
  if (!picture.image) {
    picture.image = new Image();
    picture.image.addEventListener("load", () => notify("picture"));
    picture.image.src = picture.uri;
  }
  return picture.image.complete && picture.image.naturalWidth ? picture.image : null;
}
function nearestPicture(t) {
  let best = null;
  for (const p of pictures) if (!best || Math.abs(p.at - t) < Math.abs(best.at - t)) best = p;
  return best && Math.abs(best.at - t) <= Math.max(2 * spacing, 1) ? best : null;
}
function drawPictures(plot) {
  const s = surface(plot);
  if (!s) return;
  grid(s);
  const high = s.height - 8, first = pictures.length ? loaded(pictures[0]) : null;
  const wide = first ? (first.naturalWidth / first.naturalHeight) * high : high * 1.6;
  let every = 1;  // a power of two, so that panning does not change which pictures are shown
  while (spacing * every * s.scale < wide + 3 && every < pictures.length) every *= 2;
  pictures.forEach((p, k) => {
    const x = s.x(p.at);
    if (k % every || x + wide < 0 || x > s.width) return;
    const image = loaded(p);
    if (image) s.g.drawImage(image, x, 4, (image.naturalWidth / image.naturalHeight) * high, high);
    else { s.g.fillStyle = ink.field; s.g.fillRect(x, 4, wide, high); }
  });
}

function drawTrack(s, column, top, bottom, color) {
  const y = (v) => bottom - (v / 255) * (bottom - top);
  for (const t of tracks) {
    if (column >= t.levels.length || t.end < state.from || t.start > state.to) continue;
    const level = levelOf(t, column, Math.max(1 / (s.scale * t.step), 1)), cell = level.cell * t.step;
    const first = clamp(Math.floor((state.from - t.start) / cell) - 1, 0, level.low.length - 1);
    const last = clamp(Math.ceil((state.to - t.start) / cell) + 1, 0, level.low.length - 1);
    const x = (i) => s.x(t.start + (i + 0.5) * cell);
    s.g.beginPath();
    s.g.moveTo(x(first), bottom);
    for (let i = first; i <= last; i++) s.g.lineTo(x(i), y(level.high[i]));
    s.g.lineTo(x(last), bottom);
    s.g.globalAlpha = 0.16;
    s.g.fillStyle = color;
    s.g.fill();
    s.g.globalAlpha = 1;
    s.g.beginPath();
    for (let i = first; i <= last; i++) {
      s.g.lineTo(x(i), y(level.high[i]));
      if (level.low[i] !== level.high[i]) s.g.lineTo(x(i), y(level.low[i]));
    }
    s.g.strokeStyle = color;
    s.g.lineWidth = 1.2;
    s.g.lineJoin = "round";
    s.g.stroke();
  }
}

const proposals = data.labels.map(() => []);
data.proposals.forEach(([label, start, end, score]) => proposals[label].push({ start, end, score }));
const best = data.proposals.reduce((most, c) => Math.max(most, c[3]), 1e-9);

/** dense, real: events and true actions that are too many for elements of their own. */
function drawBand(plot, label, dense, real) {
  const s = surface(plot);
  if (!s) return;
  grid(s);
  const [top, bottom] = place.tracks, color = ink[hue(label)];
  if (state.layers.tracks) {
    drawTrack(s, label, top, bottom, color);
    if (data.thresholds.length && tracks.length) {
      const y = Math.round(bottom - data.thresholds[0] * (bottom - top)) - 0.5;
      s.g.strokeStyle = ink.edge;
      s.g.setLineDash([2, 4]);
      s.g.beginPath();
      s.g.moveTo(0, y);
      s.g.lineTo(s.width, y);
      s.g.stroke();
      s.g.setLineDash([]);
    }
  }
  if (state.layers.proposals) {
    s.g.strokeStyle = ink.ink;
    s.g.lineWidth = 1;
    const shades = [new Path2D(), new Path2D(), new Path2D(), new Path2D()];
    for (const c of proposals[label]) {
      if (c.end < state.from || c.start > state.to) continue;
      const part = c.score / best, y = Math.round(bottom - part * (bottom - top)) - 0.5, path = shades[Math.min(Math.floor(4 * part), 3)];
      path.moveTo(s.x(c.start), y);
      path.lineTo(Math.max(s.x(c.end), s.x(c.start) + 1), y);
    }
    shades.forEach((path, k) => {
      s.g.globalAlpha = 0.24 + 0.14 * k;
      s.g.stroke(path);
    });
    s.g.globalAlpha = 1;
  }
  s.g.strokeStyle = color;
  for (const a of real) s.g.strokeRect(s.x(a.start), place.truth[0], Math.max((a.end - a.start) * s.scale, 1), place.truth[1] - place.truth[0]);
  s.g.fillStyle = color;
  for (const e of dense) {
    const high = barHeight(e);
    s.g.fillRect(s.x(e.start), place.events[1] - high, Math.max((e.end - e.start) * s.scale, 1), high);
  }
}
function drawActionness(plot) {
  const s = surface(plot);
  if (!s) return;
  grid(s);
  if (state.layers.tracks) drawTrack(s, data.labels.length, 5, s.height - 4, ink.soft);
}

const highest = events.reduce((most, e) => Math.max(most, e.score), 1e-9);
const barHeight = (e) => 6 + (place.events[1] - place.events[0] - 6) * clamp(e.score / highest, 0, 1);

function drawOverview(plot) {
  const canvas = plot.querySelector("canvas"), width = plot.clientWidth, height = plot.clientHeight;
  if (!width) return;
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const g = canvas.getContext("2d"), x = (t) => ((t - whole.from) / (whole.to - whole.from)) * width;
  g.scale(ratio, ratio);
  const rows = truth ? [[4, 12], [20, 15]] : [null, [8, 23]];
  if (truth) for (const a of truth) {
    if (state.hidden.has(a.label)) continue;
    g.strokeStyle = ink[hue(a.label)];
    g.lineWidth = 1.5;
    g.strokeRect(x(a.start) + 0.75, rows[0][0], Math.max(x(a.end) - x(a.start) - 1.5, 1), rows[0][1] - 1);
  }
  for (const e of events) {
    if (!isShown(e) || e.phase === GONE) continue;
    g.fillStyle = ink[hue(e.label)];
    g.fillRect(x(e.start), rows[1][0], Math.max(x(e.end) - x(e.start), 1.5), rows[1][1]);
  }
}
