// The colours of the charts: those of the page, light or dark, and light ones on paper.
const dark = matchMedia("(prefers-color-scheme: dark)");
const paper = matchMedia("print");

const theme = {
  get isDark() { return dark.matches && !paper.matches && !theme.isPrinting; },
  isPrinting: false,

  // The colours of text, lines and ground.
  get colours() {
    return theme.isDark
      ? { text: "#e4e7eb", soft: "#9aa4b0", line: "#343a42", ground: "#14171b", rest: "#3a414a", missing: "#6b7480" }
      : { text: "#1d2126", soft: "#5b6470", line: "#d9dde2", ground: "#ffffff", rest: "#dcdfe3", missing: "#9aa0a8" };
  },

  // From the lowest to the highest value; each differs in lightness too, for those who see few colours.
  get ramp() {
    return theme.isDark ? ["#5468d4", "#3aa0c4", "#63cf8e", "#ffe066"] : ["#2b2a6b", "#21759b", "#3f9b56", "#c79a00"];
  },

  // For the values of a text; the tenth is the last, and all that follow are grey.
  get palette() {
    return theme.isDark
      ? ["#6ea8fe", "#ffb454", "#66d19e", "#ff7f7f", "#c7a0ff", "#e0c097", "#ff9ede", "#b8c0cc", "#dbe26a", "#63dbe8"]
      : ["#1f5fbf", "#c25d00", "#1d7f4e", "#c02f2f", "#7b45b5", "#80552f", "#bd3f92", "#5b6470", "#7d7a00", "#00808f"];
  },
};

// Calls back when the colours have to be others.
function onThemeChange(redraw) {
  dark.addEventListener("change", redraw);
}

// Returns the colour at a place from 0 to 1 of a ramp.
function mixed(ramp, place) {
  const at = Math.min(Math.max(place, 0), 1) * (ramp.length - 1);
  const low = Math.min(Math.floor(at), ramp.length - 2);
  const channel = (colour, i) => parseInt(colour.slice(1 + 2 * i, 3 + 2 * i), 16);
  const mix = (i) => Math.round(channel(ramp[low], i) + (at - low) * (channel(ramp[low + 1], i) - channel(ramp[low], i)));
  return `rgb(${mix(0)},${mix(1)},${mix(2)})`;
}
