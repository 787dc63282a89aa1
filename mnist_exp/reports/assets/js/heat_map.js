// The mean of a metric for each pair of values of two options.
class HeatMap {
  #runs; #filters; #chart; #x; #y; #of; #marked = null; #table;
  static mostValues = 12;

  constructor(element, runs, filters) {
    this.#runs = runs;
    this.#filters = filters;
    this.#table = document.getElementById("heat-table");
    [this.#x, this.#y, this.#of] = ["heat-x", "heat-y", "heat-of"].map((id) => document.getElementById(id));
    for (const select of [this.#x, this.#y, this.#of]) select.addEventListener("change", () => { this.clear(); this.#chart.changed(); });
    this.#chart = new Chart(element, () => this.#option(), (chart) => {
      chart.on("click", ({ value }) => this.#mark(`${value[0]} ${value[1]}`));
    });
  }

  show(runs) {
    this.#runs = runs;
    const options = runs.choices.filter((name) => runs.columns.get(name).kind !== "metric" && runs.levels(name).length > 1);
    document.getElementById("heat-view").hidden = options.length < 2;
    offer(this.#x, options, (name) => runs.title(name), options[1]);
    offer(this.#y, options, (name) => runs.title(name), options[0]);
    offer(this.#of, runs.choices.filter((name) => runs.columns.get(name).kind === "metric"), (name) => runs.title(name), runs.data.metric.name);
    this.#chart.changed();
  }

  refresh() { this.#chart.changed(); }

  clear() {
    this.#marked = null;
    this.#filters.set("heat map", null);
  }

  #mark(cell) {
    if (this.#marked === cell) return this.clear();
    this.#marked = cell;
    const [across, up] = [this.#steps(this.#x.value), this.#steps(this.#y.value)];
    const [x, y] = [this.#x.value, this.#y.value];
    return this.#filters.set("heat map", (run) => `${across.place(this.#runs.value(x, run))} ${up.place(this.#runs.value(y, run))}` === cell, [x, y, cell].join(" "));
  }

  #option() {
    const { text, ground } = theme.colours;
    const [x, y, of] = [this.#x.value, this.#y.value, this.#of.value];
    const [across, up] = [this.#steps(x), this.#steps(y)];
    const cells = new Map();
    for (const run of this.#filters.kept(this.#runs.count, "heat map")) {
      const [place, value] = [`${across.place(this.#runs.value(x, run))} ${up.place(this.#runs.value(y, run))}`, this.#runs.value(of, run)];
      if (value !== null && !place.includes("-1")) cells.set(place, [...(cells.get(place) ?? []), value]);
    }
    const means = [...cells].map(([place, values]) => [...place.split(" ").map(Number), mean(values), values.length]);
    const colour = scaled(means.map(([, , value]) => value));
    const isFew = across.names.length * up.names.length <= 60;
    this.#tell(across.names, up.names, cells);
    document.getElementById("heat-key").replaceChildren(...rampKey(means.map(([, , value]) => value), (value) => shownMetric(value, of)));
    return {
      height: Math.max(260, 90 + 30 * up.names.length),
      describe: `Mean ${this.#runs.title(of)} for each pair of ${this.#runs.title(x)} and ${this.#runs.title(y)}: ${means.length} cells with runs.`, elsewhere: "The same as a table is below.",
      grid: { left: 84, right: 18, top: 14, bottom: 58 },
      xAxis: { ...axisLook(this.#runs.title(x)), nameGap: 34, type: "category", data: across.names, splitArea: { show: false } },
      yAxis: { ...axisLook(this.#runs.title(y)), nameGap: 66, type: "category", data: up.names },
      series: [{
        type: "heatmap",
        label: { show: isFew, fontSize: 10, formatter: ({ value }) => shownMetric(value[2], of) },
        emphasis: { itemStyle: { borderColor: text, borderWidth: 2 } },
        data: means.map((value) => {
          const place = colour(value[2]);
          return { value, itemStyle: { color: mixed(theme.ramp, place), borderColor: ground, borderWidth: 1,
            ...(this.#marked === `${value[0]} ${value[1]}` ? { borderColor: text, borderWidth: 3 } : {}) },
          label: { color: place > 0.45 ? "#14171b" : "#ffffff" } };
        }),
      }],
      tooltip: { ...looks().tooltip, formatter: ({ value }) => `${this.#runs.title(x)}: ${across.names[value[0]]}\n${this.#runs.title(y)}: ${up.names[value[1]]}\n`
        + `mean ${this.#runs.title(of)}: ${shownMetric(value[2], of)} of ${value[3]} run${value[3] === 1 ? "" : "s"}` },
    };
  }

  // The places of an option's values: each its own if they are few, else ten ranges.
  #steps(name) {
    const levels = this.#runs.levels(name);
    if (levels.length <= HeatMap.mostValues || !this.#runs.isNumber(name)) {
      const places = new Map(levels.map((value, place) => [value, place]));
      return { names: levels.map((value) => this.#runs.label(name, value)), place: (value) => places.get(value) ?? -1 };
    }
    const [at, count] = [scaled(levels), 10];
    const place = (value) => value === null ? -1 : Math.min(Math.floor(at(value) * count), count - 1);
    const names = Array.from({ length: count }, (_, step) => {
      const inside = levels.filter((value) => place(value) === step);
      return inside.length ? `${shortLabel(inside[0])} … ${shortLabel(inside.at(-1))}` : `(none ${step + 1})`;
    });
    return { names, place };
  }

  #tell(across, up, cells) {
    const [x, y] = [this.#runs.title(this.#x.value), this.#runs.title(this.#y.value)];
    const rows = up.map((name, j) => [name, ...across.map((_, i) => cells.has(`${i} ${j}`) ? shownMetric(mean(cells.get(`${i} ${j}`)), this.#of.value) : "–")]);
    this.#table.replaceChildren(madeTable(`Mean ${this.#runs.title(this.#of.value)}; rows: ${y}, columns: ${x}`, [`${y} \\ ${x}`, ...across], rows));
  }
}
