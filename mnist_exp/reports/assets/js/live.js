// While sweeps run, the page asks for newer data, and shows them without losing what the reader has chosen.
class Live {
  #address; #show; #version = ""; #progress;

  constructor(address, show) {
    this.#address = address;
    this.#show = show;
    this.#progress = document.getElementById("progress");
    this.#progress.hidden = false;
  }

  // Asks now, and again until the sweeps have ended.
  async follow() {
    const pause = await this.#ask();
    if (pause !== null) setTimeout(() => this.follow(), 1000 * pause);
  }

  async #ask() {
    try {
      const answer = await fetch(`${this.#address}?version=${encodeURIComponent(this.#version)}`);
      if (!answer.ok) throw new Error(`the server says ${answer.status}`);
      const news = await answer.json();
      this.#progress.textContent = news.progress;
      this.#progress.classList.toggle("ended", news.ended);
      if (news.version !== this.#version) {
        this.#version = news.version;
        replaceFindings(news.findings);
        if (news.data.count !== undefined) await this.#show(news.data);
      }
      return news.ended ? null : news.pause_s;
    } catch (error) {
      this.#progress.textContent = `No answer from the report's server; it asks again every 5 s (${error.message}).`;
      return 5;
    }
  }
}

// Puts newer conclusions and tables in place; order, scroll and focus stay.
function replaceFindings(markup) {
  const place = document.getElementById("findings");
  const regions = () => [...place.querySelectorAll(".scroll")];
  const before = regions().map((region) => {
    const heads = [...region.querySelectorAll("th")];
    const column = heads.findIndex((head) => head.ariaSort);
    return { name: region.ariaLabel, left: region.scrollLeft, top: region.scrollTop, column, sign: heads[column]?.ariaSort === "descending" ? -1 : 1,
      focus: heads.findIndex((head) => head.contains(document.activeElement)) };
  });
  place.innerHTML = markup; // The server has escaped every name in it, and the page's policy runs no other program.
  place.querySelectorAll("table").forEach(makeSortable);
  for (const region of regions()) {
    const old = before.find(({ name }) => name === region.ariaLabel);
    if (!old) continue;
    const table = region.querySelector("table");
    if (old.column >= 0) sortBy(table, old.column, old.sign);
    [region.scrollLeft, region.scrollTop] = [old.left, old.top];
    table.tHead.rows[0].cells[old.focus]?.firstElementChild.focus();
  }
}
