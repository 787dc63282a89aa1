// Learning curves: the mean of each configuration over its seeds with its spread, or each run. What is pointed at stands out.
class CurvesView {
  #runs; #filters; #open; #chart; #of; #as; #drawn = []; #note; #table; #key; #colour; #marked = null;
  static mostLines = 40;
  static mostBands = 5; // More of them overlap to grey.
  static mostNamed = 10; // below the chart

  constructor(element, runs, filters, open) {
    this.#runs = runs;
    this.#filters = filters;
    this.#open = open;
    [this.#note, this.#table, this.#key] = ["curves-note", "curves-table", "curves-key"].map((id) => document.getElementById(id));
    [this.#of, this.#as] = ["curves-of", "curves-as"].map((id) => document.getElementById(id));
    offer(this.#as, ["configurations", "runs"], (name) => name === "runs" ? "each run" : "mean ± deviation over seeds", "configurations");
    for (const select of [this.#of, this.#as]) select.addEventListener("change", () => this.#chart.changed());
    this.#chart = new Chart(element, () => this.#option(), (chart) => this.#listen(chart));
  }

  show(runs, colour) {
    this.#runs = runs;
    this.#colour = colour;
    const { metrics, runs: of } = runs.data.curves;
    const known = metrics.filter((name) => Object.values(of).some((curves) => name in curves));
    document.getElementById("curves-view").hidden = known.length === 0;
    offer(this.#of, known, (name) => name, known[0]);
    this.#chart.changed();
  }

  refresh() { this.#chart.changed(); }

  clear() { if (this.#marked !== null) this.#mark(null); }

  // Brings the lines of a configuration to the front; those of none if it is null.
  #mark(configuration) {
    this.#marked = configuration;
    this.#chart.changed();
  }

  // The lines, the best first: a name, the configuration, the runs, the steps, the means and the deviations.
  #lines() {
    const { runs: curves, steps } = this.#runs.data.curves;
    const metric = this.#of.value;
    const runs = this.#filters.kept(this.#runs.count).filter((run) => curves[run]?.[metric]);
    const groups = new Map();
    for (const run of runs) {
      const configuration = this.#runs.text("configuration", run);
      const [key, name] = this.#as.value === "runs" ? [run, this.#runs.name(run)] : [configuration, configuration];
      groups.set(key, { name, configuration, runs: [...(groups.get(key)?.runs ?? []), run] });
    }
    return [...groups.values()].map(({ name, configuration, runs: members }) => {
      const histories = members.map((run) => {
        const [grid, values] = curves[run][metric];
        return new Map(steps[grid].map((step, place) => [step, values[place]]));
      });
      // Only epochs that all seeds reached: with fewer seeds the mean would jump.
      const common = [...histories[0].keys()].filter((step) => histories.every((history) => Number.isFinite(history.get(step))));
      const at = (step) => histories.map((history) => history.get(step));
      return { name, configuration, runs: members, steps: common, means: common.map((step) => mean(at(step))), spread: common.map((step) => deviation(at(step))) };
    }).filter((line) => line.steps.length > 0);
  }

  #option() {
    const all = this.#lines();
    const lines = this.#drawn = this.#as.value === "runs" ? all : all.slice(0, CurvesView.mostLines);
    const withCurves = Object.keys(this.#runs.data.curves.runs).length;
    const configurations = [...new Set(lines.map((line) => line.configuration))];
    const marked = configurations.includes(this.#marked) ? this.#marked : null;
    const spread = lines.filter((line) => line.runs.length > 1);
    const banded = marked === null ? spread.slice(0, CurvesView.mostBands) : spread.filter((line) => line.configuration === marked);
    this.#note.textContent = [
      spread.length === 0 ? "" : "The band is one deviation up and down, over the epochs that all seeds reached.",
      marked === null && banded.length < spread.length ? `The best ${banded.length} have theirs; one that you bring to the front has its own.` : "",
      lines.length < all.length ? `The best ${lines.length} of ${all.length} configurations are drawn.` : "",
      withCurves < this.#runs.count ? `The page has the curves of ${withCurves} of ${this.#runs.count} runs, those of the best configurations.` : "",
    ].filter(Boolean).join(" ");
    this.#tell(lines);
    const colour = this.#colours(lines, configurations);
    this.#name(configurations, marked, (name) => colour(lines.findIndex((line) => line.configuration === name)));
    const hasPoints = Math.max(...lines.map((line) => line.steps.length), 0) <= 30 && lines.length <= 20;
    const isBack = (line) => marked !== null && line.configuration !== marked;
    return {
      describe: `Learning curves of ${this.#of.value}: ${lines.length} lines.`, elsewhere: "The same as a table is below.",
      grid: { left: 64, right: 18, top: 14, bottom: 48 },
      xAxis: { ...axisLook("epoch"), type: "value", minInterval: 1, min: "dataMin", max: "dataMax" },
      yAxis: { ...axisLook(this.#of.value), nameGap: 46, type: "value", scale: true },
      series: [
        ...lines.map((line, place) => ({
          type: "line", id: `line ${place}`, name: line.name, silent: true, showSymbol: hasPoints || line.steps.length === 1,
          symbolSize: 5, symbol: "circle", z: isBack(line) ? 2 : 3, z2: lines.length - place,
          itemStyle: { color: colour(place), opacity: isBack(line) ? 0.12 : 1 },
          lineStyle: { width: lines.length > 40 ? 1 : 1.8, color: colour(place), opacity: isBack(line) ? 0.12 : lines.length > 40 && marked === null ? 0.5 : 1 },
          emphasis: { focus: "series", lineStyle: { width: 4, opacity: 1 } }, blur: { lineStyle: { opacity: 0.1 }, itemStyle: { opacity: 0.1 } },
          data: line.steps.map((step, at) => [step, line.means[at]]),
        })),
        ...banded.map((line) => this.#band(line, colour(lines.indexOf(line)))),
      ],
      tooltip: { ...looks().tooltip, formatter: ({ seriesId, value }) => this.#told(lines[seriesId.slice(5)], value) },
    };
  }

  // A colour for each line: of the sweep or option that the page colours by; else each configuration its own.
  #colours(lines, configurations) {
    const isOwn = this.#runs.columns.get(this.#colour).kind === "metric";
    const of = isOwn ? [] : this.#runs.colours(this.#colour);
    return (place) => isOwn ? theme.palette[configurations.indexOf(lines[place].configuration)] ?? theme.colours.missing : of[lines[place].runs[0]];
  }

  // Names the lines below the chart, for those who cannot point at one.
  #name(configurations, marked, colour) {
    const focus = [...this.#key.children].indexOf(document.activeElement);
    const named = configurations.slice(0, CurvesView.mostNamed);
    const buttons = named.map((name) => {
      const button = made("button", [sample(colour(name), 22), shortened(name, 60)], { type: "button", "aria-pressed": String(name === marked), title: name });
      button.addEventListener("click", () => this.#mark(name === marked ? null : name));
      return button;
    });
    const rest = configurations.length - named.length;
    this.#key.replaceChildren(...buttons, ...(rest > 0 ? [made("span", `and ${rest} more`)] : []));
    this.#key.children[focus]?.focus();
  }

  #told(line, value) {
    const seeds = line.runs.length > 1 ? `, ${line.runs.length} seeds` : "";
    const at = Array.isArray(value) ? line.steps.indexOf(value[0]) : line.steps.length - 1;
    const spread = line.runs.length > 1 ? ` ± ${shownMetric(line.spread[at], this.#of.value)}` : "";
    return `${shortened(line.name, 70)}${seeds}\nepoch ${line.steps[at]}: ${shownMetric(line.means[at], this.#of.value)}${spread}`;
  }

  #band(line, color) {
    const edge = (sign) => line.steps.map((step, at) => [step, line.means[at] + sign * line.spread[at]]);
    const outline = [...edge(1), ...edge(-1).reverse()];
    // All points are its data, so that the axes reach around it; the first one draws it.
    return {
      type: "custom", silent: true, z: 1, data: outline, clip: true, tooltip: { show: false },
      renderItem: ({ dataIndex }, api) => dataIndex > 0 ? null
        : { type: "polygon", shape: { points: outline.map((point) => api.coord(point)) }, style: { fill: color, opacity: 0.12 } },
    };
  }

  #listen(chart) {
    const surface = chart.getZr();
    let pointed = null;
    surface.on("mousemove", ({ offsetX, offsetY }) => {
      const nearest = this.#nearest(chart, offsetX, offsetY);
      const line = nearest?.line ?? null;
      if (line !== pointed) chart.dispatchAction({ type: "downplay" });
      pointed = line;
      surface.setCursorStyle(line === null ? "default" : "pointer");
      if (line === null) return chart.dispatchAction({ type: "hideTip" });
      chart.dispatchAction({ type: "highlight", seriesId: `line ${line}` });
      return chart.dispatchAction({ type: "showTip", seriesIndex: line, dataIndex: nearest.at });
    });
    surface.on("globalout", () => { pointed = null; chart.dispatchAction({ type: "downplay" }); });
    surface.on("click", ({ offsetX, offsetY }) => {
      const nearest = this.#nearest(chart, offsetX, offsetY);
      if (nearest) this.#open(this.#drawn[nearest.line].runs[0]);
    });
  }

  // The line nearest to a point, at most 12 pixels away: a thin line is hard to hit.
  #nearest(chart, x, y) {
    if (!chart.containPixel("grid", [x, y])) return null;
    const [epoch] = chart.convertFromPixel("grid", [x, y]);
    let found = null;
    this.#drawn.forEach(({ steps, means }, line) => {
      const next = steps.findIndex((step) => step >= epoch);
      if (next < 0) return;
      const before = Math.max(next - 1, 0);
      const share = steps[next] > steps[before] ? (epoch - steps[before]) / (steps[next] - steps[before]) : 1;
      const [, height] = chart.convertToPixel("grid", [epoch, means[before] + share * (means[next] - means[before])]);
      const distance = Math.abs(height - y);
      if (distance <= 12 && distance < (found?.distance ?? Infinity)) found = { line, distance, at: share < 0.5 ? before : next };
    });
    return found;
  }

  #tell(lines) {
    const rows = lines.map(({ name, runs, steps, means, spread }) => [
      name, runs.length, steps.at(-1), shownMetric(means.at(-1), this.#of.value), runs.length > 1 ? shownMetric(spread.at(-1), this.#of.value) : "–",
      shownMetric(Math.min(...means), this.#of.value), shownMetric(Math.max(...means), this.#of.value),
    ]);
    this.#table.replaceChildren(madeTable(`${this.#of.value} by epoch`, ["line", "runs", "last epoch", "mean there", "± deviation", "lowest mean", "highest mean"], rows));
  }
}
