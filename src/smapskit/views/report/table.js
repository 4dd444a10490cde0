// A table of all rows, sorted and filtered; only the rows in view are elements of the page.

const ROW_HEIGHT = 24;
const ROWS_BESIDE = 12;
const MAX_HEIGHT = 16e6; // Browsers limit the height of an element: Firefox to 17.9 million.

class RowTable {
  constructor(section, table) {
    this.table = table;
    this.shown = table.columns.filter((column) => column.shown);
    this.rows = Uint32Array.from({ length: table.count }, (_, row) => row);
    this.order = this.rows;
    this.texts = this.searchTexts();
    this.sorted = null;
    this.current = -1;
    this.build(section.querySelector(".view"));
    this.update();
  }

  /** Return what is searched of each row: its texts and its address, in lower case. */
  searchTexts() {
    const lower = this.shown
      .filter((column) => column.type === "text")
      .map((column) => ({ values: column.values, texts: column.texts.map((t) => t.toLowerCase()) }));
    const { address } = this.table.byName;
    return Array.from({ length: this.table.count }, (_, row) => {
      // Joined, and not added up: the first search would have to copy strings that were added up.
      const parts = address ? [address.exact(row)] : [];
      for (const { values, texts } of lower) parts.push(texts[values[row]]);
      return parts.join("\n");
    });
  }

  build(view) {
    const name = `search-${this.table.id}`;
    this.search = make("input", {
      type: "search",
      id: name,
      placeholder: this.table.byName.address ? "Name, kind, address, permissions" : "Filter",
      autocomplete: "off",
      spellcheck: "false",
      "aria-controls": `grid-${this.table.id}`,
      oninput: () => this.filter(),
    });
    this.count = make("span", { class: "count", role: "status" });
    const label = make("label", { for: name, text: "Search" });
    view.append(make("div", { class: "toolbar" }, label, this.search, this.count));
    this.heads = this.shown.map((column) => {
      const button = make("button", { type: "button", text: column.heading, onclick: () => this.sort(column) });
      return make("th", { scope: "col", "aria-sort": "none", class: `${column.isNumber ? "number" : "text"} ${column.name}` }, button);
    });
    this.body = make("tbody");
    const columns = this.shown.map((column) => make("col", { class: `${column.type} ${column.name}` }));
    const grid = make(
      "table",
      { id: `grid-${this.table.id}`, role: "grid", "aria-label": this.table.noun },
      make("colgroup", {}, ...columns),
      make("thead", {}, make("tr", {}, ...this.heads)),
      this.body,
    );
    this.grid = grid;
    this.scroller = make(
      "div",
      { class: "grid", tabindex: "0", onscroll: () => this.draw(), onkeydown: (event) => this.press(event) },
      grid,
    );
    this.body.addEventListener("click", (event) => {
      const line = event.target.closest("tr[data-at]");
      if (line) this.select(Number(line.dataset.at));
    });
    this.empty = make("p", { class: "empty", text: `No ${this.table.noun} match.`, hidden: "" });
    this.details = make("div", { class: "details", role: "region", "aria-live": "polite", hidden: "" });
    view.append(this.scroller, this.empty, this.details);
    new ResizeObserver(() => this.draw()).observe(this.scroller);
  }

  /** Keep the rows that contain every word; a hexadecimal number also finds its range. */
  filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const { address } = this.table.byName;
    const tests = words.map((word) => {
      const digits = /^(?:0x)?([0-9a-f]{4,16})$/.exec(word);
      if (!digits || !address) return (row) => this.texts[row].includes(word);
      const value = BigInt(`0x${digits[1]}`);
      const inside = (row) => address.starts[row] <= value && value < address.ends[row];
      return (row) => this.texts[row].includes(digits[1]) || this.texts[row].includes(word) || inside(row);
    });
    this.rows = words.length ? this.order.filter((row) => tests.every((test) => test(row))) : this.order;
    this.current = -1;
    this.scroller.scrollTop = 0;
    this.update();
  }

  sort(column) {
    const first = column.isNumber && column.type !== "range" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const direction = this.sorted === column && this.direction === first ? other : first;
    const sign = direction === "ascending" ? 1 : -1;
    const isMissing = column.isMissing || (() => false);
    this.order = Uint32Array.from({ length: this.table.count }, (_, row) => row);
    this.order.sort((a, b) => {
      const missing = isMissing(a) - isMissing(b);
      return missing || sign * column.compare(a, b) || a - b;
    });
    this.sorted = column;
    this.direction = direction;
    this.heads.forEach((head, number) => {
      head.setAttribute("aria-sort", this.shown[number] === column ? direction : "none");
    });
    this.filter();
  }

  /** Update what depends on the filter and the order. */
  update() {
    const { table } = this;
    const sums = this.shown
      .filter((column) => column.name === "rss" || column.name === "size")
      .map((column) => `${column.heading} ${this.sum(column)}`);
    const all = plural(table.count, table.noun);
    const part = this.rows.length === table.count ? all : `${WHOLE.format(this.rows.length)} of ${all}`;
    this.count.textContent = table.id === "samples" ? part : [part, ...sums].join(" \u00b7 ");
    this.grid.setAttribute("aria-rowcount", String(this.rows.length + 1));
    this.empty.hidden = this.rows.length > 0;
    this.scroller.hidden = this.rows.length === 0;
    this.drawn = null;
    this.draw();
  }

  sum(column) {
    let sum = null;
    for (const row of this.rows) if (column.values[row] !== null) sum += column.values[row];
    return column.type === "change" ? formatChange(sum) : formatKb(sum);
  }

  /** Return the height of all rows, and how far the rows move for each pixel of the scroll bar. */
  measure() {
    const all = this.rows.length * ROW_HEIGHT;
    const total = Math.min(all, MAX_HEIGHT);
    const height = (this.scroller.clientHeight || 480) - this.heads[0].offsetHeight;
    return { total, height, scale: total > height ? (all - height) / (total - height) : 1 };
  }

  /** Create the rows that are in view. */
  draw() {
    const { total, height, scale } = this.measure();
    const top = this.scroller.scrollTop;
    const at = Math.min(Math.floor((top * scale) / ROW_HEIGHT), this.rows.length);
    const first = Math.max(0, at - ROWS_BESIDE);
    const last = Math.min(this.rows.length, at + Math.ceil(height / ROW_HEIGHT) + ROWS_BESIDE);
    const before = Math.max(0, Math.round(first * ROW_HEIGHT - top * (scale - 1)));
    const key = `${first} ${last} ${before} ${this.current}`;
    if (this.drawn === key) return;
    this.drawn = key;
    const lines = [this.space(before)];
    for (let position = first; position < last; position += 1) lines.push(this.line(position));
    lines.push(this.space(Math.max(0, total - before - (last - first) * ROW_HEIGHT)));
    this.body.replaceChildren(...lines);
  }

  space(height) {
    const cell = make("td"); // only one: a cell over all columns would count those not displayed
    cell.style.height = `${height}px`;
    const line = make("tr", { class: "space", "aria-hidden": "true" }, cell);
    line.hidden = height === 0;
    return line;
  }

  line(position) {
    const row = this.rows[position];
    const cells = this.shown.map((column) => {
      const mono = column.type === "range" || column.name === "perms" ? " mono" : "";
      const title = column.exact(row);
      return make("td", { class: `${column.isNumber ? "number" : "text"} ${column.name}${mono}`, title, text: column.cell(row) });
    });
    const line = make("tr", { "data-at": String(position), "aria-rowindex": String(position + 2) }, ...cells);
    if (position === this.current) {
      line.className = "current";
      line.setAttribute("aria-selected", "true");
    }
    return line;
  }

  press(event) {
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW_HEIGHT) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || event.target !== this.scroller || !this.rows.length) return;
    event.preventDefault();
    const to = this.current < 0 ? 0 : this.current + steps[event.key];
    this.select(Math.min(Math.max(to, 0), this.rows.length - 1));
  }

  /** Make a row the current one, bring it into view and show its details. */
  select(position) {
    this.current = position;
    const { height, scale } = this.measure();
    const top = position * ROW_HEIGHT;
    const shown = this.scroller.scrollTop * scale;
    const bottom = top + ROW_HEIGHT - height;
    if (top < shown) this.scroller.scrollTop = top / scale;
    else if (bottom > shown) this.scroller.scrollTop = bottom / scale;
    this.draw();
    const row = this.rows[position];
    const entries = this.table.columns.map((column) => {
      const isWide = column.type === "text" && ["pathname", "known_by", "flags", "extra"].includes(column.name);
      const term = make("dt", { text: column.heading });
      return make("div", { class: isWide ? "wide" : "" }, term, make("dd", { text: column.exact(row) }));
    });
    const { address, pathname, group } = this.table.byName;
    const title = [address && address.exact(row), pathname && pathname.cell(row), group && group.cell(row)];
    const heading = make("h3", { text: title.filter(Boolean).join("  ") || "Details" });
    this.details.replaceChildren(heading, make("dl", {}, ...entries));
    this.details.hidden = false;
  }

  /** Search for a text and bring the table into view. */
  find(text) {
    this.search.value = text;
    this.filter();
    this.scroller.closest("section").scrollIntoView({ block: "start" });
    this.scroller.focus({ preventScroll: true });
  }

  /** Show a row of the whole table, without a filter. */
  show(row) {
    this.search.value = "";
    this.filter();
    this.select(this.rows.indexOf(row));
    this.scroller.closest("section").scrollIntoView({ block: "start" });
    this.scroller.focus({ preventScroll: true });
  }
}
