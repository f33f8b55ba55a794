// ---- Curves, drawn as SVG

// Each series has a name among the run's curves. A scale is "linear", "zero" (linear from 0), "log" or
// "auto": logarithmic where the values span much. An optional chart shows only with values.
const kCharts = [
  { title: "Loss", series: [["loss", "training"], ["validation_loss", "validation"]], scale: "auto" },
  { title: "FID", series: [["fid", ""]], scale: "auto", optional: true },
  { title: "Gradient norm", series: [["grad_norm", ""]], scale: "auto" },
  { title: "Learning rate", series: [["learning_rate", ""]], scale: "zero", exact: true },
  { title: "Images per second", series: [["speed", ""]], scale: "zero" },
];
const kMargin = { left: 46, right: 12, top: 10, bottom: 24 };

function svg(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, v] of Object.entries(attributes)) made.setAttribute(key, v);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Means over neighbours, weighted by a bell: unlike a trailing mean they do not lag behind.
function smoothed(values, strength) {
  const width = strength === 0 ? 0 : (values.length / 400) * 1.45 ** strength;
  const reach = Math.ceil(3 * width), bell = [1];
  for (let k = 1; k <= reach; ++k) bell.push(Math.exp(-0.5 * (k / width) ** 2));
  return values.map((_, i) => {
    let sum = 0, weight = 0;
    // As far to one side as to the other, so that the ends are not pulled inwards.
    const side = Math.min(reach, i, values.length - 1 - i);
    for (let k = -side; k <= side; ++k) {
      sum += bell[Math.abs(k)] * values[i + k];
      weight += bell[Math.abs(k)];
    }
    return sum / weight;
  });
}

function linearTicks(low, high, wanted) {
  const rough = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((m) => m * power >= rough) * power;
  const ticks = [], first = Math.ceil(low / step - 1e-9) || 0;  // not -0
  for (let k = first; k * step <= high * (1 + 1e-12); ++k) ticks.push(k * step);
  return ticks;
}

function logTicks(low, high) {
  const ticks = [], decades = Math.log10(high / low);
  const digits = decades > 3 ? [1] : decades > 1 ? [1, 2, 5] : [1, 1.5, 2, 3, 5, 7];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); ++e)
    for (const d of digits) if (d * 10 ** e >= low && d * 10 ** e <= high) ticks.push(d * 10 ** e);
  return ticks;
}

// What the axis spans: nearly all means, so that one wild step does not flatten the rest.
function span(series, scale) {
  const all = series.flatMap((s) => [...s.mean].sort((a, b) => a - b).filter((_, i, sorted) => {
    const tail = Math.floor(sorted.length / 200);
    return i >= tail && i < sorted.length - tail;
  }));
  let low = Math.min(...all), high = Math.max(...all);
  const log = low > 0 && (scale === "auto" ? high / low > 4 : scale === "log");
  if (log) return { log, low: low / (high / low) ** 0.06 / 1.02, high: high * (high / low) ** 0.06 * 1.02 };
  if (low >= 0 && (scale === "zero" || low < 0.6 * high || low === high)) low = 0;
  const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return { log, low: low === 0 ? 0 : low - room, high: high + room };
}

class Chart {
  constructor(about) {
    Object.assign(this, about);
    this.box = element("div", "chart");
    const head = element("div", "title");
    this.button = element("button", "scale");
    this.button.type = "button";
    this.button.title = "change the scale";
    this.button.addEventListener("click", () => {
      this.scale = this.axis.log ? "linear" : "log";
      this.draw();
    });
    this.readout = element("span", "readout");
    head.append(element("strong", "", this.title), this.button, this.readout);
    this.svg = svg("svg", { role: "img", "aria-label": `${this.title} by step` });
    this.svg.addEventListener("pointermove", (e) => point(this.stepAt(e)));
    this.svg.addEventListener("pointerdown", (e) => point(this.stepAt(e)));
    this.svg.addEventListener("pointerleave", () => point(null));
    this.box.append(head, this.svg);
  }

  x(step) { return kMargin.left + (step / this.last) * (this.width - kMargin.left - kMargin.right); }
  y(v) {
    const low = this.scaled(this.axis.low), high = this.scaled(this.axis.high);
    const share = (this.scaled(v) - low) / (high - low);
    return this.height - kMargin.bottom - share * (this.height - kMargin.bottom - kMargin.top);
  }
  scaled(v) { return this.axis.log ? Math.log(Math.max(v, this.axis.low / 1e3)) : v; }
  // As the eye sees them: logarithms where the axis has them, so that one wild value stays one.
  smooth(values, strength) {
    const means = smoothed(values.map((v) => this.scaled(v)), strength);
    return this.axis.log ? means.map(Math.exp) : means;
  }
  stepAt(event) {
    const at = event.clientX - this.svg.getBoundingClientRect().left - kMargin.left;
    return (at / (this.width - kMargin.left - kMargin.right)) * this.last;
  }

  draw() {
    this.box.hidden = Boolean(this.optional) && !this.series.some(([name]) => run.curves[name].steps.length);
    ({ width: this.width, height: this.height } = this.svg.getBoundingClientRect());
    if (!this.width) return;  // not laid out yet
    this.shown = this.series.map(([name, label], i) => ({
      ...run.curves[name], label, color: ["first", "second"][i],
    })).filter((s) => s.steps.length);
    this.svg.replaceChildren();
    this.button.hidden = this.exact || !this.shown.length;
    if (!this.shown.length) {
      const middle = { x: this.width / 2, y: this.height / 2, class: "empty" };
      this.svg.append(svg("text", middle, "nothing yet"));
      this.readout.replaceChildren();
      return;
    }
    this.axis = span(this.shown, this.scale);
    const strength = this.exact ? 0 : Number($("smoothing").value);
    for (const s of this.shown) s.smooth = this.smooth(s.mean, strength);
    this.button.textContent = this.axis.log ? "log" : "linear";
    this.last = Math.max(1, ...Object.values(run.curves).map((c) => c.steps.at(-1) ?? 0));
    this.drawAxes();
    this.drawSeries(strength);
    this.cursor = svg("g", {});
    this.svg.append(this.cursor);
    this.point(pointed);
  }

  drawAxes() {
    const { low, high, log } = this.axis, bottom = this.height - kMargin.bottom;
    for (const v of log ? logTicks(low, high) : linearTicks(low, high, 4)) {
      const y = this.y(v);
      this.svg.append(
        svg("line", { class: "rule", x1: kMargin.left, x2: this.width - kMargin.right, y1: y, y2: y }),
        svg("text", { x: kMargin.left - 7, y: y + 4, "text-anchor": "end" }, value(v)));
    }
    const ticks = linearTicks(0, this.last, Math.max(2, Math.floor(this.width / 70)));
    for (const step of ticks.filter(Number.isInteger)) {
      const anchor = this.x(step) > this.width - 24 ? "end" : "middle";
      const x = anchor === "end" ? this.width - 1 : this.x(step);
      this.svg.append(svg("text", { x, y: bottom + 17, "text-anchor": anchor }, shortCount(step)));
    }
  }

  drawSeries(strength) {
    const clip = `clip-${this.title.replaceAll(" ", "-")}`, shape = svg("clipPath", { id: clip });
    shape.append(svg("rect", {
      x: kMargin.left, y: kMargin.top - 4, width: this.width - kMargin.left - kMargin.right + 6,
      height: this.height - kMargin.top - kMargin.bottom + 5,
    }));
    const group = svg("g", { "clip-path": `url(#${clip})` });
    for (const s of this.shown) {
      const path = (values) =>
        values.map((v, i) => `${this.x(s.steps[i]).toFixed(1)},${this.y(v).toFixed(1)}`);
      if (s.low.some((v, i) => v < s.high[i]))
        group.append(svg("polygon", {
          class: `band ${s.color}`, points: [...path(s.high), ...path(s.low).reverse()].join(" "),
        }));
      else if (strength > 0)
        group.append(svg("polyline", { class: `line raw ${s.color}`, points: path(s.mean).join(" ") }));
      group.append(svg("polyline", { class: `line ${s.color}`, points: path(s.smooth).join(" ") }));
      if (s.steps.length === 1)
        group.append(this.dot(s, 0));
    }
    this.svg.append(shape, group);
  }

  dot(s, i) {
    const cx = this.x(s.steps[i]), cy = this.y(s.smooth[i]);
    return svg("circle", { class: `point ${s.color}`, r: 4, cx, cy });
  }

  // The values at a step, or the newest, next to the title; the step under the line that points to it.
  point(step) {
    if (!this.shown?.length) return;
    this.cursor.replaceChildren();
    this.readout.replaceChildren();
    for (const s of this.shown) {
      let i = s.steps.length - 1;
      while (step !== null && i > 0 && Math.abs(s.steps[i - 1] - step) <= Math.abs(s.steps[i] - step)) --i;
      const word = element("span");
      word.append(element("i", s.color, s.label), element("b", "", value(s.smooth[i])));
      this.readout.append(this.readout.hasChildNodes() ? " \u2002 " : "", word);
      if (step === null) continue;
      if (s === this.shown[0]) this.cursor.append(...this.pointer(s.steps[i]));
      this.cursor.append(this.dot(s, i));
    }
  }
  pointer(step) {
    const x = this.x(step), bottom = this.height - kMargin.bottom;
    const inside = Math.min(Math.max(x, kMargin.left), this.width - kMargin.left);
    return [
      svg("line", { class: "cursor", x1: x, x2: x, y1: kMargin.top, y2: bottom }),
      svg("text", { class: "at", x: inside, y: bottom + 17 }, `step ${count(step)}`),
    ];
  }
}

let charts = null, pointed = null;

function point(step) {
  pointed = step;
  for (const chart of charts) chart.point(step);
}

function drawCharts() {
  if (!charts) {
    charts = kCharts.map((about) => new Chart(about));
    $("charts").append(...charts.map((c) => c.box));
  }
  for (const chart of charts) chart.draw();
}
