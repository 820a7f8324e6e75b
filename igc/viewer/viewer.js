// A face that the reader turns, lights and takes apart, in WebGL 2. In a page, `python -m igc.viewer` makes it a
// plain script, which finds the page's views; in a notebook it is the module of an anywidget. What a face is,
// `igc.viewer` says. Frames are the book's: x right, y down, z forward; the head turns about (0, 0, 1); angles are
// in degrees, with the signs of `igc.views.view`.

const RANGES = [ // state, label, lowest, highest, what the slider counts in, unit
  ["yaw", "turn", -80, 80, 1, "°"],
  ["apart", "parts apart", 0, 100, 0.01, " %"],
  ["light_x", "light from right", -80, 80, 1, "°"],
  ["light_y", "light from above", -80, 80, -1, "°"],
];
const COLOURS = { albedo: "albedo", part: "parts", clay: "clay" };
const BEGIN = { yaw: 0, pitch: 0, apart: 0, light_x: -30, light_y: -25, colour: "albedo", hidden: [], motion: "turn" };
// motion: "" for none, "turn", or "show", which takes the parts apart as well
const LIMITS = { yaw: 80, pitch: 45 };

const STEEP = 0.12; // a wall's normal has less depth than this

const VERTEX = `#version 300 es
in vec3 place, normal, colour; in vec2 inside;
uniform mat3 turned; uniform vec3 shift; uniform vec2 lens; uniform float middle;
out vec3 p, n, albedo; out vec2 edge;
void main() {
  p = place; n = normal; albedo = colour; edge = inside;
  vec3 seen = turned * (place + shift) + vec3(0, 0, 1);
  gl_Position = vec4(lens * (seen.xy - vec2(0, middle * seen.z)), 2.0 * seen.z - 1.5, seen.z);  // depth 0.5 to 1.5
}`;
// Lambert's law as in igc/shading.py; the light is canonical, so it turns with the face. Dark: walls across a jump in
// depth, which nobody saw. Grey: the inside of a shell.
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 p, n, albedo; in vec2 edge;
uniform vec3 light, tint; uniform vec2 strengths; uniform float tinted;
out vec4 drawn;
void main() {
  if (min(edge.x, edge.y) < 0.0) discard;
  float wall = abs(normalize(cross(dFdx(p), dFdy(p))).z);
  float lit = strengths.x + strengths.y * max(0.0, dot(normalize(n), light));
  vec3 colour = mix(albedo, tint, tinted) * mix(0.3, lit, smoothstep(${STEEP}, 2.0 * ${STEEP}, wall));
  drawn = vec4(gl_FrontFacing ? colour : vec3(0.46, 0.45, 0.44), 1);
}`;

// ---- from the stored grid to triangles

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const radians = (degrees) => (degrees * Math.PI) / 180;
const unpack = (text, Kind) => new Kind(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

// A grid with a value between every two along its columns, transposed: (rows, columns) to (2 columns - 1, rows).
// In between it is a cubic through four values; `most` is how far that may leave the mean of the inner two.
function stretched(values, rows, columns, channels, most) {
  const wide = 2 * columns - 1, out = new Float32Array(wide * rows * channels);
  for (let i = 0; i < rows; i++) for (let j = 0; j < wide; j++) for (let k = 0; k < channels; k++) {
    const at = (column) => values[(i * columns + clamp(column, 0, columns - 1)) * channels + k];
    const left = j >> 1, two = at(left) + at(left + 1), outer = at(left - 1) + at(left + 2);
    out[(j * rows + i) * channels + k] = j % 2 ? two / 2 + clamp((two - outer) / 16, -most, most) : at(left);
  }
  return out;
}

function doubled(values, rows, columns, channels, most) {
  return stretched(stretched(values, rows, columns, channels, most), 2 * columns - 1, rows, channels, most);
}

// Where a part is, as a smooth field: 1 inside, 0 outside, about 1/2 on its border; on the doubled grid.
function field(parts, part, rows, columns) {
  const soft = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++)
    for (let di = -1; di < 2; di++) for (let dj = -1; dj < 2; dj++) {
      const row = clamp(i + di, 0, rows - 1), column = clamp(j + dj, 0, columns - 1);
      if (parts[row * columns + column] === part) soft[i * columns + j] += ((2 - di * di) * (2 - dj * dj)) / 16;
    }
  return doubled(soft, rows, columns, 1, 1);
}

// One mesh a part: vertices of eleven numbers (place, normal, colour, how far inside the part
// and the face), and triangles.
function meshes(face) {
  const [rows, columns] = face.shape, [high, wide] = [2 * rows - 1, 2 * columns - 1], count = high * wide;
  const stored = Float32Array.from(unpack(face.depth, Uint16Array), (step) => face.near + (face.span * step) / 65535);
  const depth = doubled(stored, rows, columns, 1, face.spacing / 4);
  const colours = doubled(Float32Array.from(unpack(face.colours, Uint8Array)), rows, columns, 3, 16);
  const parts = unpack(face.parts, Uint8Array);
  const places = new Float32Array(3 * count), normals = new Float32Array(3 * count);
  for (let v = 0; v < count; v++) {
    const x = face.corner[0] + (v % wide) / 2, y = face.corner[1] + Math.floor(v / wide) / 2, z = depth[v];
    places.set([(x * z) / face.focal, (y * z) / face.focal, z - 1], 3 * v);
  }
  const triangles = [];
  for (let i = 0; i < high - 1; i++) for (let j = 0; j < wide - 1; j++) {
    const [a, b, c, d] = [0, 1, wide, wide + 1].map((step) => i * wide + j + step);
    triangles.push([a, c, b], [b, c, d]);
  }
  for (const [a, b, c] of triangles) { // normals: those of the triangles around a vertex, by their areas
    const [ux, uy, uz] = [0, 1, 2].map((k) => places[3 * b + k] - places[3 * a + k]);
    const [vx, vy, vz] = [0, 1, 2].map((k) => places[3 * c + k] - places[3 * a + k]);
    const area = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
    if (Math.abs(area[2]) < STEEP * Math.hypot(...area)) continue;
    for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) normals[3 * corner + k] += area[k];
  }
  const ends = doubled(Float32Array.from(unpack(face.outline, Uint8Array), (step) => (step - 128) / 60), rows, columns, 1, 1);
  const fields = face.names.map((_, number) => field(parts, number + 1, rows, columns));
  return fields.map((own, number) => {
    const inside = own.map((value, v) => {
      const others = fields.reduce((most, field, other) => (other === number ? most : Math.max(most, field[v])), 0);
      return value - others + 0.02; // parts overlap by a hair, so that no seam shows
    });
    const mine = triangles.filter((corners) => corners.some((v) => inside[v] > 0) && corners.some((v) => ends[v] > 0));
    return compact(mine, places, normals, colours, inside, ends);
  });
}

function compact(triangles, places, normals, colours, inside, ends) {
  const numbers = new Map(), vertices = [], low = [9, 9, 9], high = [-9, -9, -9];
  const index = triangles.flat().map((v) => {
    if (!numbers.has(v)) {
      const [place, normal, colour] = [places, normals, colours].map((all) => all.slice(3 * v, 3 * v + 3));
      vertices.push(...place, ...normal, ...colour.map((level) => level / 255), inside[v], ends[v]);
      numbers.set(v, numbers.size);
      place.forEach((p, k) => { low[k] = Math.min(low[k], p); high[k] = Math.max(high[k], p); });
    }
    return numbers.get(v);
  });
  return { vertices: new Float32Array(vertices), index: new Uint32Array(index), low, high };
}

// ---- drawing

// Rz(0) Ry(yaw) Rx(pitch), column after column, as WebGL takes it.
function rotation(yaw, pitch) {
  const [cy, sy, cp, sp] = [Math.cos(radians(yaw)), Math.sin(radians(yaw)), Math.cos(radians(pitch)), Math.sin(radians(pitch))];
  return [cy, 0, -sy, sy * sp, cp, cy * sp, sy * cp, -sp, cy * cp];
}

function program(gl) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(gl.getProgramInfoLog(made));
  return made;
}

// How large the lens may be for the head to fit into the canvas, whichever way it is turned, and its middle.
function fitting(face, surfaces, apart, aspect) {
  let across = 0, top = 9, bottom = -9;
  surfaces.forEach(({ low, high }, number) => [low, high].forEach((corner) => {
    const [x, y, z] = corner.map((p, k) => p + apart * face.shifts[number][k]);
    across = Math.max(across, Math.hypot(x, 0.7 * z));
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }));
  return [0.92 * Math.min(aspect / across, 2 / (bottom - top)) * (1 - across), (top + bottom) / 2];
}

// What draws a face on a canvas, or nothing where there is no WebGL 2.
function scene(canvas, face, surfaces) {
  const gl = canvas.getContext("webgl2", { antialias: true });
  if (!gl) return null;
  const shaders = program(gl), uniform = (name) => gl.getUniformLocation(shaders, name);
  const drawn = surfaces.map(({ vertices, index }) => {
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    for (const [kind, data] of [[gl.ARRAY_BUFFER, vertices], [gl.ELEMENT_ARRAY_BUFFER, index]]) {
      gl.bindBuffer(kind, gl.createBuffer());
      gl.bufferData(kind, data, gl.STATIC_DRAW);
    }
    for (const [name, size, start] of [["place", 3, 0], ["normal", 3, 3], ["colour", 3, 6], ["inside", 2, 9]]) {
      const where = gl.getAttribLocation(shaders, name);
      gl.enableVertexAttribArray(where);
      gl.vertexAttribPointer(where, size, gl.FLOAT, false, 44, 4 * start);
    }
    return { array, count: index.length };
  });
  gl.useProgram(shaders);
  gl.enable(gl.DEPTH_TEST);
  return (state) => {
    const sharp = clamp(window.devicePixelRatio || 1, 2, 3);
    canvas.width = Math.round(sharp * canvas.clientWidth) || 1;
    canvas.height = Math.round(sharp * canvas.clientHeight) || 1;
    const aspect = canvas.width / canvas.height, [lens, middle] = fitting(face, surfaces, state.apart, aspect);
    const [x, y] = [radians(state.light_x), radians(state.light_y)];
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix3fv(uniform("turned"), false, rotation(state.yaw, state.pitch));
    gl.uniform2f(uniform("lens"), lens / aspect, -lens);
    gl.uniform1f(uniform("middle"), middle);
    gl.uniform2f(uniform("strengths"), ...face.strengths);
    gl.uniform3f(uniform("light"), Math.sin(x) * Math.cos(y), Math.sin(y), -Math.cos(x) * Math.cos(y));
    gl.uniform1f(uniform("tinted"), state.colour !== "albedo" ? 1 : state.motion === "show" ? 0.4 * state.apart : 0);
    drawn.forEach(({ array, count }, number) => {
      if (state.hidden.includes(number)) return;
      const hex = state.colour === "clay" ? "#d8d3cb" : face.tints[number];
      gl.uniform3f(uniform("tint"), ...[1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16) / 255));
      gl.uniform3f(uniform("shift"), ...face.shifts[number].map((p) => state.apart * p));
      gl.bindVertexArray(array);
      gl.drawElements(gl.TRIANGLES, count, gl.UNSIGNED_INT, 0);
    });
  };
}

// ---- what the reader sees and touches

// An element with properties and children; `in` puts it into another one.
function make(kind, properties, ...children) {
  const element = Object.assign(document.createElement(kind), properties);
  element.append(...children);
  return element;
}

// Labelled sliders, the choice of colours and a box for each part; `chosen` hears of every move.
function controls(face, state, chosen) {
  const motion = state.motion || "turn", refresh = [], group = `igc-${Math.random().toString(36).slice(2)}`, several = face.names.length > 1;
  const sliders = RANGES.filter(([name]) => several || name !== "apart").map(([name, label, min, max, unit, sign]) => {
    const input = make("input", { type: "range", min, max, step: 1, oninput: () => chosen({ [name]: input.value * unit }) });
    const output = make("output", {});
    refresh.push(() => {
      input.value = Math.round(state[name] / unit);
      output.value = input.value + sign;
      input.setAttribute("aria-valuetext", output.value);
    });
    return make("label", { className: "igc-slider" }, make("span", {}, label), input, output);
  });
  const box = (type, label, chosenWhen, change) => {
    const input = make("input", { type, name: type === "radio" ? group : "", onchange: () => change(input.checked) });
    refresh.push(() => { input.checked = chosenWhen(); });
    return make("label", {}, input, make("span", {}, label));
  };
  const colours = Object.entries(COLOURS).filter(([name]) => several || name !== "part").map(([name, label]) =>
    box("radio", label, () => state.colour === name, () => chosen({ colour: name })));
  const rows = [make("fieldset", {}, make("legend", {}, "colour"), ...colours)];
  if (several) rows.push(make("fieldset", {}, make("legend", {}, "show"), ...face.names.map((name, number) => {
    const others = () => state.hidden.filter((hidden) => hidden !== number);
    const label = box("checkbox", name, () => !state.hidden.includes(number),
      (shown) => chosen({ hidden: shown ? others() : [...others(), number] }));
    label.style.setProperty("--part", face.tints[number]);
    return label;
  })));
  rows.push(make("fieldset", {}, make("legend", {}, "motion"), box("checkbox", "moves by itself", () => Boolean(state.motion),
    (moves) => chosen({ motion: moves ? motion : "" }))));
  return [make("div", { className: "igc-controls" }, ...sliders, ...rows), () => refresh.forEach((one) => one())];
}

// A view in `element`, which holds the still picture, if any. Returns what sets its state, and what ends it.
// `told` hears what the reader chooses. WebGL lives only while the view is on the screen or near it.
function view(element, face, begin, told = () => {}) {
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const state = { ...BEGIN, ...begin, ...(calm && { motion: "" }) };
  const still = element.querySelector("img"), stage = make("div", { className: "igc-stage" });
  let canvas, draw, surfaces, frame = 0, clock = 0, last = 0;

  const tick = (now) => {
    frame = 0;
    if (!draw) return;
    if (state.motion) {
      clock += Math.min(now - last, 100) / 1000;
      last = now;
      state.yaw = (begin.yaw ?? 0) + 30 * Math.sin(0.75 * clock);
      if (state.motion === "show") state.apart = clamp(0.5 - 0.8 * Math.cos(0.75 * clock), 0, 1);
      refresh();
      ask();
    }
    draw(state);
  };
  const ask = () => { frame ||= requestAnimationFrame(tick); };
  const set = (change) => { Object.assign(state, change); refresh(); ask(); };
  const chosen = (change) => { set({ motion: "", ...change }); told(state); };
  const turnBy = (yaw, pitch) => chosen({
    yaw: clamp(state.yaw + yaw, -LIMITS.yaw, LIMITS.yaw), pitch: clamp(state.pitch + pitch, -LIMITS.pitch, LIMITS.pitch),
  });
  const [panel, refresh] = controls(face, state, chosen);

  const keys = { ArrowLeft: [5, 0], ArrowRight: [-5, 0], ArrowUp: [0, -5], ArrowDown: [0, 5] };
  function start() {
    canvas = make("canvas", { tabIndex: 0 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${face.says} The arrow keys turn it.`);
    canvas.onkeydown = (event) => { if (keys[event.key]) { event.preventDefault(); turnBy(...keys[event.key]); } };
    let [x, y] = [0, 0];
    canvas.onpointerdown = (event) => {
      [x, y] = [event.clientX, event.clientY];
      canvas.setPointerCapture(event.pointerId);
      chosen({});
    };
    canvas.onpointermove = (event) => {
      if (event.buttons) turnBy(0.4 * (x - event.clientX), 0.4 * (event.clientY - y));
      [x, y] = [event.clientX, event.clientY];
    };
    canvas.addEventListener("webglcontextlost", (event) => { if (event.target === canvas) stop(); });
    surfaces ||= meshes(face);
    stage.replaceChildren(canvas);
    draw = scene(canvas, face, surfaces);
    if (draw) ask(); else stop();
    panel.hidden = !draw;
  }
  function stop() {
    if (draw) canvas.getContext("webgl2").getExtension("WEBGL_lose_context")?.loseContext();
    draw = null;
    stage.replaceChildren(still ?? "This view needs WebGL 2.");
  }
  const watch = new IntersectionObserver(([{ isIntersecting }]) => {
    if (isIntersecting && !draw) start(); else if (!isIntersecting && draw) stop();
  }, { rootMargin: "300px 0px" });
  const resized = new ResizeObserver(ask);

  element.append(stage, panel);
  if (still) stage.append(still);
  refresh();
  watch.observe(stage);
  resized.observe(stage);
  return { set, end: () => { watch.disconnect(); resized.disconnect(); stop(); element.replaceChildren(); } };
}

function views() {
  for (const script of document.querySelectorAll(".igc-view > script")) {
    const element = script.parentElement, { face, begin } = JSON.parse(script.textContent);
    script.remove();
    view(element, face, begin);
  }
}

// anywidget's: the state is shared with the kernel.
function render({ model, el }) {
  const names = ["yaw", "pitch", "apart", "light_x", "light_y", "colour", "hidden"];
  const state = () => Object.fromEntries(names.map((name) => [name, model.get(name)]));
  const element = make("div", { className: "igc-view" });
  el.append(element);
  const shown = view(element, model.get("face"), { ...state(), motion: model.get("motion") }, (chosen) => {
    names.forEach((name) => model.set(name, chosen[name]));
    model.save_changes();
  });
  const follow = () => shown.set({ motion: "", ...state() });
  names.forEach((name) => model.on(`change:${name}`, follow));
  return () => { names.forEach((name) => model.off(`change:${name}`, follow)); shown.end(); };
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", views); else views();

export default { render };
