// The table with what the page of a report uses of it: 235 kB instead of 450. Not its KeybindingsModule: in 6.5.3 it
// takes `!`, `#`, `$`, `&` and `(` for keys that scroll, so that nobody can type them into a filter.
import {
  EditModule, FilterModule, FormatModule, InteractionModule, ResizeColumnsModule, SortModule, Tabulator,
} from "tabulator-tables";

Tabulator.registerModule([EditModule, FilterModule, FormatModule, InteractionModule, ResizeColumnsModule, SortModule]);
export { Tabulator };
