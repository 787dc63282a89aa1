// What the colours of the charts mean: a sample and a name each, or the ends of a ramp.
const SVG = "http://www.w3.org/2000/svg";

// Draws a sample: pictures are printed also where a browser leaves out the colours of backgrounds.
function drawn(tag, attributes, content = []) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
}

function sample(colour, width = 14) {
  return drawn("svg", { width, height: 12, "aria-hidden": "true" }, [drawn("rect", { y: width > 14 ? 4 : 0, width, height: width > 14 ? 4 : 12, rx: 2, fill: colour })]);
}

// The key of a column by which runs are coloured.
function colourKey(runs, name) {
  const levels = runs.levels(name);
  if (runs.isNumber(name)) return rampKey(levels, (value) => runs.columns.get(name).kind === "metric" ? shownMetric(value, name) : shortLabel(value));
  const most = theme.palette.length;
  const named = levels.slice(0, most).map((value, place) => made("span", [sample(theme.palette[place]), shortened(String(value), 40)]));
  return levels.length <= most ? named : [...named, made("span", [sample(theme.colours.missing), `${levels.length - most} more`])];
}

// The key of a ramp over these numbers.
function rampKey(numbers, shown) {
  if (numbers.length === 0) return [];
  let [low, high] = [Infinity, -Infinity];
  for (const number of numbers) { low = Math.min(low, number); high = Math.max(high, number); }
  if (low === high) return [made("span", [sample(mixed(theme.ramp, 0.5)), shown(low)])];
  const [width, steps] = [96, 48];
  const bars = Array.from({ length: steps }, (_, at) => drawn("rect", {
    x: at * width / steps, width: width / steps + 0.5, height: 12, fill: mixed(theme.ramp, (at + 0.5) / steps),
  }));
  const ramp = drawn("svg", { width, height: 12, "aria-hidden": "true" }, bars);
  return [made("span", [shown(low), ramp, `${shown(high)}${isWide(numbers) ? ", by its logarithm" : ""}`])];
}
