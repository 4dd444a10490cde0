// A treemap of kinds, their files and the mappings of a file, with zoom.

const MAX_TILES = 300;
const MAX_INNER = 60;
const LABEL_HEIGHT = 19;
const METRICS = ["rss", "pss", "uss", "size", "dirty", "swap"];

/**
 * Return one rectangle per value, by the squarified layout: rows along the shorter side whose
 * rectangles are as square as possible. Values must be above 0, the largest first.
 */
function squarify(values, x, y, width, height) {
  const rectangles = [];
  let rest = values.reduce((sum, value) => sum + value, 0);
  let first = 0;
  while (first < values.length) {
    const side = Math.min(width, height);
    const area = (width * height) / rest;
    let last = first;
    let sum = 0;
    let worst = Infinity;
    while (last < values.length) {
      const next = sum + values[last];
      const thickness = (next * area) / side;
      const largest = (values[first] * area) / thickness;
      const smallest = (values[last] * area) / thickness;
      const ratio = Math.max(largest / thickness, thickness / smallest);
      if (ratio > worst) break;
      worst = ratio;
      sum = next;
      last += 1;
    }
    const thickness = last === values.length ? Math.max(width, height) : (sum * area) / side;
    let offset = 0;
    for (; first < last; first += 1) {
      const length = (values[first] / sum) * side;
      rectangles.push(
        width >= height
          ? { x, y: y + offset, width: thickness, height: length }
          : { x: x + offset, y, width: length, height: thickness },
      );
      offset += length;
    }
    rest -= sum;
    if (width >= height) {
      x += thickness;
      width -= thickness;
    } else {
      y += thickness;
      height -= thickness;
    }
    if (rest <= 0) break;
  }
  return rectangles;
}

class Treemap {
  constructor(section, table, groups, rowTable) {
    this.table = table;
    this.groups = groups;
    this.rowTable = rowTable;
    this.path = [];
    this.metrics = METRICS.map((name) => table.byName[name]).filter(
      (column) => column && column.values.some((kb) => kb > 0),
    );
    const view = section.querySelector(".view");
    if (!this.metrics.length) {
      view.append(make("p", { class: "empty", text: "No mapping has a size." }));
      return;
    }
    this.build(view);
    this.choose(this.metrics[0]);
    new ResizeObserver(() => this.draw()).observe(this.map);
  }

  build(view) {
    const options = this.metrics.map((column) => make("option", { value: column.name, text: column.heading }));
    const select = make("select", { id: "metric", onchange: () => this.choose(this.table.byName[select.value]) }, ...options);
    this.crumbs = make("nav", { class: "crumbs", "aria-label": "Zoom" });
    const label = make("label", { for: "metric", text: "Area" });
    this.map = make("div", { class: "map", role: "group", "aria-label": "Treemap" });
    this.map.addEventListener("pointermove", (event) => {
      const tile = event.target.closest("[data-tip]");
      showTip(tile ? tile.dataset.tip : "", event);
    });
    this.map.addEventListener("pointerleave", () => showTip(""));
    this.map.addEventListener("keydown", (event) => this.press(event));
    this.note = make("p", { class: "hint", role: "status" });
    const used = new Set(this.table.byName.kind.texts);
    const swatches = this.groups
      .map((group, number) => ({ group, number }))
      .filter(({ group }) => group.kinds.some((kind) => used.has(kind)))
      .map(({ group, number }) =>
        make("span", {}, make("span", { class: `swatch group-${number}` }), group.name));
    view.append(
      make("div", { class: "toolbar" }, label, select, this.crumbs),
      this.map,
      make("div", { class: "legend" }, ...swatches),
      this.note,
    );
  }

  /** Sum a value by kind, file and mapping. */
  choose(column) {
    this.metric = column;
    const { kind, pathname, address } = this.table.byName;
    const root = { name: "All mappings", value: 0, children: new Map() };
    const leaves = [];
    let left = 0;
    for (let row = 0; row < this.table.count; row += 1) {
      const value = column.values[row];
      if (!(value > 0)) {
        left += 1;
        continue;
      }
      root.value += value;
      let node = root;
      for (const text of [kind, pathname]) {
        const name = text.cell(row);
        if (!node.children.has(name)) node.children.set(name, { name, value: 0, kind: kind.cell(row), children: new Map() });
        node = node.children.get(name);
        node.value += value;
      }
      node.children.set(row, { name: "", row, value, kind: kind.cell(row) });
      leaves.push(row);
    }
    const finish = (node) => {
      if (!node.children) return;
      node.children = [...node.children.values()].sort((a, b) => b.value - a.value);
      node.children.forEach(finish);
    };
    finish(root);
    this.root = root;
    this.addressOf = (node) => address.cell(node.row);
    const text = left ? `${plural(left, "mappings")} with ${column.heading} 0 or not reported are not drawn.` : "";
    this.note.textContent = text;
    const names = this.path.map((node) => node.name);
    this.path = [];
    for (const name of names) {
      const child = this.node.children.find((each) => each.name === name && each.children);
      if (!child) break;
      this.path.push(child);
    }
    this.draw();
  }

  get node() {
    return this.path.length ? this.path[this.path.length - 1] : this.root;
  }

  draw() {
    if (!this.root) return;
    showTip("");
    this.drawCrumbs();
    const { clientWidth: width, clientHeight: height } = this.map;
    if (!width || !height) return;
    this.map.replaceChildren(...this.tiles(this.node, width, height, 0));
  }

  drawCrumbs() {
    const parts = [];
    [this.root, ...this.path].forEach((node, depth) => {
      if (depth) parts.push(make("span", { "aria-hidden": "true", text: "\u203a" }));
      const text = `${node.name} ${formatKb(node.value)}`;
      parts.push(
        depth === this.path.length
          ? make("span", { "aria-current": "location", text, title: exactKb(node.value) })
          : make("button", { type: "button", text, title: exactKb(node.value), onclick: () => this.zoomTo(depth) }),
      );
    });
    this.crumbs.replaceChildren(...parts);
  }

  /** Return the elements of the children of a node; those too small to see are one. */
  tiles(node, width, height, depth) {
    const most = depth ? MAX_INNER : MAX_TILES;
    let shown = node.children.slice(0, most);
    if (depth) shown = shown.filter((child) => (child.value / node.value) * width * height > 12);
    const values = shown.map((child) => child.value);
    const restValue = node.value - values.reduce((sum, value) => sum + value, 0);
    const restCount = node.children.length - shown.length;
    if (!depth && restCount) values.push(restValue);
    if (!values.length) return [];
    // Inside of a tile the children that are not shown keep their area, which stays empty.
    const scale = depth ? (node.value - restValue) / node.value : 1;
    const boxes = squarify(values, 0, 0, width, height * scale);
    return boxes.map((box, number) => {
      const child = shown[number];
      const element = child ? this.tile(node, child, box, depth) : this.restTile(node, restCount, restValue);
      element.style.left = `${(100 * box.x) / width}%`;
      element.style.top = `${(100 * box.y) / height}%`;
      element.style.width = `${(100 * box.width) / width}%`;
      element.style.height = `${(100 * box.height) / height}%`;
      return element;
    });
  }

  label(node) {
    return node.children ? node.name : this.addressOf(node);
  }

  describe(parent, node) {
    const share = ((100 * node.value) / this.root.value).toFixed(1);
    const name = node.children ? node.name : `${this.addressOf(node)} ${parent.name}`;
    const count = node.children && node.kind === node.name ? "" : `\n${node.kind}`;
    return `${name}${count}\n${this.metric.heading} ${formatKb(node.value)} (${exactKb(node.value)}), ${share} % of all`;
  }

  tile(parent, node, box, depth) {
    const tip = this.describe(parent, node);
    const group = this.groups.findIndex((each) => each.kinds.includes(node.kind));
    const element = make(depth ? "span" : "button", { class: `tile group-${group}`, "data-tip": tip });
    if (depth) {
      if (box.width > 70 && box.height > 18) {
        const name = this.label(node);
        const end = name.replace(/ \(deleted\)$/, "").split("/").pop() || name;
        element.append(make("span", { class: "label", text: end }));
      }
      return element;
    }
    element.type = "button";
    element.setAttribute("aria-label", tip.replaceAll("\n", ", "));
    element.addEventListener("click", () => this.open(node));
    const isLabelled = box.width > 34 && box.height > 15;
    if (node.children && box.width > 24 && box.height > 44) {
      const inner = make("span", { class: "tile" });
      inner.style.inset = `${LABEL_HEIGHT}px 0 0 0`;
      inner.append(...this.tiles(node, box.width - 2, box.height - LABEL_HEIGHT - 2, depth + 1));
      element.append(inner);
    }
    if (isLabelled) {
      const size = formatKb(node.value);
      element.append(make("span", { class: "label" }, make("b", { text: this.label(node) }), ` ${size}`));
    }
    return element;
  }

  restTile(node, count, value) {
    const noun = node === this.root ? "kinds" : this.path.length === 1 ? "files" : "mappings";
    const text = `${WHOLE.format(count)} smaller ${noun}: ${formatKb(value)}`;
    const group = this.groups.findIndex((each) => each.kinds.includes(node.kind));
    const tip = `${text}\nSelect to list all in the table`;
    const properties = { class: `tile rest group-${group}`, "data-tip": tip, "aria-label": tip, type: "button" };
    return make("button", { ...properties, onclick: () => this.list() }, make("span", { class: "label", text }));
  }

  /** List the mappings of the current node in the table. */
  list() {
    const names = this.path.map((node) => node.name);
    this.rowTable.find(names[names.length - 1] || "");
  }

  open(node) {
    if (!node.children) {
      this.rowTable.show(node.row);
      return;
    }
    this.path.push(node);
    this.draw();
    this.focus(0);
  }

  zoomTo(depth) {
    const left = this.path[depth];
    this.path.length = depth;
    this.draw();
    this.focus(Math.max(this.node.children.indexOf(left), 0));
  }

  focus(number) {
    const tiles = this.map.querySelectorAll(":scope > button");
    if (tiles.length) tiles[Math.min(number, tiles.length - 1)].focus({ preventScroll: true });
  }

  press(event) {
    const tiles = [...this.map.querySelectorAll(":scope > button")];
    const at = tiles.indexOf(document.activeElement);
    if (event.key === "Escape" || event.key === "Backspace") {
      if (!this.path.length) return;
      event.preventDefault();
      this.zoomTo(this.path.length - 1);
      return;
    }
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const to = event.key === "Home" ? 0 : event.key === "End" ? tiles.length - 1 : at + (steps[event.key] || NaN);
    if (!tiles[to]) return;
    event.preventDefault();
    tiles[to].focus({ preventScroll: true });
  }
}
