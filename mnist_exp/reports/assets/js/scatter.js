// A point for each run, at the values of any two columns.
class ScatterView {
  #runs; #filters; #open; #chart; #colour; #drawn = []; #x; #y; #areas = [];
  static mostPoints = 5000;

  constructor(element, runs, filters, open) {
    this.#runs = runs;
    this.#filters = filters;
    this.#open = open;
    [this.#x, this.#y] = ["scatter-x", "scatter-y"].map((id) => document.getElementById(id));
    for (const select of [this.#x, this.#y]) {
      select.addEventListener("change", () => { this.#areas = []; this.#filters.set("scatter", null); this.#chart.changed(); });
    }
    this.#chart = new Chart(element, () => this.#option(), (chart) => this.#listen(chart), (chart) => this.#mark(chart));
  }

  show(runs, colour) {
    this.#runs = runs;
    this.#colour = colour;
    const { choices, data } = runs;
    offer(this.#x, choices, (name) => runs.title(name), data.options.find((name) => runs.levels(name).length > 1) ?? choices[1]);
    offer(this.#y, choices, (name) => runs.title(name), data.metric.name);
    this.#chart.changed();
  }

  refresh() { this.#chart.changed(); }

  clear() {
    this.#areas = [];
    this.#filters.set("scatter", null);
    this.#chart.changed();
  }

  #option() {
    const { soft } = theme.colours;
    const [x, y] = [this.#x.value, this.#y.value];
    const kept = this.#filters.kept(this.#runs.count, "scatter");
    const runs = kept.filter((run) => this.#runs.value(x, run) !== null && this.#runs.value(y, run) !== null);
    this.#tellLacking(kept.length - runs.length, x, y);
    this.#drawn = sampled(runs, ScatterView.mostPoints);
    const colours = this.#runs.colours(this.#colour);
    const title = (name) => this.#runs.title(name);
    const some = this.#drawn.length < runs.length ? `${this.#drawn.length} of them are drawn. ` : "";
    return {
      describe: `${title(y)} against ${title(x)} of ${runs.length} runs, coloured by ${title(this.#colour)}. ${some}`.trim(), elsewhere: "The table of runs has the same values.",
      grid: { left: 64, right: 18, top: 14, bottom: 48 },
      xAxis: this.#axis(x, 30), yAxis: this.#axis(y, 46),
      brush: { xAxisIndex: 0, yAxisIndex: 0, brushType: "rect", brushMode: "single", outOfBrush: { colorAlpha: 0.12 },
        brushStyle: { borderColor: soft, color: "rgba(128,128,128,.15)" }, throttleType: "debounce", throttleDelay: 80 },
      series: [{
        type: "scatter", symbolSize: this.#drawn.length > 1000 ? 5 : 8, progressive: 0,
        emphasis: { scale: 1.8, itemStyle: { borderColor: theme.colours.text, borderWidth: 1 } },
        data: this.#drawn.map((run) => ({
          value: [this.#place(x, run), this.#place(y, run)], itemStyle: { color: colours[run], opacity: 0.8 },
        })),
      }],
      tooltip: { ...looks().tooltip, formatter: ({ dataIndex }) => this.#told(this.#drawn[dataIndex], x, y) },
    };
  }

  // A run that failed has no score, and one of another model may lack an option.
  #tellLacking(count, x, y) {
    const note = document.getElementById("scatter-lacking");
    const names = [...new Set([x, y])].map((name) => this.#runs.title(name)).join(" or ");
    note.hidden = !count;
    note.textContent = `${count} ${count === 1 ? "run has" : "runs have"} no ${names}, and ${count === 1 ? "is" : "are"} not drawn.`;
  }

  #told(run, x, y) {
    const lines = [...new Set([x, y, this.#colour])].map((name) => `${this.#runs.title(name)}: ${this.#runs.text(name, run)}`);
    return [this.#runs.name(run), ...lines].join("\n");
  }

  #axis(name, nameGap) {
    const look = { ...axisLook(this.#runs.title(name)), nameGap };
    if (!this.#runs.isNumber(name)) return { ...look, type: "category", data: this.#runs.levels(name).map((value) => this.#runs.label(name, value)) };
    return isWide(this.#runs.levels(name)) ? { ...look, type: "log" } : { ...look, type: "value", scale: true };
  }

  #place(name, run) {
    const value = this.#runs.value(name, run);
    return this.#runs.isNumber(name) ? value : this.#runs.label(name, value);
  }

  // Numbers stand at their value, texts at their place.
  #placesOn(name) {
    if (this.#runs.isNumber(name)) return (value) => value;
    const places = new Map(this.#runs.levels(name).map((value, place) => [value, place]));
    return (value) => places.get(value) ?? null;
  }

  // Puts the rectangle back, and lets the pointer draw another.
  #mark(chart) {
    const areas = this.#areas.map(({ brushType, coordRange }) => ({ brushType, coordRange, xAxisIndex: 0, yAxisIndex: 0 }));
    if (areas.length) chart.dispatchAction({ type: "brush", areas });
    chart.dispatchAction({ type: "takeGlobalCursor", key: "brush", brushOption: { brushType: "rect", brushMode: "single" } });
  }

  #listen(chart) {
    chart.on("brushEnd", ({ areas }) => {
      this.#areas = areas;
      if (!areas.length) return this.#filters.set("scatter", null);
      const [x, y, [across, up]] = [this.#x.value, this.#y.value, areas[0].coordRange];
      const [placeX, placeY] = [this.#placesOn(x), this.#placesOn(y)];
      const isIn = (at, [low, high]) => at !== null && at >= Math.min(low, high) && at <= Math.max(low, high);
      const test = (run) => isIn(placeX(this.#runs.value(x, run)), across) && isIn(placeY(this.#runs.value(y, run)), up);
      return this.#filters.set("scatter", test, JSON.stringify([x, y, across, up]));
    });
    chart.on("click", ({ dataIndex, componentType }) => { if (componentType === "series") this.#open(this.#drawn[dataIndex]); });
  }
}
