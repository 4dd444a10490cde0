// A map of the address space: mappings in the order of their addresses, as bars on lines.

const GAP = 1n << 30n;
const MAX_LINES = 36;
const MAX_REGIONS = 24;
const MIN_LINE = 9;
const GUTTER = 104;

class AddressMap {
  constructor(section, table, groups, rowTable) {
    this.table = table;
    this.rowTable = rowTable;
    const groupOf = table.byName.kind.texts.map((kind) => groups.find((group) => group.kinds.includes(kind)));
    this.colourOf = (row) => groupOf[table.byName.kind.values[row]].colour;
    this.order = [...table.byName.address.starts.keys()].sort(table.byName.address.compare);
    this.current = -1;
    this.canvas = make("canvas", {
      tabindex: "0",
      role: "application",
      "aria-label": "Address map: the arrow keys move between mappings, Enter shows one in the table",
    });
    this.readout = make("p", { class: "readout", role: "status", text: "Point at a mapping, or use the arrow keys." });
    section.querySelector(".view").append(this.canvas, this.readout);
    this.canvas.addEventListener("pointermove", (event) => {
      const box = this.boxAt(event);
      showTip(box ? this.describe(box.row).join("\n") : "", event);
    });
    this.canvas.addEventListener("pointerleave", () => showTip(""));
    this.canvas.addEventListener("click", (event) => {
      const box = this.boxAt(event);
      if (box) this.rowTable.show(box.row);
    });
    this.canvas.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(() => this.layout()).observe(this.canvas);
  }

  /** Return the mappings in parts that are more than 1 GiB apart; one part if there are many. */
  regions() {
    const { starts, ends } = this.table.byName.address;
    const regions = [];
    let end = null;
    for (const row of this.order) {
      if (end === null || starts[row] - end > GAP) regions.push([]);
      regions[regions.length - 1].push(row);
      if (end === null || ends[row] > end) end = ends[row];
    }
    return regions.length > MAX_REGIONS ? [regions.flat()] : regions;
  }

  /** Place every mapping on a line; a mapping is as wide as the logarithm of its size. */
  layout() {
    const width = this.canvas.clientWidth;
    if (!width || width === this.width) return;
    this.width = width;
    const room = width - GUTTER;
    const sizes = this.table.byName.size.values;
    const weights = sizes.map((kb) => 1 + Math.log2(1 + kb / 4));
    const regions = this.regions();
    const totals = regions.map((rows) => rows.reduce((sum, row) => sum + weights[row], 0));
    let scale = 3;
    const lines = (s) => totals.reduce((sum, total) => sum + Math.ceil((total * s) / room), 0);
    for (let round = 0; round < 60 && lines(scale) > Math.max(MAX_LINES, regions.length); round += 1) scale *= 0.85;
    this.boxes = [];
    let line = 0;
    regions.forEach((rows) => {
      let x = 0;
      for (const row of rows) {
        const boxWidth = Math.min(weights[row] * scale, room);
        if (x + boxWidth > room + 0.5) {
          line += 1;
          x = 0;
        }
        this.boxes.push({ row, line, x: GUTTER + x, width: boxWidth });
        x += boxWidth;
      }
      line += 1;
    });
    this.lineHeight = Math.max(MIN_LINE, Math.min(22, Math.floor(560 / line)));
    this.canvas.style.height = `${line * this.lineHeight}px`;
    this.draw();
  }

  draw() {
    if (!this.boxes) return;
    const ratio = window.devicePixelRatio || 1;
    const last = this.boxes[this.boxes.length - 1];
    const height = (last.line + 1) * this.lineHeight;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const foreground = style.getPropertyValue("--foreground").trim();
    const muted = style.getPropertyValue("--muted").trim();
    const sizes = this.table.byName.size.values;
    const rss = this.table.byName.rss && this.table.byName.rss.values;
    const { address } = this.table.byName;
    const barHeight = this.lineHeight - 3;
    context.font = `11px ${style.getPropertyValue("--mono") || "monospace"}`;
    context.textBaseline = "middle";
    let line = -1;
    for (const box of this.boxes) {
      const top = box.line * this.lineHeight + 1;
      if (box.line !== line) {
        line = box.line;
        context.fillStyle = muted;
        if (this.lineHeight >= 12 || line % 2 === 0) context.fillText(address.cell(box.row), 0, top + barHeight / 2);
      }
      const inside = box.width > 2.5 ? box.width - 1 : box.width;
      const colour = this.colourOf(box.row);
      context.fillStyle = colour === "foreground" ? foreground : colour;
      context.globalAlpha = 0.3;
      context.fillRect(box.x, top, inside, barHeight);
      context.globalAlpha = 1;
      const resident = rss ? rss[box.row] : sizes[box.row];
      const share = sizes[box.row] ? Math.min((resident || 0) / sizes[box.row], 1) : 0;
      if (share) {
        const filled = Math.max(share * barHeight, 1);
        context.fillRect(box.x, top + barHeight - filled, inside, filled);
      }
    }
    if (this.current >= 0) {
      const box = this.boxes[this.current];
      context.strokeStyle = foreground;
      context.lineWidth = 2;
      context.strokeRect(box.x - 1, box.line * this.lineHeight, Math.max(box.width, 3) + 1, this.lineHeight - 1);
    }
  }

  boxAt(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const x = event.clientX - bounds.left;
    const line = Math.floor((event.clientY - bounds.top) / this.lineHeight);
    return (this.boxes || []).find((box) => box.line === line && box.x <= x && x < box.x + box.width);
  }

  describe(row) {
    const { address, perms, kind, pathname, size, rss } = this.table.byName;
    const sizes = [size, rss].filter(Boolean).map((column) => `${column.heading} ${column.cell(row)} (${column.exact(row)})`);
    return [`${address.exact(row)} ${perms.cell(row)}`, pathname.cell(row), kind.cell(row), sizes.join(", ")];
  }

  press(event) {
    if (event.key === "Enter" && this.current >= 0) {
      this.rowTable.show(this.boxes[this.current].row);
      return;
    }
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || !this.boxes) return;
    event.preventDefault();
    const to = this.current < 0 ? 0 : this.current + steps[event.key];
    this.current = Math.min(Math.max(to, 0), this.boxes.length - 1);
    this.readout.textContent = this.describe(this.boxes[this.current].row).join("  \u00b7  ");
    this.draw();
  }
}
