// Which runs are shown: each view keeps some, and all views show those that every one keeps.
class Filters extends EventTarget {
  #tests = new Map();
  #words = new Map();

  // Sets what a view keeps: a function of a run, or null for all. `words` say what it is: the same again changes nothing.
  set(view, test, words = "") {
    if (test === null ? !this.#tests.has(view) : this.#words.get(view) === words) return;
    if (test === null) {
      this.#tests.delete(view);
      this.#words.delete(view);
    } else {
      this.#tests.set(view, test);
      this.#words.set(view, words);
    }
    this.dispatchEvent(new CustomEvent("change", { detail: view }));
  }

  get isEmpty() { return this.#tests.size === 0; }

  // Whether all views but one keep a run.
  keeps(run, exceptOf = "") {
    for (const [view, test] of this.#tests) if (view !== exceptOf && !test(run)) return false;
    return true;
  }

  // The runs that all views but one keep.
  kept(count, exceptOf = "") {
    const found = [];
    for (let run = 0; run < count; run += 1) if (this.keeps(run, exceptOf)) found.push(run);
    return found;
  }
}

// Understands what is written below a column's name: a part of a text, or a condition on a number. Returns a function
// of a value; null for what is no condition.
function condition(text, isNumber) {
  const words = text.trim();
  const range = /^(-?[\d.]+(?:e[+-]?\d+)?)\s*\.\.\s*(-?[\d.]+(?:e[+-]?\d+)?)$/i.exec(words);
  if (range) return (value) => value !== null && value >= Number(range[1]) && value <= Number(range[2]);
  const compared = /^(<=|>=|!=|<|>|=)\s*(.+)$/.exec(words);
  if (compared) {
    const [, sign, right] = compared;
    if (sign === "=") return (value) => String(value) === right || value === Number(right);
    if (sign === "!=") return (value) => String(value) !== right && value !== Number(right);
    const number = Number(right);
    if (Number.isNaN(number)) return null;
    const tests = { "<": (v) => v < number, ">": (v) => v > number, "<=": (v) => v <= number, ">=": (v) => v >= number };
    return (value) => typeof value === "number" && tests[sign](value);
  }
  if (/^[<>=!]/.test(words)) return null;
  const part = words.toLowerCase();
  return (value) => value !== null && (String(value).toLowerCase().includes(part) || (isNumber && value === Number(words)));
}
