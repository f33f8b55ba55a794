// The page asks for run_data.js again and again, as a script: a page from a disk may read no other way.
// The file calls showRun with the run as it is; nothing is reloaded, so slider and scroll stay in place.
const kPollSeconds = 3;
const $ = (id) => document.getElementById(id);
let run = null;

// ---- Words

const count = (n) => n.toLocaleString("en-US");

function value(v) {
  if (v === 0 || (Math.abs(v) >= 1e-3 && Math.abs(v) < 1e5)) return String(Number(v.toPrecision(4)));
  const [mantissa, exponent] = v.toExponential(3).split("e");
  return `${Number(mantissa)}e${Number(exponent)}`;
}

function shortCount(n) {
  if (n >= 1e6) return Number((n / 1e6).toPrecision(4)) + "M";
  return n >= 1e4 ? Number((n / 1e3).toPrecision(4)) + "k" : count(n);
}

function duration(seconds) {
  const s = Math.max(0, Math.round(seconds)), minutes = Math.round(s / 60);
  if (s < 90) return s + " s";
  if (minutes < 90) return minutes + " min";
  if (minutes < 48 * 60) return Math.floor(minutes / 60) + " h " + (minutes % 60) + " min";
  return Math.floor(minutes / 1440) + " d " + Math.round((minutes % 1440) / 60) + " h";
}

function clock(seconds) {
  const date = new Date(seconds * 1000), far = Math.abs(date - Date.now()) > 20 * 3600e3;
  const time = { hour: "2-digit", minute: "2-digit" };
  return date.toLocaleString([], far ? { ...time, day: "numeric", month: "short" } : time);
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// ---- The head: state, progress, time left

function isSilent() {
  return run.state === "running" && Date.now() / 1000 - run.updated > Math.max(30, 4 * run.longest_pause);
}

function stateWords(silent) {
  if (silent) return "No news";
  return { running: "Running", finished: "Finished", stopped: "Stopped" }[run.state];
}

function notice(silent) {
  if (silent)
    return `Last heard of at ${clock(run.updated)}, ${duration(Date.now() / 1000 - run.updated)} ago. ` +
      "The program may have been killed, or a step takes unusually long.";
  return run.state === "stopped" ? `Stopped at step ${count(run.step)}: ${run.reason}` : "";
}

function timeLeft() {
  if (!run.seconds_left) return "time left not known yet";
  const end = run.updated + run.seconds_left;
  return `${duration(end - Date.now() / 1000)} left, until ${clock(end)}`;
}

function showProgress() {
  const silent = isSilent();
  const share = run.steps ? Math.min(1, run.step / run.steps) : 0;
  const percent = (share < 1 ? Math.floor(share * 1000) / 10 : 100) + " %";
  const name = run.folder.split("/").filter(Boolean).pop() || run.folder;
  document.body.className = silent ? "silent" : run.state;
  $("state").textContent = stateWords(silent);
  $("name").textContent = name;
  document.title = `${run.state === "running" ? percent : stateWords(silent)} – ${name}`;
  $("bar").firstElementChild.style.width = 100 * share + "%";
  $("bar").setAttribute("aria-valuenow", Math.floor(100 * share));

  const parts = [`step ${count(run.step)} of ${count(run.steps)}`];
  if (run.images_per_second) parts.push(`${value(Math.round(run.images_per_second))} images/s`);
  if (run.state === "running" && !silent) parts.push(timeLeft());
  if (run.skipped) parts.push(`${count(run.skipped)} skipped`);
  if (run.saved) parts.push(`saved at ${count(run.saved)}`);
  // Lines break between the parts only.
  $("progress").replaceChildren(...parts.flatMap((part, i) => [i ? " · " : "", element("span", "", part)]));
  $("notice").textContent = notice(silent);
  $("notice").hidden = !$("notice").textContent;
  $("updated").textContent = `Updated ${new Date(run.updated * 1000).toLocaleString()}`;
}

// ---- The faces

const faces = { step: null, follow: true, playing: null };
const gridFile = (step) => `samples/step-${String(step).padStart(8, "0")}.png`;

function sizeGrid() {
  const grid = $("grid");  // small pictures stay pictures of pixels
  grid.classList.toggle("pixelated", grid.naturalWidth > 0 && grid.clientWidth >= 1.9 * grid.naturalWidth);
}

async function showGrid(step) {
  faces.step = step;
  $("grid-step").textContent = `step ${count(step)}`;
  const next = new Image();
  next.src = gridFile(step);
  // Decoded before it is shown, so that nothing flickers. One that is missing leaves the last one standing.
  const decoded = await next.decode().then(() => true, () => false);
  if (faces.step !== step) return;
  if (!decoded) {
    $("grid-step").textContent = `step ${count(step)} is missing`;
    return;
  }
  const grid = $("grid");
  grid.src = next.src;
  grid.alt = `faces drawn after step ${count(step)}`;
  grid.hidden = false;
  $("nothing").hidden = true;
  sizeGrid();
}

function firstGridWords() {
  const { sample_count, sample_every } = run.options;
  if (!sample_count) return "This run draws no grids (sample_count is 0).";
  if (run.state !== "running") return "No grid was drawn.";
  const next = Math.min(run.steps, (Math.floor(run.step / sample_every) + 1) * sample_every);
  const wait = (run.seconds_left * (next - run.step)) / (run.steps - run.step);
  return `The first faces come at step ${count(next)}` + (wait > 0 ? `, in about ${duration(wait)}.` : ".");
}

function showFaces() {
  const steps = run.grids, slider = $("grid-slider");
  $("grid-controls").hidden = !steps.length;
  if (!steps.length) { $("nothing").textContent = firstGridWords(); return; }
  $("grid-controls").querySelector("#play").hidden = slider.hidden = steps.length < 2;
  slider.max = steps.length - 1;
  // The place is a step, since the list may grow or be thinned.
  let at = steps.length - 1;
  if (!faces.follow) while (at > 0 && steps[at] > faces.step) --at;
  slider.value = at;
  if (steps[at] !== faces.step) showGrid(steps[at]);
}

function moveTo(at) {
  $("grid-slider").value = at;
  faces.follow = at === run.grids.length - 1;
  return showGrid(run.grids[at]);
}

function stopPlaying() {
  clearTimeout(faces.playing);
  faces.playing = null;
  $("play-icon").setAttribute("d", "M4 2.5v11l9.5-5.5z");
}

function play() {
  if (faces.playing !== null) return stopPlaying();
  $("play-icon").setAttribute("d", "M4 2.5h3v11H4zM9.5 2.5h3v11h-3z");
  const from = Number($("grid-slider").value);
  const next = async (at) => {
    await moveTo(at);
    if (faces.playing === null) return;
    if (at >= run.grids.length - 1) return stopPlaying();
    faces.playing = setTimeout(next, 250, at + 1);
  };
  faces.playing = 0;
  next(from >= run.grids.length - 1 ? 0 : from);
}

// ---- Options and messages

function optionWords(v) {
  if (v === null) return "none";
  if (typeof v === "boolean") return v ? "yes" : "no";
  if (typeof v === "number") return String(Number(v.toPrecision(7)));  // some come from single precision
  return Array.isArray(v) ? v.map(optionWords).join(", ") : String(v);
}

function optionTable(title, options) {
  const table = element("table");
  table.append(element("caption", "", title));
  for (const [key, v] of Object.entries(options)) {
    const row = table.insertRow();
    row.append(element("td", "", key.replaceAll("_", " ")), element("td", "", optionWords(v)));
  }
  return table;
}

function showOptions() {
  const isGroup = (v) => v !== null && typeof v === "object" && !Array.isArray(v);
  const all = Object.entries(run.options), size = (v) => Object.keys(v).length;
  const tables = [optionTable("run", Object.fromEntries(all.filter(([, v]) => !isGroup(v))))];
  for (const [key, v] of all.filter(([, v]) => isGroup(v)).sort(([, a], [, b]) => size(a) - size(b)))
    tables.push(optionTable(key, v));
  $("options").replaceChildren(...tables);
  $("folder").textContent = run.folder;
}

function showMessages() {
  $("messages").hidden = !run.messages.length;
  $("message-list").replaceChildren(...[...run.messages].reverse().map((m) => {
    const item = element("li");
    item.append(element("span", "", `step ${count(m.step)}`), element("em", "", m.text));
    return item;
  }));
}

// ---- All together

function showRun(data) {
  const before = run ?? {};
  const changed = (part) => JSON.stringify(before[part]) !== JSON.stringify(data[part]);
  if (!changed("updated")) return;
  run = data;
  showProgress();
  showFaces();
  drawCharts();
  if (changed("options")) showOptions();
  if (changed("messages")) showMessages();
}

let polls = 0;
function poll() {
  const resting = run && run.state !== "running" && ++polls % 10;  // it may be gone on with
  if (document.hidden || resting) return;
  const script = element("script");
  script.src = "run_data.js?" + Date.now();
  script.onload = () => script.remove();
  script.onerror = () => {
    script.remove();
    if (!run) $("state").textContent = "run_data.js is missing: it belongs next to this page";
  };
  document.head.append(script);
}

$("grid-slider").addEventListener("input", (e) => { stopPlaying(); moveTo(Number(e.target.value)); });
$("play").addEventListener("click", play);
$("smoothing").addEventListener("input", () => run && drawCharts());
document.addEventListener("visibilitychange", poll);
new ResizeObserver(() => { if (run) { sizeGrid(); drawCharts(); } }).observe($("charts"));
setInterval(poll, 1000 * kPollSeconds);
setInterval(() => run && showProgress(), 1000);
poll();
