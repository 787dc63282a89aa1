// A chart in an element: it is drawn when it comes into view, and again when its size, the colours or the runs change.
class Chart {
  #element; #chart = null; #option; #isStale = true; #isSeen = false; #onMade; #onDrawn; #timer = 0;

  // `option` returns what ECharts draws, with what that is (`describe`), where it is in words (`elsewhere`), and a `height`
  // unless it is the style's; `onMade` gets the chart once, `onDrawn` each time. Nothing is called out of view.
  constructor(element, option, onMade, onDrawn = () => {}) {
    this.#element = element;
    this.#option = option;
    this.#onMade = onMade;
    this.#onDrawn = onDrawn;
    element.setAttribute("role", "img");
    new IntersectionObserver((entries) => {
      this.#isSeen = entries.at(-1).isIntersecting;
      if (this.#isSeen) this.draw();
    }, { rootMargin: "200px" }).observe(element);
    new ResizeObserver(() => this.#chart?.resize()).observe(element);
    Chart.all.push(this);
  }

  static all = [];

  static paperWidth = 1000; // px, the width of an A4 page on its side

  // Draws each chart once more, for paper. Those of the screen are of no use there: the browser gives them another width
  // after `beforeprint`, and they would be drawn for it only when the pages are already made.
  static layOnPaper() { for (const chart of Chart.all) chart.#layOnPaper(); }

  static takeFromPaper() { document.querySelectorAll("figure.on-paper").forEach((figure) => figure.remove()); }

  #layOnPaper() {
    if (this.#element.offsetParent === null) return;
    const { describe, elsewhere, height = this.#element.clientHeight, ...option } = this.#option();
    const chart = echarts.init(made("div"), null, { renderer: "canvas", width: Chart.paperWidth, height });
    chart.setOption({ ...looks(), ...option });
    this.#onDrawn(chart);
    // One canvas of all layers. ECharts 6.1 draws the cells of a heat map in a layer between two others; Chromium prints a
    // canvas as what was done to it, and that the upper one was cleared makes a white area over the cells.
    const canvas = chart.renderToCanvas({ pixelRatio: 2 * devicePixelRatio, backgroundColor: theme.colours.ground });
    chart.dispose();
    Object.assign(canvas.style, { position: "static", width: `${Chart.paperWidth}px`, height: `${height}px` });
    this.#element.after(made("figure", [canvas, made("figcaption", describe)], { class: "on-paper" }));
  }

  // Says that the chart shows something old.
  changed() {
    this.#isStale = true;
    if (this.#isSeen) this.draw();
    else this.#tellLater();
  }

  // What is out of view is told all the same to those who do not see: a little later, and once for many changes.
  #tellLater() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => { if (this.#isStale) this.#tell(this.#option()); }, 300);
  }

  #tell({ describe, elsewhere }) { this.#element.setAttribute("aria-label", `${describe} ${elsewhere}`); }

  draw() {
    if (!this.#isStale || this.#element.offsetParent === null) return;
    this.#isStale = false;
    const isNew = this.#chart === null;
    if (isNew) this.#chart = echarts.init(this.#element, null, { renderer: "canvas" });
    const { describe, elsewhere, height, ...option } = this.#option();
    if (height && this.#element.clientHeight !== height) {
      this.#element.style.height = `${height}px`;
      this.#chart.resize();
    }
    this.#tell({ describe, elsewhere });
    this.#chart.setOption({ ...looks(), ...option }, { notMerge: true });
    if (isNew) this.#onMade(this.#chart);
    this.#onDrawn(this.#chart);
  }
}

// What all charts have. A text in a tooltip is drawn, not parsed: a name from elsewhere is no markup.
function looks() {
  const { text, ground, line } = theme.colours;
  return {
    animation: false,
    textStyle: { color: text, fontFamily: "system-ui, sans-serif" },
    tooltip: {
      renderMode: "richText", confine: true, backgroundColor: ground, borderColor: line,
      textStyle: { color: text, fontSize: 12 },
    },
  };
}

// What an axis looks like, with a name that is not cut off.
function axisLook(name) {
  const { soft, line, text } = theme.colours;
  return {
    name: shortened(name, 40), nameLocation: "middle", nameGap: 28,
    nameTextStyle: { color: text }, axisLabel: { color: soft, hideOverlap: true, formatter: shortLabel },
    axisLine: { lineStyle: { color: soft } }, axisTick: { lineStyle: { color: soft } },
    splitLine: { lineStyle: { color: line } },
  };
}

function shortLabel(value) {
  if (typeof value !== "number") return shortened(String(value), 14);
  if (value !== 0 && (Math.abs(value) < 0.001 || Math.abs(value) >= 1e6)) return value.toExponential(1).replace(".0e", "e");
  return String(Number(value.toPrecision(5)));
}

function shortened(text, most) {
  return text.length <= most ? text : `${text.slice(0, Math.ceil(most / 2) - 1)}…${text.slice(-Math.floor(most / 2))}`;
}

// Fills a choice with columns; it keeps what was chosen, if that is still there.
function offer(select, names, title, first) {
  const chosen = select.value || first;
  select.replaceChildren(...names.map((name) => new Option(title(name), name)));
  select.value = names.includes(chosen) ? chosen : names[0] ?? "";
}

// Makes an element with a text or with other elements in it.
function made(tag, content = [], attributes = {}) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...(Array.isArray(content) ? content : [content]));
  return element;
}

// Makes a table of texts.
function madeTable(caption, head, rows) {
  const line = (cells, tag) => made("tr", cells.map((cell) => made(tag, String(cell), tag === "th" ? { scope: "col" } : {})));
  return made("table", [made("caption", caption), made("thead", line(head, "th")), made("tbody", rows.map((row) => line(row, "td")))]);
}
