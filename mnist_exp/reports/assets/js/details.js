// What is known of one run: how to run it again, its values and its pictures.
class Details {
  #dialog; #runs;

  constructor(dialog) {
    this.#dialog = dialog;
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  }

  show(runs) { this.#runs = runs; }

  open(run) {
    const close = made("button", "Close", { type: "button", class: "close" });
    close.addEventListener("click", () => this.#dialog.close());
    const pictures = this.#pictures(run);
    this.#dialog.replaceChildren(
      close, made("h2", this.#runs.text("name", run), { id: "details-name" }),
      this.#copied("Run id", this.#runs.id(run)),
      this.#copied("Command", this.#runs.value("command", run)),
      this.#facts(run), ...pictures, this.#values("Metrics", "metric", run), this.#values("Options that differ", "differing", run),
      made("details", [made("summary", "All options"), this.#values("All options", "option", run)]),
    );
    this.#dialog.showModal();
    this.#dialog.scrollTop = 0;
  }

  #copied(name, text) {
    if (!text) return "";
    const button = made("button", "Copy", { type: "button", "aria-label": `Copy ${name.toLowerCase()}` });
    button.addEventListener("click", async () => {
      await copy(text, this.#dialog);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    return made("div", [made("h3", name), made("div", [made("code", text, { tabindex: "0" }), button], { class: "copied" })]);
  }

  #facts(run) {
    const facts = [...this.#runs.columns.values()].filter(({ kind, name }) => kind === "fact" && !["run_id", "name", "command"].includes(name));
    return this.#list(facts.map(({ name }) => name).filter((name) => this.#runs.value(name, run) !== null), run);
  }

  #values(title, kind, run) {
    const differing = this.#runs.data.options;
    const names = kind === "differing" ? differing : [...this.#runs.columns.values()].filter((column) => column.kind === kind).map(({ name }) => name);
    const known = names.filter((name) => this.#runs.value(name, run) !== null);
    return known.length === 0 ? "" : made("section", [made("h3", title), this.#list(known, run)]);
  }

  #list(names, run) {
    return made("dl", names.flatMap((name) => [made("dt", name), made("dd", this.#runs.text(name, run))]));
  }

  #pictures(run) {
    const own = this.#runs.data.pictures[run];
    if (own) {
      return Object.entries(own).map(([name, data]) => {
        const words = name.replace(".png", "").replaceAll("_", " ");
        const source = data.startsWith("/") ? data : `data:image/png;base64,${data}`;
        return made("figure", [made("img", [], { src: source, alt: `${words} of the test set` }), made("figcaption", words)]);
      });
    }
    const count = Object.keys(this.#runs.data.pictures).length;
    if (count === 0 || this.#runs.value("status", run) !== "FINISHED") return [];
    const command = `mlflow artifacts download --run-id ${this.#runs.id(run)} --artifact-path confusion_matrix.png --dst-path .`;
    return [made("p", `The page has the pictures of ${count} runs, one of each of the best configurations. Those of this run:`, { class: "note" }),
      this.#copied("Picture", command)];
  }
}

// Copies a text; a page from disk may not use the clipboard in every browser.
async function copy(text, place) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = made("textarea", [], { readonly: "" });
    area.value = text;
    place.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
