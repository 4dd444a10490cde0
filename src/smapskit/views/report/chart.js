// A chart of a recording over time: groups stacked on each other, or lines.

const CHART_HEIGHT = 360;
const TIME_UNITS = [["days", 86400], ["h", 3600], ["min", 60], ["s", 1]];
const DASHES = ["", "7 4", "9 3 2 3"];

/** Return a step of 1, 2 or 5 times a power of ten, so that there are at most `most` steps. */
function tickStep(range, most) {
  const rough = range / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
}

class Chart {
  constructor(section, chart) {
    this.chart = chart;
    this.current = -1;
    const view = section.querySelector(".view");
    if (!chart.seconds.length) {
      view.append(make("p", { class: "empty", text: "The recording has no samples." }));
      return;
    }
    this.holder = make("div", { tabindex: "0", role: "application", "aria-label": "Chart: the arrow keys move between samples" });
    this.values = make("div", { class: "values", role: "status" });
    const names = chart.layers.map((layer) => this.legendEntry(layer));
    view.append(this.holder, this.values, make("div", { class: "legend" }, ...names));
    this.holder.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(() => this.draw()).observe(this.holder);
  }

  legendEntry(layer) {
    const swatch = make("span", { class: "swatch" });
    swatch.style.setProperty("--colour", layer.colour === "foreground" ? "var(--foreground)" : layer.colour);
    return make("span", { class: "name" }, swatch, layer.name);
  }

  /** Return the sum of the layers in a sample; null where one is not reported. */
  total(sample) {
    let sum = 0;
    for (const layer of this.chart.layers) {
      if (layer.values[sample] === null) return null;
      sum += layer.values[sample];
    }
    return sum;
  }

  draw() {
    const width = this.holder.clientWidth;
    if (!width || width === this.width) return;
    this.width = width;
    const { seconds, layers, markers, limit, stacked } = this.chart;
    const left = 62;
    const right = 14;
    const top = markers.length ? 92 : 16;
    const bottom = 34;
    const height = CHART_HEIGHT + top;
    const last = Math.max(seconds[seconds.length - 1], ...markers.map(([at]) => at), 1e-3);
    let highest = limit || 0;
    seconds.forEach((_, sample) => {
      if (stacked) highest = Math.max(highest, this.total(sample) || 0);
      else for (const layer of layers) highest = Math.max(highest, layer.values[sample] || 0);
    });
    highest = highest * 1.05 || 1;
    const x = (second) => left + ((width - left - right) * second) / last;
    const y = (kb) => height - bottom - ((height - bottom - top) * kb) / highest;
    this.x = x;
    const svg = makeSvg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, width, height });
    this.axes(svg, { x, y, left, right, top, bottom, width, height, last, highest });
    if (stacked) this.stack(svg, x, y);
    else this.lines(svg, x, y);
    if (limit !== null) {
      svg.append(makeSvg("line", { class: "limit", x1: left, x2: width - right, y1: y(limit), y2: y(limit) }));
      svg.append(makeSvg("text", { class: "limit-text", x: width - right, y: y(limit) - 8, "text-anchor": "end" }, `limit ${formatKb(limit)}`));
    }
    this.markers(svg, x, top, height - bottom, width);
    this.cursor = makeSvg("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
    svg.append(this.cursor);
    svg.addEventListener("pointermove", (event) => {
      const at = ((event.clientX - svg.getBoundingClientRect().left) * width) / svg.getBoundingClientRect().width;
      this.select(this.nearest(at));
    });
    this.holder.replaceChildren(svg);
    this.select(this.current < 0 ? seconds.length - 1 : this.current);
  }

  axes(svg, { x, y, left, right, top, bottom, width, height, last, highest }) {
    const [unit, kb] = highest >= 10 * 2 ** 20 ? ["GiB", 2 ** 20] : ["MiB", 2 ** 10];
    const step = tickStep(highest / kb, 6);
    for (let value = 0; value * kb <= highest; value += step) {
      svg.append(makeSvg("line", { class: "axis", x1: left, x2: width - right, y1: y(value * kb), y2: y(value * kb) }));
      const text = `${Number(value.toPrecision(6)).toLocaleString("en-US")}`;
      svg.append(makeSvg("text", { x: left - 8, y: y(value * kb) + 4, "text-anchor": "end" }, text));
    }
    svg.append(makeSvg("text", { x: 0, y: top - 4 > 12 ? top - 4 : 12 }, unit));
    const [name, length] = TIME_UNITS.find(([, each]) => last >= 5 * each) || TIME_UNITS[3];
    const time = tickStep(last / length, width < 600 ? 4 : 10);
    for (let value = 0; value * length <= last; value += time) {
      const text = Number(value.toPrecision(6)).toLocaleString("en-US");
      svg.append(makeSvg("text", { x: x(value * length), y: height - bottom + 17, "text-anchor": "middle" }, text));
    }
    svg.append(makeSvg("text", { x: width - right, y: height - 3, "text-anchor": "end" }, `time (${name})`));
  }

  stack(svg, x, y) {
    const { seconds, layers } = this.chart;
    const base = new Array(seconds.length).fill(0);
    const known = seconds.map((_, sample) => this.total(sample) !== null);
    for (const layer of layers) {
      let path = "";
      let run = [];
      const close = () => {
        if (run.length) {
          const lower = run.map((sample) => `L${x(seconds[sample])} ${y(base[sample])}`).reverse();
          const upper = run.map((sample) => `L${x(seconds[sample])} ${y(base[sample] + layer.values[sample])}`);
          path += `M${upper.join("").slice(1)}${lower.join("")}Z`;
        }
        run = [];
      };
      seconds.forEach((_, sample) => {
        if (known[sample]) run.push(sample);
        else close();
      });
      close();
      const area = makeSvg("path", { class: "layer", d: path });
      area.style.fill = layer.colour === "foreground" ? "var(--foreground)" : layer.colour;
      svg.append(area);
      seconds.forEach((_, sample) => { if (known[sample]) base[sample] += layer.values[sample]; });
    }
    svg.append(makeSvg("path", { class: "total", d: this.path(base.map((kb, sample) => (known[sample] ? kb : null)), x, y) }));
  }

  lines(svg, x, y) {
    this.chart.layers.forEach((layer, number) => {
      const line = makeSvg("path", { class: "line", d: this.path(layer.values, x, y), "stroke-dasharray": DASHES[number % 3] });
      line.style.stroke = layer.colour === "foreground" ? "var(--foreground)" : layer.colour;
      svg.append(line);
    });
  }

  /** Return a path through values, interrupted where one is not reported. */
  path(values, x, y) {
    let path = "";
    let isNew = true;
    values.forEach((kb, sample) => {
      if (kb === null) isNew = true;
      else {
        path += `${isNew ? "M" : "L"}${x(this.chart.seconds[sample])} ${y(kb)}`;
        isNew = false;
      }
    });
    return path;
  }

  /** Draw a line for each marker; labels that would overlap are counted on the one before. */
  markers(svg, x, top, bottom, width) {
    const labels = [];
    for (const [at, text] of this.chart.markers) {
      const line = makeSvg("line", { class: "marker", x1: x(at), x2: x(at), y1: top, y2: bottom });
      line.append(makeSvg("title", {}, `${at} s: ${text}`));
      svg.append(line);
      const before = labels[labels.length - 1];
      if (before && x(at) - before.at < 16) before.others += 1;
      else labels.push({ at: x(at), text, others: 0 });
    }
    for (const { at, text, others } of labels) {
      const short = text.length > 20 ? `${text.slice(0, 19)}\u2026` : text;
      const label = others ? `${short} (and ${others} more)` : short;
      const isLate = at > width - 90;
      const attributes = {
        class: "marker-text",
        x: at,
        y: top - 5,
        "text-anchor": isLate ? "end" : "start",
        transform: isLate ? `rotate(38 ${at} ${top - 5})` : `rotate(-38 ${at} ${top - 5})`,
      };
      svg.append(makeSvg("text", attributes, label));
    }
  }

  nearest(at) {
    let best = 0;
    this.chart.seconds.forEach((second, sample) => {
      if (Math.abs(this.x(second) - at) < Math.abs(this.x(this.chart.seconds[best]) - at)) best = sample;
    });
    return best;
  }

  select(sample) {
    this.current = sample;
    const { seconds, layers, stacked } = this.chart;
    this.cursor.setAttribute("x1", this.x(seconds[sample]));
    this.cursor.setAttribute("x2", this.x(seconds[sample]));
    this.cursor.setAttribute("visibility", "visible");
    const parts = layers.map((layer) => [layer.name, layer.values[sample]]);
    if (stacked) parts.unshift(["total", this.total(sample)]);
    this.values.replaceChildren(
      make("b", { text: `${seconds[sample].toLocaleString("en-US")} s` }),
      ...parts.map(([name, kb]) => make("span", { text: `${name} ${formatKb(kb)}`, title: exactKb(kb) })),
    );
  }

  press(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.select(Math.min(Math.max(this.current + steps[event.key], 0), this.chart.seconds.length - 1));
  }
}
