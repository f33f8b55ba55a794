"use strict";
// The page of ./studio. Everything comes from the program that serves it; the address behind # repeats a view.

const $ = (id) => document.getElementById(id);
const kQuick = 150, kPause = 220;  // milliseconds: an answer that follows the slider; a pause of the slider
const kFaces = 16, kStates = 12, kVariations = 8;
const client = Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");

let model = null;
let view = {};  // what the controls show: sampler, steps, seed, guidance, spread, between, attr {name: 1 or -1}, class
let open = null, picking = false;  // the face that is open: {seed, other}; whether the next click is its partner

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// ---- What is asked for

// A query as the program reads it: a + is itself there.
const queryOf = (asked) => asked.toString().replaceAll("+", "%20");

function parameters() {
  const asked = new URLSearchParams({ sampler: view.sampler });
  if (choices().length) asked.set("steps", view.steps);
  if (model.guidance && view.guidance !== 1) asked.set("guidance", view.guidance);
  for (const [name, value] of Object.entries(view.attr)) asked.append("attr", `${name}=${value}`);
  if (view.class !== null) asked.set("class", model.classes[view.class]);
  return asked;
}

// One slot of the page is drawn by one request at a time. While answers are quick a change waits for the one under way,
// so that pictures follow the slider; else the request under way is given up for the newest one.
class Slot {
  constructor(name) {
    Object.assign(this, { name, running: null, next: null, timer: 0, took: 0, begun: 0 });
  }
  ask(job, atOnce) {
    this.next = job;
    clearTimeout(this.timer);
    const slow = this.took >= kQuick || (this.running && performance.now() - this.begun >= kQuick);
    if (atOnce || (!slow && !this.running)) this.start();
    else if (slow) this.timer = setTimeout(() => this.start(), kPause);
  }
  stop() {
    clearTimeout(this.timer);
    this.next = null;
    if (this.running) this.running.abort();
    this.running = null;
  }
  async start() {
    const job = this.next;
    if (!job) return;
    if (this.running) this.running.abort();
    const control = (this.running = new AbortController());
    this.next = null;
    this.begun = performance.now();
    job.begin();
    try {
      const asked = job.parameters;
      asked.set("client", client);
      asked.set("slot", this.name);
      await lines("grid?" + queryOf(asked), control.signal, job.line);
      this.took = performance.now() - this.begun;
      job.end(this.took);
    } catch (problem) {
      if (control.signal.aborted) return;
      job.fail(problem.message);
    }
    if (this.running !== control) return;
    this.running = null;
    this.start();
  }
}
const slots = { grid: new Slot("grid"), face: new Slot("face"), near: new Slot("near"), between: new Slot("between") };

// Each line of an answer, as it comes. Error: the sentence of a refusal.
async function lines(address, signal, take) {
  let answer;
  try {
    answer = await fetch(address, { signal });
  } catch (problem) {
    throw signal.aborted ? problem : new Error("The program does not answer: it may have ended.");
  }
  if (!answer.ok) throw new Error((await answer.text()).trim());
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) take(JSON.parse(part));
  }
}

const pictureOf = (line) => "data:image/png;base64," + line.png;
const words = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

function say(id, text, isError) {
  $(id).textContent = text;
  $(id).classList.toggle("error", Boolean(isError));
}

// A job that fills a row of buttons with the pictures of an answer. What is shown stays until the new picture is there.
function fill(row, status, asked, { count, label, click, extra }) {
  let at = 0, command = "", notes = [];
  return {
    parameters: asked,
    begin() {
      while (row.children.length > count) row.lastChild.remove();
      while (row.children.length < count) row.append(blank());
      for (const face of row.children) face.classList.add("waiting");
      say(status, "drawing");
    },
    line(line) {
      if (line.command) command = line.command;
      if (line.png && line.state === undefined) {
        const face = row.children[at];
        face.classList.remove("waiting");
        face.picture = { ...line, command, query: asked };
        face.firstChild.src = pictureOf(line);
        face.firstChild.alt = label(line, at);
        face.disabled = false;
        face.onclick = () => click(face.picture, face);
        ++at;
        if (extra) extra(at / count);
      }
      if (line.done) notes = line.notes;
    },
    end(ms) {
      say(status, [`${count} faces in ${words(ms)}`, ...notes].join(" · "));
      mark();
    },
    fail(sentence) {
      say(status, sentence, true);
      if (extra) extra(0);
    },
  };
}

function blank() {
  const face = element("button", "face");
  face.type = "button";
  face.disabled = true;
  face.append(element("img"));
  face.firstChild.alt = "not drawn yet";
  face.classList.toggle("pixelated", model.width < 48);
  return face;
}

// ---- The grid

function drawGrid(atOnce) {
  const asked = parameters();
  asked.set("seed", view.seed);
  asked.set("count", kFaces);
  slots.grid.ask(fill($("grid"), "status", asked, {
    count: kFaces,
    label: (line) => `face of seed ${line.seed}`,
    click: (picture) => (picking ? blendWith(picture.seed) : openFace(picture.seed, true)),
    extra: (part) => ($("progress").firstChild.style.width = part < 1 ? part * 100 + "%" : "0"),
  }), atOnce);
}

// Rings around the open face and its partner.
function mark() {
  for (const face of $("grid").children) {
    const seed = face.picture && face.picture.seed;
    const first = open !== null && seed === open.seed, second = open !== null && seed === open.other;
    face.setAttribute("aria-pressed", String(first || second));
    face.classList.toggle("second", second && !first);
  }
}

// Arrow keys, Home and End inside a row of faces.
function moveByKeys(row) {
  row.addEventListener("keydown", (event) => {
    const faces = [...row.children].filter((f) => !f.disabled), at = faces.indexOf(document.activeElement);
    if (at < 0) return;
    const columns = getComputedStyle(row).gridTemplateColumns.split(" ").length;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns, ArrowUp: at - columns, Home: 0,
      End: faces.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (faces[to]) faces[to].focus();
  });
}

// ---- One face

function openFace(seed, focuses) {
  open = { seed, other: null };
  setPicking(false);
  $("face").hidden = false;
  $("between").hidden = true;
  slots.between.stop();
  drawFace(true);
  mark();
  keep();
  if (!focuses) return;
  $("face-title").focus({ preventScroll: true });
  $("face").scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

function closeFace() {
  const face = [...$("grid").children].find((f) => f.picture && f.picture.seed === open.seed);
  open = null;
  setPicking(false);
  $("face").hidden = true;
  for (const name of ["face", "near", "between"]) slots[name].stop();
  mark();
  keep();
  (face || $("sampler")).focus();
}

function drawFace(atOnce) {
  if (!open) return;
  $("face-title").textContent = `Face of seed ${open.seed}`;
  drawWay(atOnce);
  drawVariations(atOnce);
  if (open.other !== null) drawBetween(atOnce);
}

// The portrait shows each state as it comes, then the picture; the strip keeps them.
function drawWay(atOnce) {
  const asked = parameters(), seed = open.seed, strip = $("states"), steps = choices().length ? view.steps : 0;
  const states = steps > 1 ? Math.min(kStates, steps) : 0;
  asked.set("seed", seed);
  if (states) asked.set("states", states);
  let at = 0, command = "";
  const show = (line, text) => {
    $("portrait").src = pictureOf(line);
    $("portrait").alt = text;
    $("portrait-text").textContent = text;
  };
  const put = (line, text) => {
    const face = strip.children[at] || strip.appendChild(blank());
    face.disabled = false;
    face.classList.remove("waiting");
    face.firstChild.src = pictureOf(line);
    face.firstChild.alt = text;
    face.onclick = () => show(line, text);
    ++at;
  };
  slots.face.ask({
    parameters: asked,
    begin() {
      for (const face of strip.children) face.classList.add("waiting");
      say("face-status", "denoising");
    },
    line(line) {
      if (line.command) command = line.command;
      if (!line.png) return;
      const text = line.state === undefined ? `face of seed ${seed}` : `state ${line.state + 1} of ${line.of} on the way`;
      show(line, text);
      put(line, text);
      if (line.state === undefined) offer(line, command);
    },
    end(ms) {
      while (strip.children.length > at) strip.lastChild.remove();
      say("face-status", `drawn in ${words(ms)}`);
    },
    fail: (sentence) => say("face-status", sentence, true),
  }, atOnce);
}

// Save and the command are of this picture.
function offer(line, command) {
  const bytes = Uint8Array.from(atob(line.png), (c) => c.charCodeAt(0));
  if ($("save").href) URL.revokeObjectURL($("save").href);
  $("save").href = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  $("save").download = line.file;
  $("command").value = command;
}

// A face of a row becomes the portrait, to be saved; it is drawn from other noise than a seed's own.
function choose(picture, what) {
  slots.face.stop();
  $("portrait").src = pictureOf(picture);
  $("portrait").alt = $("portrait-text").textContent = what;
  offer(picture, picture.command);
  say("face-status", `${what}: Save keeps it as ${picture.file}`);
}

function drawVariations(atOnce) {
  const asked = parameters(), seed = open.seed;
  asked.set("variations", seed);
  asked.set("spread", view.spread);
  asked.set("count", kVariations);
  const label = (line) => (line.number === "0" ? `face of seed ${seed} itself` : `variation ${line.number} of seed ${seed}`);
  slots.near.ask(fill($("variations"), "face-status", asked,
    { count: kVariations, label, click: (picture) => choose(picture, label(picture)) }), atOnce);
}

function setPicking(on) {
  picking = on;
  $("blend").setAttribute("aria-pressed", String(on));
  document.body.classList.toggle("picking", on);
  if (on) {
    say("status", "Choose the second face: click on it, or press Enter there");
    const face = [...$("grid").children].find((f) => f.picture && f.picture.seed !== open.seed);
    $("sheet").scrollIntoView({ block: "nearest" });
    if (face) face.focus();
  }
}

function blendWith(seed) {
  setPicking(false);
  if (seed === open.seed) return say("status", "That is the first face: choose another one", true);
  open.other = seed;
  say("status", "");
  drawBetween(true);
  mark();
  keep();
  $("between").scrollIntoView({ block: "nearest" });
}

function drawBetween(atOnce) {
  const { seed, other } = open, asked = parameters(), count = view.between;
  asked.set("interpolate", `${seed},${other}`);
  asked.set("count", count);
  $("between").hidden = false;
  $("between-title").textContent = `Between the faces of seeds ${seed} and ${other}`;
  const label = (line) => `picture ${Number(line.number) + 1} of ${count} between seeds ${seed} and ${other}`;
  slots.between.ask(fill($("blends"), "face-status", asked,
    { count, label, click: (picture) => choose(picture, label(picture)) }), atOnce);
}

// ---- Controls

const sampler = () => model.samplers.find((s) => s.name === view.sampler);
const choices = () => sampler().choices;

// A labelled slider; `text` is what it shows and what a screen reader says.
function slider(parent, id, label, { min, max, step = 1, text, set, number }) {
  const control = parent.classList.contains("control") ? parent : parent.appendChild(element("div", "control"));
  const name = element("label", "", label), input = element("input");
  name.htmlFor = input.id = id;
  Object.assign(input, { type: "range", min, max, step });
  control.append(name);
  const shown = element(number ? "input" : "output", number ? "number" : "");
  if (number) {
    Object.assign(shown, { type: "text", inputMode: "numeric", autocomplete: "off", spellcheck: false });
    shown.setAttribute("aria-label", `${label}, as a number`);
    shown.onchange = () => set(shown.value.trim());
  } else {
    shown.htmlFor = id;
  }
  control.append(shown, input);
  input.oninput = () => set(Number(input.value));
  return (value, at) => {
    if (at !== null) input.value = at;
    const words = text ? text(value) : String(value);
    input.setAttribute("aria-valuetext", words);
    if (number) shown.value = words;
    else shown.textContent = words;
    return input;
  };
}

let shows = {};

function makeControls() {
  for (const s of model.samplers) $("sampler").append(new Option(s.name, s.name));
  $("sampler").onchange = () => change({ sampler: $("sampler").value, steps: null });
  const drawing = $("drawing");
  shows.steps = slider(drawing, "steps", "Steps", { min: 0, max: 1, text: String, set: (at) => change({ steps: choices()[at] }) });
  shows.seed = slider(drawing, "seed", "First seed", { min: 0, max: 10000, step: 1, set: setSeed, number: true });
  if (model.guidance)
    shows.guidance = slider(drawing, "guidance", "Guidance", { min: 0, max: 8, step: 0.25, text: String, set: (v) => change({ guidance: v }) });
  for (const name of model.attributes) {
    const text = (v) => ["without", "any", "with"][v + 1];
    shows["attr " + name] = slider($("asking"), "attr-" + name, name.replaceAll("_", " "),
      { min: -1, max: 1, text, set: (v) => change({ attr: { ...view.attr, [name]: v } }) });
  }
  if (model.classes.length) {
    $("asking").firstElementChild.textContent = "Class";
    shows.class = slider($("asking"), "class", "Class", { min: -1, max: model.classes.length - 1,
      text: (v) => (v === null ? "any" : model.classes[v]), set: (v) => change({ class: v < 0 ? null : v }) });
  }
  $("asking").hidden = !model.attributes.length && !model.classes.length;
  shows.spread = slider($("spread-control"), "spread", "Spread", { min: 0, max: 1, step: 0.05, text: (v) => v.toFixed(2), set: (v) => setLocal({ spread: v }, drawVariations) });
  shows.between = slider($("between-control"), "count", "Pictures", { min: 3, max: 24, set: (v) => setLocal({ between: v }, drawBetween) });
  $("reset").onclick = () => {
    view = usual();
    change({}, true);
  };
  $("controls").onsubmit = (event) => event.preventDefault();
  $("close").onclick = closeFace;
  $("blend").onclick = () => setPicking(!picking);
  $("copy").onclick = async () => {
    try {
      await navigator.clipboard.writeText($("command").value);
      say("face-status", "The command is copied");
    } catch {
      $("command").select();
      say("face-status", "The command is marked: copy it by Ctrl-C");
    }
  };
  $("save").addEventListener("click", () => say("face-status", `saved as ${$("save").download}`));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !open) return;
    if (picking) setPicking(false);
    else closeFace();
  });
  for (const row of ["grid", "states", "variations", "blends"]) moveByKeys($(row));
}

// Seeds are texts, since a number of a browser ends at 2^53.
function setSeed(value) {
  const text = String(value);
  if (!/^\d{1,20}$/.test(text) || BigInt(text) > 18446744073709551615n - BigInt(kFaces - 1)) {
    say("status", "a seed is a whole number from 0 to 18446744073709551600", true);
    return showControls();
  }
  change({ seed: String(BigInt(text)) });
}

function showControls() {
  const s = sampler(), steps = choices();
  $("sampler").value = view.sampler;
  $("sampler-note").textContent = s.summary;
  const quiet = model.samplers.find((other) => !other.stochastic);
  $("noise-note").hidden = !s.stochastic || !quiet;
  if (quiet)
    $("noise-note").textContent = `${s.name} adds noise in every step, so that the first noise decides little: ` +
      `with ${quiet.name}, which adds none, faces near this one differ more.`;
  const input = shows.steps(steps.length ? view.steps : "its own", null);
  input.max = Math.max(0, steps.length - 1);
  input.value = nearest(steps, view.steps);
  input.disabled = steps.length < 2;
  shows.seed(view.seed, Number(view.seed) <= 10000 ? view.seed : 10000);
  if (shows.guidance) shows.guidance(view.guidance, view.guidance);
  for (const name of model.attributes) shows["attr " + name](view.attr[name] || 0, view.attr[name] || 0);
  if (shows.class) shows.class(view.class, view.class === null ? -1 : view.class);
  shows.spread(view.spread, view.spread);
  shows.between(view.between, view.between);
}

const nearest = (list, value) =>
  list.reduce((best, x, i) => (Math.abs(x - value) < Math.abs(list[best] - value) ? i : best), 0);

function usual() {
  const first = model.samplers[0];
  return { sampler: first.name, steps: first.steps, seed: "0", guidance: 1, spread: model.spread, between: 8, attr: {}, class: null };
}

// After every change of what faces depend on.
function change(changed, atOnce) {
  view = { ...view, ...changed };
  view.attr = Object.fromEntries(Object.entries(view.attr).filter(([, value]) => value !== 0));
  if (view.steps === null) view.steps = sampler().steps;
  showControls();
  keep();
  drawGrid(atOnce);
  drawFace(atOnce);
}

// After a change of one row alone.
function setLocal(changed, draw) {
  view = { ...view, ...changed };
  showControls();
  keep();
  if (open) draw(false);
}

// ---- The address

let kept = "";
function keep() {
  const now = new URLSearchParams(), first = usual();
  for (const key of ["sampler", "steps", "seed", "guidance", "spread", "between", "class"])
    if (view[key] !== null && (view[key] !== first[key] || key === "steps")) now.set(key, view[key]);
  for (const [name, value] of Object.entries(view.attr)) now.append("attr", `${name}=${value}`);
  if (open) now.set("face", open.other === null ? open.seed : `${open.seed},${open.other}`);
  kept = now.toString();
  history.replaceState(null, "", "#" + kept);
}

// The view of an address; what the model does not know is left out.
function recall() {
  const asked = new URLSearchParams(location.hash.slice(1));
  view = usual();
  const number = (key, least, most) => {
    const value = Number(asked.get(key));
    const isWhole = Number.isInteger(value) || key === "guidance" || key === "spread";
    if (asked.has(key) && isWhole && value >= least && value <= most) view[key] = value;
  };
  if (model.samplers.some((s) => s.name === asked.get("sampler"))) view.sampler = asked.get("sampler");
  view.steps = sampler().steps;
  number("steps", 1, 1000), number("guidance", 0, 8), number("spread", 0, 1), number("between", 3, 24);
  if (model.classes.length) number("class", 0, model.classes.length - 1);
  if (/^\d{1,20}$/.test(asked.get("seed") || "")) view.seed = asked.get("seed");
  for (const text of asked.getAll("attr")) {
    const [name, value] = text.split("=");
    if (model.attributes.includes(name) && ["1", "-1"].includes(value)) view.attr[name] = Number(value);
  }
  const [first, second] = (asked.get("face") || "").split(",");
  const isSeed = (text) => /^\d{1,20}$/.test(text || "");
  open = isSeed(first) ? { seed: first, other: isSeed(second) && second !== first ? second : null } : null;
}

function showView() {
  recall();
  showControls();
  keep();
  drawGrid(true);
  $("face").hidden = !open;
  $("between").hidden = true;
  drawFace(true);
}

async function start() {
  try {
    const answer = await fetch("model.json");
    if (!answer.ok) throw new Error((await answer.text()).trim());
    model = await answer.json();
  } catch (problem) {
    $("model").textContent = problem.message;
    return;
  }
  document.title = `${model.name} · Ito studio`;
  $("name").textContent = model.name;
  $("model").textContent = `${model.width} × ${model.height} · step ${model.step.toLocaleString("en-US")}`;
  $("portrait").classList.toggle("pixelated", model.width < 48);
  makeControls();
  showView();
  addEventListener("hashchange", () => {
    if (location.hash.slice(1) !== kept) showView();
  });
}
start();
