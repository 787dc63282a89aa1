// Puts the page together: the runs, what is kept of them, and the views that show it.
const filters = new Filters();
const colour = document.getElementById("colour");
const details = new Details(document.getElementById("details"));
const views = {};
let runs = null;

function open(run) { details.open(run); }

function begin(data) {
  runs = new Runs(data);
  document.getElementById("explore").hidden = false;
  const element = (id) => document.getElementById(id);
  views.table = new RunsTable(element("runs"), runs, filters, open);
  views.parallel = new ParallelView(element("parallel"), runs, filters, open);
  views.scatter = new ScatterView(element("scatter"), runs, filters, open);
  views["heat map"] = new HeatMap(element("heat"), runs, filters);
  views.curves = new CurvesView(element("curves"), runs, filters, open);
  showAll();
}

function showAll() {
  offer(colour, runs.choices, (name) => runs.title(name), runs.choices.includes("sweep") ? "sweep" : runs.data.metric.name);
  details.show(runs);
  showColours();
  for (const name of ["parallel", "scatter", "heat map", "curves"]) views[name].show(runs, colour.value);
  tellHowMany();
}

// Says what the colours mean.
function showColours() {
  const title = runs.title(colour.value);
  for (const key of document.querySelectorAll("[data-key-of=colour]")) {
    key.replaceChildren(...(key.matches(".on-paper") ? [made("span", `Colours: ${title}`)] : []), ...colourKey(runs, colour.value));
  }
}

async function show(data) {
  if (runs === null) return begin(data);
  runs = new Runs(data);
  await views.table.replace(runs);
  return showAll();
}

function tellHowMany() {
  const kept = filters.kept(runs.count).length;
  document.getElementById("shown").textContent = `${kept.toLocaleString("en")} of ${runs.count.toLocaleString("en")} runs are shown`;
  document.getElementById("clear").disabled = filters.isEmpty;
}

filters.addEventListener("change", ({ detail }) => {
  tellHowMany();
  for (const [name, view] of Object.entries(views)) if (name !== detail || name === "heat map") view.refresh();
});
colour.addEventListener("change", showAll);
document.getElementById("clear").addEventListener("click", () => { for (const view of Object.values(views)) view.clear?.(); });
onThemeChange(() => { if (runs !== null) showAll(); });

// On paper the table has all its rows, and the charts are light.
addEventListener("beforeprint", () => {
  if (runs === null) return;
  theme.isPrinting = true;
  document.getElementById("runs").after(made("div", views.table.printed(), { id: "printed", class: "scroll" }));
  showColours();
  Chart.layOnPaper();
});
addEventListener("afterprint", () => {
  document.getElementById("printed")?.remove();
  theme.isPrinting = false;
  Chart.takeFromPaper();
  if (runs !== null) showAll(); // The keys of the colours are those of the screen again.
});

document.querySelectorAll("table").forEach(makeSortable);
const embedded = JSON.parse(document.getElementById("data").textContent);
if (embedded.count) begin(embedded);
if (document.body.dataset.live) new Live(document.body.dataset.live, show).follow();
