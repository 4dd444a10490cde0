// Decode the data of the page, format values, and create elements.
//
// Text reaches the page through textContent and attributes only, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const UNKNOWN = "-";
const ANONYMOUS = "(anonymous)";

/** Create an HTML element with properties and children. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Create an SVG element with attributes. */
function makeSvg(tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

const KB_PER_UNIT = [["TiB", 2 ** 30], ["GiB", 2 ** 20], ["MiB", 2 ** 10]];
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const ONE_DIGIT = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const TWO_DIGITS = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** Return a size for a person, as `smapskit explain` prints it; null: not reported. */
function formatKb(kb) {
  if (kb === null) return UNKNOWN;
  for (const [unit, size] of KB_PER_UNIT) {
    if (kb >= size) {
      const value = kb / size;
      return `${(value < 10 ? TWO_DIGITS : ONE_DIGIT).format(value)} ${unit}`;
    }
  }
  return `${WHOLE.format(kb)} kB`;
}

/** Return the exact size, for tooltips and details. */
function exactKb(kb) {
  return kb === null ? "not reported" : `${WHOLE.format(kb)} kB`;
}

/** Return a change of a size with its sign. */
function formatChange(kb, format = formatKb) {
  if (kb === null) return format(null);
  return `${kb > 0 ? "+" : kb < 0 ? "\u2212" : ""}${format(Math.abs(kb))}`;
}

function plural(count, noun) {
  return `${WHOLE.format(count)} ${count === 1 ? noun.replace(/s$/, "") : noun}`;
}

/** Return `count` values of a column that has a list, or one value for all rows. */
function expand(values, count) {
  return Array.isArray(values) ? values : new Array(count).fill(values);
}

/** Return a signed hexadecimal number as a BigInt: addresses exceed the exact numbers. */
function parseHex(text) {
  return text.startsWith("-") ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`);
}

/** A column: `cell(row)` is the text in the table, `exact(row)` that of tooltip and details. */
function decodeColumn(column, count) {
  const decoded = { ...column, isNumber: column.type !== "text" };
  if (column.type === "range") {
    const starts = [];
    const ends = [];
    let last = 0n;
    const lengths = column.lengths.split(" ");
    column.gaps.split(" ").forEach((gap, row) => {
      if (!count) return;
      starts.push(last + parseHex(gap));
      last = starts[row] + parseHex(lengths[row]);
      ends.push(last);
    });
    decoded.starts = starts;
    decoded.ends = ends;
    decoded.cell = (row) => starts[row].toString(16);
    decoded.exact = (row) => `${starts[row].toString(16)}-${ends[row].toString(16)}`;
    decoded.compare = (a, b) => (starts[a] < starts[b] ? -1 : starts[a] > starts[b] ? 1 : 0);
    return decoded;
  }
  const values = expand(column.values, count);
  decoded.values = values;
  if (column.type === "text") {
    const sorted = column.texts.map((text, code) => [text, code]);
    sorted.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    const rank = new Float64Array(column.texts.length);
    sorted.forEach(([, code], position) => { rank[code] = position; });
    decoded.cell = decoded.exact = (row) => column.texts[values[row]];
    decoded.compare = (a, b) => rank[values[a]] - rank[values[b]];
    return decoded;
  }
  if (column.type === "kb") {
    decoded.cell = (row) => formatKb(values[row]);
    decoded.exact = (row) => exactKb(values[row]);
  } else if (column.type === "change") {
    decoded.cell = (row) => formatChange(values[row]);
    decoded.exact = (row) => formatChange(values[row], exactKb);
  } else {
    decoded.cell = decoded.exact = (row) => values[row].toLocaleString("en-US");
  }
  // What is not reported is neither small nor large: it comes last in both directions.
  decoded.compare = (a, b) => values[a] - values[b];
  decoded.isMissing = (row) => values[row] === null;
  return decoded;
}

/** A table of the report with its columns by name. */
function decodeTable(table) {
  const columns = table.columns.map((column) => decodeColumn(column, table.count));
  const byName = Object.fromEntries(columns.map((column) => [column.name, column]));
  return { ...table, columns, byName };
}

/** Return the colour of the page for text, or a colour as it is. */
function themed(colour) {
  if (colour !== "foreground") return colour;
  return getComputedStyle(document.documentElement).getPropertyValue("--foreground").trim();
}

/** Show a text beside the pointer; "" hides it. */
function showTip(text, event) {
  const tip = document.getElementById("tip");
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, innerWidth - width - 8);
  const below = event.clientY + 18;
  tip.style.left = `${Math.max(left, 4)}px`;
  tip.style.top = `${below + height > innerHeight ? event.clientY - height - 12 : below}px`;
}
