// The table of runs: it sorts, filters, and draws only the rows that are in sight.
class RunsTable {
  #runs; #filters; #open; #table; #shown; #rows = []; #isReady = false;

  constructor(element, runs, filters, open) {
    this.#runs = runs;
    this.#filters = filters;
    this.#open = open;
    this.#shown = ["run_id", ...runs.data.shown];
    this.#rows = this.#made();
    this.#table = new tabulator.Tabulator(element, {
      data: this.#rows, columns: this.#shown.map((name) => this.#column(name)), index: "run_id",
      nestedFieldSeparator: false, layout: "fitData", height: this.#height, placeholder: "No run passes all filters.",
      columnHeaderVertAlign: "bottom", headerFilterLiveFilterDelay: 150, columnDefaults: { minWidth: 72, maxInitialWidth: 340 },
    });
    this.#table.on("tableBuilt", () => {
      this.#isReady = true;
      this.#table.setFilter((row) => this.#filters.keeps(row.place, "table"));
      performance.mark("table");
    });
    this.#table.on("dataFiltered", () => this.#tell());
    this.#table.on("rowClick", (event, row) => {
      if (!event.target.closest("button")) this.#open(row.getData().place);
    });
    this.#offerColumns();
  }

  // Shows the runs that the other views keep.
  refresh() { if (this.#isReady) this.#table.refreshFilter(); }

  // Shows newer runs; order, filters and the place in the table stay. Returns when it is done.
  async replace(runs) {
    this.#runs = runs;
    for (const name of runs.data.shown) if (!this.#shown.includes(name)) await this.#show(name);
    this.#rows = this.#made();
    this.#table.setHeight(this.#height);
    await this.#table.replaceData(this.#rows);
    this.#offerColumns();
  }

  clear() { this.#table.clearHeaderFilter(); }

  // The columns and the runs as they stand there, for paper.
  printed() {
    const runs = this.#table.getRows("active").map((row) => row.getData().place);
    return madeTable(`Runs: ${runs.length.toLocaleString("en")}`, this.#shown.map((name) => this.#runs.title(name)),
      runs.map((run) => this.#shown.map((name) => this.#runs.text(name, run))));
  }

  // Of all rows, at most 30 rem. It stays when rows are filtered away: else all below would move under the pointer.
  get #height() { return `min(30rem, ${6 + 2.1 * Math.max(this.#runs.count, 2)}rem)`; }

  #made() {
    return Array.from({ length: this.#runs.count }, (_, place) => {
      const row = { place };
      for (const name of this.#shown) row[name] = this.#runs.value(name, place);
      return row;
    });
  }

  #column(name) {
    const { metric } = this.#runs.data;
    const [title, isNumber] = [this.#runs.title(name), this.#runs.isNumber(name)];
    const falls = name === metric.name && metric.direction === "maximize";
    return {
      title, field: name, hozAlign: isNumber ? "right" : "left",
      titleFormatter: () => made("button", title, { type: "button", title: name }),
      formatter: (cell) => this.#cell(name, cell.getData().place),
      sorter: isNumber ? "number" : "alphanum", sorterParams: { alignEmptyValues: "bottom" },
      headerSortStartingDir: falls ? "desc" : "asc", headerFilter: "input",
      headerFilterParams: { elementAttributes: { "aria-label": `filter ${title}`, spellcheck: "false" } },
      headerFilterFunc: (text, value) => (condition(text, isNumber) ?? (() => true))(value),
    };
  }

  #cell(name, run) {
    if (name !== "run_id") return document.createTextNode(this.#runs.text(name, run));
    const button = made("button", this.#runs.id(run).slice(0, 8), { type: "button", "aria-haspopup": "dialog" });
    button.addEventListener("click", () => this.#open(run));
    return button;
  }

  // Tells the other views what the columns' filters keep.
  #tell() {
    const written = this.#table.getHeaderFilters().map(({ field, value }) => [field, value]);
    const tests = written.map(([field, value]) => [field, condition(value, this.#runs.isNumber(field))]);
    for (const input of this.#table.element.querySelectorAll(".tabulator-header-filter input")) {
      const field = input.closest(".tabulator-col").getAttribute("tabulator-field");
      if (tests.some(([name, test]) => name === field && test === null)) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
    const known = tests.filter(([, test]) => test !== null);
    this.#filters.set("table", known.length === 0 ? null
      : (run) => known.every(([field, test]) => test(this.#runs.value(field, run))), JSON.stringify(written));
  }

  // Offers all columns, the options and metrics that differ first.
  #offerColumns() {
    const fieldset = document.querySelector("#columns fieldset");
    const kinds = { option: "Options", metric: "Metrics", fact: "Facts" };
    const lists = Object.entries(kinds).map(([kind, title]) => {
      const columns = [...this.#runs.columns.values()].filter((column) => column.kind === kind);
      columns.sort((a, b) => ("value" in a) - ("value" in b) || a.name.localeCompare(b.name));
      return made("div", [made("strong", title), ...columns.map((column) => this.#box(column.name))], { role: "group", "aria-label": title });
    });
    fieldset.replaceChildren(fieldset.querySelector("legend"), ...lists);
  }

  #box(name) {
    const box = made("input", [], { type: "checkbox" });
    box.checked = this.#shown.includes(name);
    box.disabled = name === "run_id";
    box.addEventListener("change", () => box.checked ? this.#show(name) : this.#hide(name));
    return made("label", [box, ` ${this.#runs.title(name)}`]);
  }

  #show(name) {
    this.#shown.push(name);
    for (const row of this.#rows) row[name] = this.#runs.value(name, row.place);
    return this.#table.addColumn(this.#column(name));
  }

  #hide(name) {
    this.#shown = this.#shown.filter((other) => other !== name);
    return this.#table.deleteColumn(name);
  }
}
