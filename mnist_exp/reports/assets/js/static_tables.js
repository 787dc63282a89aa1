// The tables that are in the page itself: a click on the name of a column sorts by it.
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    sortBy(table, column, head.ariaSort === "ascending" ? -1 : 1);
  }));
}

function sortBy(table, column, sign) {
  const heads = [...table.tHead.rows[0].cells];
  const keyOf = (row) => {
    const cell = row.cells[column];
    return "key" in cell.dataset ? Number(cell.dataset.key) : cell.textContent;
  };
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  heads[column].ariaSort = sign > 0 ? "ascending" : "descending";
  const rows = [...table.tBodies[0].rows];
  rows.sort((one, other) => {
    const [a, b] = [keyOf(one), keyOf(other)];
    if (typeof a === "number" && typeof b === "number") return a === b ? 0 : sign * (a < b ? -1 : 1);
    return sign * String(a).localeCompare(String(b), undefined, { numeric: true });
  });
  table.tBodies[0].append(...rows);
}
