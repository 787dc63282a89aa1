// The runs of the page: a value for each run and column. A run is known by its place here.
class Runs {
  constructor(data) {
    this.data = data;
    this.count = data.count;
    this.columns = new Map(data.columns.map((column) => [column.name, { ...column, values: decoded(column, data.count) }]));
    this.places = new Map(this.values("run_id").map((id, place) => [id, place]));
  }

  has(name) { return this.columns.has(name); }

  values(name) { return this.columns.get(name)?.values ?? []; }

  value(name, run) { return this.columns.get(name)?.values[run] ?? null; }

  id(run) { return this.value("run_id", run); }

  isNumber(name) { return Boolean(this.columns.get(name)?.number); }

  title(name) { return name === this.data.metric.name ? this.data.metric.title : this.data.titles[name] ?? name; }

  text(name, run) {
    const value = this.value(name, run);
    return this.columns.get(name)?.kind === "metric" ? shownMetric(value, name) : value === null ? "–" : String(value);
  }

  // The names of the columns of a kind (fact, option, metric) that are not the same for all runs.
  varied(kind) {
    const of = [...this.columns.values()].filter((column) => column.kind === kind && !("value" in column));
    return of.map((column) => column.name);
  }

  // What a chart may show: the metric, the options that differ, then other metrics; and the sweep.
  get choices() {
    const { metric, options } = this.data;
    const sweep = this.values("sweep").some((name) => name !== null) ? ["sweep"] : [];
    return [...new Set([metric.name, ...options, ...this.varied("metric"), ...(this.varied("option").includes("seed") ? ["seed"] : []), ...sweep])];
  }

  // The different values of a column in their order: numbers by size, then texts.
  levels(name) {
    const found = [...new Set(this.values(name).filter((value) => value !== null))];
    return found.sort((a, b) => typeof a === "number" && typeof b === "number" ? a - b
      : String(a).localeCompare(String(b), undefined, { numeric: true }));
  }

  // A value on an axis: of a component the last part of its dotted name, if that is enough: `cnn` for `mnist_exp.models.cnn`.
  label(name, value) {
    if (!name.endsWith("_target_")) return String(value);
    const last = (text) => String(text).split(".").at(-1);
    return this.levels(name).filter((other) => last(other) === last(value)).length > 1 ? String(value) : last(value);
  }

  // A short text that tells which run it is.
  name(run) { return `${this.text("configuration", run)}, seed ${this.text("seed", run)}`; }

  // A colour for each run, by a column: of a ramp for numbers, of a palette for texts.
  colours(name) {
    const values = this.values(name);
    if (this.isNumber(name)) {
      const known = values.filter((value) => value !== null);
      const place = scaled(known);
      return values.map((value) => value === null ? theme.colours.missing : mixed(theme.ramp, place(value)));
    }
    const levels = new Map(this.levels(name).map((value, place) => [value, theme.palette[place] ?? theme.colours.missing]));
    return values.map((value) => levels.get(value) ?? theme.colours.missing);
  }
}

function decoded(column, count) {
  if ("value" in column) return new Array(count).fill(column.value);
  if (column.lines) return column.lines.map((line) => line && line.map((word) => column.words[word]).join(" "));
  return column.levels ? column.codes.map((code) => column.levels[code]) : column.values;
}

// A value of a metric for people, as the tables of the report have it.
function shownMetric(value, name) {
  if (typeof value !== "number") return "–";
  const words = (digits) => value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  if (Number.isInteger(value) && (Math.abs(value) >= 10 || ["epochs", "best_epoch", "parameters"].includes(name))) return words(0);
  if (name.endsWith("_time_s")) return words(1);
  if (value !== 0 && Math.abs(value) < 0.0005) return value.toPrecision(2);
  return words(Math.abs(value) < 10 ? 4 : 1);
}

// Whether numbers span so much that an axis of theirs should be logarithmic.
function isWide(numbers) {
  let [low, high] = [Infinity, -Infinity];
  for (const number of numbers) { low = Math.min(low, number); high = Math.max(high, number); }
  return low > 0 && high >= 50 * low;
}

// Returns a function from a number to its place from 0 to 1 among these.
function scaled(numbers) {
  const of = isWide(numbers) ? Math.log : (number) => number;
  let [low, high] = [Infinity, -Infinity];
  for (const number of numbers) { low = Math.min(low, of(number)); high = Math.max(high, of(number)); }
  return (number) => high > low ? (of(number) - low) / (high - low) : 0.5;
}

// Returns at most so many of a list, evenly chosen.
function sampled(list, most) {
  if (list.length <= most) return list;
  return Array.from({ length: most }, (_, place) => list[Math.floor(place * list.length / most)]);
}

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

function deviation(numbers) {
  const middle = mean(numbers);
  return numbers.length < 2 ? 0 : Math.sqrt(numbers.reduce((sum, number) => sum + (number - middle) ** 2, 0) / (numbers.length - 1));
}
