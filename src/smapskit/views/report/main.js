// Start the views of the page, the theme, and what concerns the page as a whole.

function start() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  root.classList.add("scripted");
  for (const part of document.querySelectorAll(".by-script, .tools")) part.hidden = false;
  const rowTables = {};
  const views = [];
  for (const encoded of data.tables) {
    const table = decodeTable(encoded);
    const rowTable = new RowTable(document.getElementById(table.id), table);
    rowTables[table.id] = rowTable;
    if (table.id === "mappings" && table.count) {
      views.push(new Treemap(document.getElementById("treemap"), table, data.groups, rowTable));
      views.push(new AddressMap(document.getElementById("addresses"), table, data.groups, rowTable));
    }
  }
  if (data.chart) new Chart(document.getElementById("chart"), data.chart);
  startTheme(views);
  startLinks(rowTables);
  startPrinting();
  addEventListener("keydown", (event) => {
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    const table = Object.values(rowTables)[0];
    if (event.key !== "/" || isTyping || !table || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    table.search.scrollIntoView({ block: "center" });
    table.search.focus();
  });
}

/** Let the button switch between light and dark; the system decides at first. */
function startTheme(views) {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const update = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${isDark() ? "light" : "dark"} theme`);
    for (const view of views) view.draw();
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    update();
  });
  system.addEventListener("change", update);
  update();
}

/** Let the addresses in findings search the table. */
function startLinks(rowTables) {
  const table = rowTables.mappings || rowTables.changes;
  for (const link of document.querySelectorAll("a[data-find]")) {
    link.addEventListener("click", (event) => {
      if (!table) return;
      event.preventDefault();
      table.find(link.dataset.find);
    });
  }
}

/** Open all details for print. */
function startPrinting() {
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
  });
}

start();
