// Parallel coordinates: a line for each run through the values of its options to its metric; axes can be marked.
class ParallelView {
  #runs; #filters; #open; #chart; #colour; #intervals = new Map(); #drawn = []; #levels = new Map();
  static mostLines = 2000;
  static mostAxes = 12;

  constructor(element, runs, filters, open) {
    this.#filters = filters;
    this.#open = open;
    this.#runs = runs;
    this.#chart = new Chart(element, () => this.#option(element), (chart) => this.#listen(chart), (chart) => this.#mark(chart));
  }

  show(runs, colour) {
    this.#runs = runs;
    this.#colour = colour;
    this.#chart.changed();
  }

  refresh() { this.#chart.changed(); }

  clear() {
    this.#intervals.clear();
    this.#filters.set("parallel", null);
    this.#chart.changed();
  }

  // The axes: the options that differ, and the metric.
  get #axes() {
    const { options, metric } = this.#runs.data;
    const named = options.filter((name) => this.#runs.levels(name).length > 1).slice(0, ParallelView.mostAxes - 1);
    const more = named.length ? [] : ["seed"].filter((name) => this.#runs.levels(name).length > 1);
    return [...named, ...more, metric.name];
  }

  #option(element) {
    const { text, soft, line } = theme.colours;
    const axes = this.#axes;
    const runs = this.#filters.kept(this.#runs.count, "parallel");
    this.#drawn = sampled(runs, ParallelView.mostLines);
    const colours = this.#runs.colours(this.#colour);
    const places = axes.map((name) => this.#placesOn(name));
    const some = this.#drawn.length < runs.length ? `${this.#drawn.length.toLocaleString("en")} of ${runs.length.toLocaleString("en")} lines are drawn. ` : "";
    element.style.minWidth = `${axes.length * 84 + 60}px`;
    return {
      describe: `Parallel coordinates of ${runs.length} runs over ${axes.map((name) => this.#runs.title(name)).join(", ")}. ${some}`.trim(),
      elsewhere: "The table of runs has the same values, and its filters do what marks on an axis do.",
      parallel: { left: 64, right: 76, top: 44, bottom: 24, axisExpandable: false },
      parallelAxis: axes.map((name, dim) => ({
        dim, id: name, name: shortened(this.#runs.title(name), 24), nameGap: 14,
        nameTextStyle: { color: text, fontSize: 12 }, axisLine: { lineStyle: { color: soft } }, axisTick: { lineStyle: { color: line } },
        areaSelectStyle: { width: 18, borderColor: soft, color: soft, opacity: 0.3 }, ...this.#axis(name, dim === 0),
      })),
      series: [{
        type: "parallel", lineStyle: { width: 1.4, opacity: this.#drawn.length > 300 ? 0.4 : 0.75 }, inactiveOpacity: 0.04,
        emphasis: { lineStyle: { width: 4, opacity: 1 } }, progressive: 0,
        data: this.#drawn.map((run) => ({
          value: axes.map((name, dim) => places[dim](this.#runs.value(name, run))), lineStyle: { color: colours[run] },
        })),
      }],
      tooltip: { ...looks().tooltip, trigger: "item", formatter: ({ dataIndex }) => this.#runs.name(this.#drawn[dataIndex]) },
    };
  }

  // Numbers of many values have an axis of their own scale, all others one place for each value. Runs to which an option
  // does not apply pass at its foot, by "–". The labels of the first axis are left of it, where no line is; those of the
  // others lie on a ground of their own.
  #axis(name, isFirst = false) {
    const { text, ground } = theme.colours;
    const levels = this.#runs.levels(name);
    const absent = this.#isAbsent(name);
    const label = { color: text, fontSize: 11, backgroundColor: ground, padding: [1, 3], borderRadius: 3, margin: isFirst ? -10 : 10, align: isFirst ? "right" : "left", formatter: (value) => shortened(typeof value === "number" ? shortLabel(value) : value, 12) };
    const isMetric = this.#runs.columns.get(name).kind === "metric";
    if (!this.#runs.isNumber(name) || (levels.length <= 12 && !isMetric)) {
      // A value that comes later has its place at the end, so that marks stay true.
      const known = this.#levels.get(name) ?? [];
      this.#levels.set(name, [...known, ...[...(absent ? [null] : []), ...levels].filter((value) => !known.includes(value))]);
      const texts = this.#levels.get(name).map((value) => typeof value === "number" ? shortLabel(value) : value === null ? "–" : this.#runs.label(name, value));
      const every = Math.ceil(texts.length / 14);
      // Of places, not of categories: there a mark would reach to the end of a category that it only touches.
      return { type: "value", min: -0.5, max: texts.length - 0.5, interval: 0.5, axisTick: { show: false },
        axisLabel: { ...label, formatter: (at) => Number.isInteger(at) && at % every === 0 ? shortened(texts[at] ?? "", 12) : "" } };
    }
    this.#levels.delete(name);
    if (absent) {
      const foot = this.#foot(levels);
      const told = { ...label, showMinLabel: true, formatter: (value) => value === foot ? "–" : value < levels[0] ? "" : shortLabel(value) };
      return { type: isWide(levels) ? "log" : "value", min: foot, max: levels.at(-1), axisLabel: told };
    }
    return isWide(levels) ? { type: "log", min: levels[0], max: levels.at(-1), axisLabel: { ...label, showMinLabel: true } }
      : { type: "value", scale: true, axisLabel: label };
  }

  // Whether an option applies to some of the runs only.
  #isAbsent(name) { return this.#runs.columns.get(name).kind === "option" && this.#runs.values(name).some((value) => value === null); }

  // Below the least number, as far as an eighth of the axis.
  #foot(levels) {
    const [low, high] = [levels[0], levels.at(-1)];
    return isWide(levels) ? low / (high / low) ** 0.15 : low - 0.15 * (high - low || 1);
  }

  #placesOn(name) {
    this.#axis(name);
    const levels = this.#levels.get(name);
    const foot = !levels && this.#isAbsent(name) ? this.#foot(this.#runs.levels(name)) : "-";
    if (!levels) return (value) => value ?? foot;
    const places = new Map(levels.map((value, place) => [value, place]));
    return (value) => places.get(value) ?? "-";
  }

  #listen(chart) {
    chart.on("axisareaselected", (event) => {
      for (const { parallelAxisId, intervals } of event.batch ?? [event]) {
        if (intervals?.length) this.#intervals.set(parallelAxisId, intervals);
        else this.#intervals.delete(parallelAxisId);
      }
      this.#tell();
    });
    chart.on("click", ({ dataIndex, componentType }) => { if (componentType === "series") this.#open(this.#drawn[dataIndex]); });
  }

  // Puts the marks back on the axes.
  #mark(chart) {
    for (const [parallelAxisId, intervals] of this.#intervals) chart.dispatchAction({ type: "axisAreaSelect", parallelAxisId, intervals });
  }

  #tell() {
    const marked = [...this.#intervals].map(([name, intervals]) => [name, this.#placesOn(name), intervals]);
    this.#filters.set("parallel", marked.length === 0 ? null : (run) => marked.every(([name, place, intervals]) => {
      const at = place(this.#runs.value(name, run));
      return typeof at === "number" && intervals.some(([low, high]) => at >= low && at <= high);
    }), JSON.stringify([...this.#intervals]));
  }
}
