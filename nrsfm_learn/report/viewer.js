"use strict";
// Draws what _viewer.py (encode, payload) prepared: centred coordinates in units of the picture.
// No library: the page must work offline, for years, under a policy that lets nothing be fetched.
(() => {
  const root = document.getElementById("viewer");
  const data = JSON.parse(document.getElementById("viewer-data").textContent);
  const role = (name) => root.querySelector(`[data-role="${name}"]`);
  const three = { canvas: role("three"), places: [], scale: 1 };
  const two = { canvas: role("two"), places: [], scale: 1 };
  const slider = role("frame");
  const viewButtons = [...root.querySelectorAll("[data-view]")];
  const nPoints = data.names.length;
  const [MISSING, LARGEST] = [-32768, 32767];
  const [DEGREE, MOST_ZOOM] = [Math.PI / 180, 12];
  // Numbers that change 30 times a second cannot be read, and cost layout.
  const READABLE = 150;

  const state = {
    part: null, frame: 0, playing: false, speed: 1, azimuth: 0, elevation: 0, zoom: 1,
    flip: false, truth: true, shown: new Uint8Array(nPoints).fill(1), focus: -1,
  };
  let [drawn, colours] = [0, {}];

  // ---- data: what comes packed is unpacked once
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;

  // The numbers are little-endian, as every machine is that has a browser.
  function decode(packed) {
    if (!packed) return null;
    const levels = new Int16Array(bytes(packed.q));
    const scales = new Float32Array(bytes(packed.s));
    const each = levels.length / scales.length;
    return Float32Array.from(levels, (level, i) =>
      level === MISSING ? NaN : (level * scales[Math.floor(i / each)]) / LARGEST);
  }

  function load(index) {
    const part = data.parts[index];
    // Decoding waits until a part is looked at, and is done once.
    part.decoded ??= {
      X: decode(part.X), W: decode(part.W), reprojection: decode(part.reprojection),
      X_true: decode(part.X_true), errors: part.errors.map(decode),
      confidence: decode(part.confidence),
    };
    return part;
  }

  // The value of each point that bars show: the error if it is known, else the confidence.
  function measure(part) {
    const { errors, confidence } = part.decoded;
    const k = state.flip && errors.length > 1 ? 1 : 0;
    if (errors.length) {
      const means = part.error_means[k];
      return { values: errors[k], means, limit: part.error_limit, error: true };
    }
    if (!confidence) return null;
    return { values: confidence, means: part.confidence_means, limit: 1, error: false };
  }

  const grouped = (n) => Math.round(n).toLocaleString("en");
  const plain = (v) => (v >= 1000 ? grouped(v) : String(Number(v.toPrecision(3))));

  function format(value, error) {
    if (value === null || !Number.isFinite(value)) return "–";
    return error ? plain(value) : `${Math.round(100 * value)} %`;
  }

  function meanOf(values, frame) {
    const known = values.subarray(frame * nPoints, (frame + 1) * nPoints).filter(Number.isFinite);
    return known.reduce((sum, v) => sum + v, 0) / known.length;
  }

  // ---- drawing
  function readColours() {
    const style = getComputedStyle(root);
    const rgb = (name) => {
      const hex = style.getPropertyValue(name).trim().slice(1);
      return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
    };
    const text = (c) => `rgb(${c.map(Math.round).join(",")})`;
    const ground = rgb("--v-ground");
    // Depth fades a colour into the ground; a table saves a string for each point and frame.
    const faded = (c, least) =>
      Array.from({ length: 33 }, (_, i) => {
        const share = least + (1 - least) * (i / 32);
        return text(c.map((v, k) => share * v + (1 - share) * ground[k]));
      });
    colours = {
      ground: text(ground), ink: text(rgb("--v-ink")), soft: text(rgb("--v-soft")),
      gap: text(rgb("--v-gap")), shape: text(rgb("--v-shape")), rule: text(rgb("--v-rule")),
      shapes: faded(rgb("--v-shape"), 0.35), truths: faded(rgb("--v-truth"), 0.4),
    };
  }

  // The canvas has as many pixels as the screen gives it, or lines blur.
  function begin(view) {
    const { canvas } = view;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) {
      canvas.width = w;
      canvas.height = h;
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineCap = "round";
    pen.lineJoin = "round";
    pen.font = "12px system-ui, sans-serif";
    return { pen, width, height };
  }

  // Axes of a viewer who walked around the object, as in nrsfm_learn.plotting.
  function viewAxes() {
    const [ca, sa] = [Math.cos(state.azimuth), Math.sin(state.azimuth)];
    const [ce, se] = [Math.cos(state.elevation), Math.sin(state.elevation)];
    return [[ca, 0, sa], [se * sa, ce, -se * ca], [-ce * sa, se, ce * ca]];
  }

  // Positions are orthographic, so that the front view agrees with the image: depth shows in size
  // and strength alone. The image itself has two coordinates and no axes.
  function project(view, values, mirror = false, axes = null) {
    const n = axes ? 3 : 2;
    const [cx, cy] = [view.canvas.clientWidth / 2, view.canvas.clientHeight / 2];
    const places = new Array(nPoints).fill(null);
    for (let p = 0; p < nPoints; p++) {
      const i = n * (state.frame * nPoints + p);
      if (!state.shown[p] || !Number.isFinite(values[i])) continue;
      let [x, y, depth] = [values[i], values[i + 1], 0];
      if (axes) {
        const z = mirror ? -values[i + 2] : values[i + 2];
        [x, y, depth] = axes.map((r) => r[0] * x + r[1] * y + r[2] * z);
      }
      const near = Math.min(1, Math.max(0, 0.5 - 0.7 * depth));
      places[p] = { x: cx + view.scale * x, y: cy + view.scale * y, depth, near };
    }
    return places;
  }

  function line(pen, a, b) {
    pen.beginPath();
    pen.moveTo(a.x, a.y);
    pen.lineTo(b.x, b.y);
    pen.stroke();
  }

  function disc(pen, place, radius) {
    pen.beginPath();
    pen.arc(place.x, place.y, radius, 0, 2 * Math.PI);
  }

  function drawShape(pen, places, table, thick) {
    const parts = [];
    // A point lies on top of its own bones, whose outlines would hide it.
    const tops = places.map((place) => place && place.depth);
    for (const [i, j] of data.edges) {
      const [a, b] = [places[i], places[j]];
      if (!a || !b) continue;
      const depth = (a.depth + b.depth) / 2;
      parts.push({ a, b, depth, near: (a.near + b.near) / 2 });
      for (const p of [i, j]) tops[p] = Math.min(tops[p], depth);
    }
    places.forEach((a, p) => {
      if (a) parts.push({ a, depth: tops[p] - 1e-3, near: a.near });
    });
    parts.sort((one, other) => other.depth - one.depth);
    for (const { a, b, near } of parts) {
      const colour = table[Math.round(32 * near)];
      if (b) {
        // An outline in the colour of the ground lets near bones cut those behind.
        const width = thick * (1.4 + 2.6 * near);
        for (const [style, extra] of [[colours.ground, 2.5], [colour, 0]]) {
          pen.strokeStyle = style;
          pen.lineWidth = width + extra;
          line(pen, a, b);
        }
      } else {
        pen.fillStyle = colour;
        disc(pen, a, thick * (2.2 + 2.8 * near));
        pen.fill();
      }
    }
  }

  function drawGaps(pen, from, to) {
    pen.strokeStyle = colours.gap;
    pen.lineWidth = 1.3;
    for (let p = 0; p < nPoints; p++) if (from[p] && to[p]) line(pen, from[p], to[p]);
  }

  function drawFocus(pen, places, width) {
    const place = places[state.focus];
    if (!place) return;
    pen.textAlign = "start";
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 1.5;
    disc(pen, place, 9);
    pen.stroke();
    const name = data.names[state.focus];
    const room = pen.measureText(name).width;
    const x = Math.min(place.x + 13, Math.max(4, width - room - 4));
    pen.lineWidth = 4;
    pen.strokeStyle = colours.ground;
    pen.strokeText(name, x, place.y - 9);
    pen.fillStyle = colours.ink;
    pen.fillText(name, x, place.y - 9);
  }

  function drawAxesCross(pen, axes, height) {
    const [x0, y0, size] = [46, height - 46, 24];
    pen.strokeStyle = colours.soft;
    pen.fillStyle = colours.soft;
    pen.lineWidth = 1.5;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    "xyz".split("").forEach((name, k) => {
      const [dx, dy] = [axes[0][k], axes[1][k]];
      const length = Math.hypot(dx, dy);
      // An axis that points at the viewer has no direction on the screen.
      if (length < 0.15) return;
      line(pen, { x: x0, y: y0 }, { x: x0 + size * dx, y: y0 + size * dy });
      const far = size + 8 / length;
      pen.fillText(name, x0 + far * dx, y0 + far * dy);
    });
  }

  function say(pen, text, width, height) {
    pen.fillStyle = colours.soft;
    pen.textAlign = "center";
    pen.fillText(text, width / 2, height / 2);
  }

  function drawThree() {
    const { pen, width, height } = begin(three);
    const { X, X_true: truth } = state.part.decoded;
    const axes = viewAxes();
    three.scale = 0.44 * Math.min(width, height) * state.zoom;
    three.places = project(three, X, state.flip, axes);
    const places = truth && state.truth ? project(three, truth, false, axes) : null;
    if (places) drawShape(pen, places, colours.truths, 0.75);
    drawShape(pen, three.places, colours.shapes, 1);
    if (places) drawGaps(pen, three.places, places);
    if (!lifted()) say(pen, "This frame was not lifted.", width, height);
    drawFocus(pen, three.places, width);
    drawAxesCross(pen, axes, height);
  }

  function drawTwo() {
    const { pen, width, height } = begin(two);
    two.scale = 0.45 * Math.min(width, height);
    const input = project(two, state.part.decoded.W);
    const shape = project(two, state.part.decoded.reprojection);
    two.places = input.map((place, p) => place || shape[p]);
    pen.lineWidth = 1.5;
    for (const [i, j] of data.edges) {
      if (!two.places[i] || !two.places[j]) continue;
      const seen = input[i] && input[j];
      pen.strokeStyle = seen ? colours.rule : colours.soft;
      pen.setLineDash(seen ? [] : [1, 4]);
      line(pen, two.places[i], two.places[j]);
    }
    pen.setLineDash([]);
    drawGaps(pen, input, shape);
    pen.strokeStyle = colours.shape;
    pen.lineWidth = 1.5;
    for (let p = 0; p < nPoints; p++) {
      if (!shape[p]) continue;
      disc(pen, shape[p], 4.5);
      pen.fillStyle = colours.ground;
      if (!input[p]) pen.fill();
      pen.stroke();
    }
    pen.fillStyle = colours.ink;
    for (const place of input) {
      if (!place) continue;
      disc(pen, place, 2.6);
      pen.fill();
    }
    if (!two.places.some(Boolean)) say(pen, "Nothing is visible.", width, height);
    drawFocus(pen, two.places, width);
  }

  // ---- words and bars
  const lifted = () => {
    const { X } = state.part.decoded;
    const start = 3 * nPoints * state.frame;
    return X.subarray(start, start + 3 * nPoints).some(Number.isFinite);
  };

  function where() {
    const { part, frame } = state;
    const place = `${grouped(frame + 1)} of ${grouped(part.frames)}`;
    const words = [`Frame ${part.frame_numbers[frame]}`, place];
    if (part.clips) words.push(`clip ${part.clips.labels[part.clips.codes[frame]]}`);
    if (!lifted()) words.push("not lifted");
    return words.join(" · ");
  }

  function summary(found) {
    if (!found) return "Keypoints";
    const here = format(meanOf(found.values, state.frame), found.error);
    if (!found.error) return `Confidence: ${here}`;
    const { errors } = state.part.decoded;
    const unit = data.unit ? ` ${data.unit}` : "";
    if (errors.length < 2) return `Error: ${here}${unit}`;
    const other = format(meanOf(errors[state.flip ? 0 : 1], state.frame), true);
    return `Error: ${here}${unit} (${state.flip ? "not " : ""}mirrored: ${other})`;
  }

  let [rows, lastWords] = [[], -Infinity];

  function updateWords(now) {
    const text = where();
    const output = role("where");
    // Text that is set again is read out again.
    if (output.textContent !== text) output.textContent = text;
    slider.value = state.frame;
    slider.setAttribute("aria-valuetext", text);
    if (state.playing && now - lastWords < READABLE) return;
    lastWords = now;
    const found = measure(state.part);
    role("measure").textContent = summary(found);
    rows.forEach(({ item, bar, value }, p) => {
      bar.hidden = !found;
      if (!found) return;
      const v = found.values[state.frame * nPoints + p];
      const mean = found.means[p];
      const part = (w) => Math.min(1, (Number.isFinite(w) ? w : 0) / found.limit);
      bar.style.setProperty("--value", part(v));
      bar.style.setProperty("--mean", part(mean));
      value.textContent = format(v, found.error);
      item.title = `mean over all frames: ${format(mean, found.error)}`;
    });
  }

  function makeRows() {
    rows = data.names.map((name, p) => {
      const item = document.createElement("li");
      const label = document.createElement("label");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.checked = true;
      const [words, bar, value] = ["name", "bar", "value"].map((kind) => {
        const span = document.createElement("span");
        span.className = `joint-${kind}`;
        return span;
      });
      words.textContent = name;
      bar.setAttribute("aria-hidden", "true");
      label.append(box, words, bar, value);
      item.append(label);
      box.addEventListener("change", () => {
        state.shown[p] = box.checked ? 1 : 0;
        redraw();
      });
      for (const [event, focus] of [
        ["pointerenter", p], ["pointerleave", -1], ["focusin", p], ["focusout", -1],
      ]) {
        item.addEventListener(event, () => setFocus(focus));
      }
      return { item, box, bar, value };
    });
    role("joints").append(...rows.map((row) => row.item));
  }

  function setFocus(point) {
    if (state.focus !== point) redraw();
    state.focus = point;
  }

  function showAll(on) {
    rows.forEach((row, p) => {
      row.box.checked = on;
      state.shown[p] = on ? 1 : 0;
    });
    redraw();
  }

  // ---- the clock
  let [pending, stale, last, clock] = [0, false, null, 0];

  function redraw() {
    stale = true;
    pending ||= requestAnimationFrame(tick);
  }

  // The frame follows from the time that has passed, so that a slow machine drops frames and does
  // not slow the motion down. After a pause of the whole tab it goes on where it was.
  function tick(now) {
    pending = 0;
    if (state.playing) {
      const passed = last === null ? 0 : Math.min(now - last, 1000);
      last = now;
      clock = (clock + (passed / 1000) * state.part.fps * state.speed) % state.part.frames;
      const frame = Math.floor(clock);
      if (frame !== state.frame) {
        state.frame = frame;
        stale = true;
      }
      pending = requestAnimationFrame(tick);
    }
    if (!stale) return;
    stale = false;
    drawThree();
    drawTwo();
    updateWords(now);
    // Tests and benchmarks count frames by these.
    root.dataset.drawn = ++drawn;
    root.dataset.frame = state.frame;
  }

  function play(on) {
    state.playing = on && state.part.frames > 1;
    last = null;
    clock = state.frame;
    root.classList.toggle("playing", state.playing);
    role("play").setAttribute("aria-label", state.playing ? "Pause" : "Play");
    // A screen reader that reads out every frame is no help.
    role("where").setAttribute("aria-live", state.playing ? "off" : "polite");
    redraw();
  }

  function goTo(frame) {
    if (state.playing) play(false);
    state.frame = Math.min(Math.max(frame, 0), state.part.frames - 1);
    redraw();
  }

  // ---- turning
  function look(azimuth, elevation) {
    state.azimuth = azimuth % (2 * Math.PI);
    state.elevation = Math.min(Math.PI / 2, Math.max(-Math.PI / 2, elevation));
    const angles = [state.azimuth, state.elevation].map((a) => Math.round(a / DEGREE)).join();
    for (const button of viewButtons) {
      button.setAttribute("aria-pressed", String(button.dataset.view === angles));
    }
    root.dataset.angles = angles;
    redraw();
  }

  const turn = (dx, dy) => look(state.azimuth - dx, state.elevation + dy);

  function zoomBy(factor) {
    const before = state.zoom;
    state.zoom = Math.min(MOST_ZOOM, Math.max(1, before * factor));
    if (state.zoom !== before) redraw();
    return state.zoom !== before;
  }

  function reset() {
    state.zoom = 1;
    look(0, 0);
  }

  const pointers = new Map();

  function spreadOfTwo() {
    const [a, b] = [...pointers.values()];
    return b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
  }

  function nearest(view, event) {
    const box = view.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [best, least] = [-1, 14];
    view.places.forEach((place, p) => {
      const d = place ? Math.hypot(place.x - x, place.y - y) : Infinity;
      if (d < least) [best, least] = [p, d];
    });
    return best;
  }

  function listenToPointers() {
    const { canvas } = three;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return setFocus(nearest(three, event));
      const spread = spreadOfTwo();
      const now = { x: event.clientX, y: event.clientY };
      pointers.set(event.pointerId, now);
      if (pointers.size === 1) turn(0.01 * (now.x - before.x), 0.01 * (now.y - before.y));
      else if (spread > 0) zoomBy(spreadOfTwo() / spread);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
    }
    canvas.addEventListener("dblclick", reset);
    canvas.addEventListener("wheel", (event) => {
      // Where there is nothing left to zoom, the page scrolls on.
      const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
      if (zoomBy(Math.exp(-0.002 * pixels)) || event.ctrlKey) event.preventDefault();
    }, { passive: false });
    two.canvas.addEventListener("pointermove", (event) => setFocus(nearest(two, event)));
    for (const view of [two, three]) {
      view.canvas.addEventListener("pointerleave", () => setFocus(-1));
    }
  }

  // ---- keys and controls
  const STEP = 10 * DEGREE;
  const TURNS = {
    ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP],
  };
  const KEYS = {
    " ": () => play(!state.playing),
    ArrowLeft: () => goTo(state.frame - 1),
    ArrowRight: () => goTo(state.frame + 1),
    Home: () => goTo(0),
    End: () => goTo(state.part.frames - 1),
    "+": () => zoomBy(1.2),
    "=": () => zoomBy(1.2),
    "-": () => zoomBy(1 / 1.2),
    0: reset,
    f: () => toggle("flip"),
    t: () => toggle("truth"),
  };

  root.addEventListener("keydown", (event) => {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select")) return;
    // What space does to a button or a box, it goes on doing.
    if (key === " " && target.matches("button, input[type=checkbox]")) return;
    if (event.shiftKey && TURNS[key]) turn(...TURNS[key]);
    else if (KEYS[key]) KEYS[key]();
    else return;
    event.preventDefault();
  });

  function toggle(name) {
    if (role(name).hidden) return;
    state[name] = !state[name];
    role(name).setAttribute("aria-pressed", String(state[name]));
    redraw();
  }

  function choosePart(index) {
    play(false);
    state.part = load(index);
    state.frame = 0;
    const { part } = state;
    slider.max = part.frames - 1;
    slider.disabled = part.frames < 2;
    const known = Boolean(part.decoded.X_true);
    role("truth").hidden = !known;
    role("truth-words").hidden = !known;
    role("speed").replaceChildren(
      ...[0.25, 0.5, 1, 2, 4].map((s) => {
        const text = `${s} × (${plain(s * part.fps)} frames/s)`;
        return new Option(text, s, s === 1, s === state.speed);
      }),
    );
    const note = role("note");
    note.hidden = part.frames === part.frames_in_all;
    note.textContent = `Shown here are ${grouped(part.frames)} evenly spaced frames of ` +
      `${grouped(part.frames_in_all)}; means are over all of them.`;
    redraw();
  }

  function start() {
    root.hidden = false;
    readColours();
    makeRows();
    role("flip").hidden = !data.parallel;
    const parts = role("part");
    parts.append(...data.parts.map((part, k) => new Option(part.name, k)));
    parts.parentElement.hidden = data.parts.length < 2;
    parts.addEventListener("change", () => choosePart(Number(parts.value)));
    slider.addEventListener("input", () => goTo(Number(slider.value)));
    role("speed").addEventListener("change", (event) => {
      state.speed = Number(event.target.value);
    });
    const clicks = {
      play: () => play(!state.playing), back: () => goTo(state.frame - 1),
      forth: () => goTo(state.frame + 1), flip: () => toggle("flip"),
      truth: () => toggle("truth"), all: () => showAll(true), none: () => showAll(false),
    };
    for (const [name, act] of Object.entries(clicks)) role(name).addEventListener("click", act);
    for (const button of viewButtons) {
      const view = button.dataset.view.split(",").map((angle) => angle * DEGREE);
      button.addEventListener("click", () => look(...view));
    }
    listenToPointers();
    const sizes = new ResizeObserver(redraw);
    for (const view of [two, three]) sizes.observe(view.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      readColours();
      redraw();
    });
    choosePart(0);
    look(0, 0);
  }

  start();
})();
