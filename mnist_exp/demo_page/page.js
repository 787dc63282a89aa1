"use strict";

const SENT = 280; // side in pixels of a drawing when it is sent
const PAUSE_MS = 250; // time without a new stroke before the saliency map is requested
const MOST_BARS = 12;
const WAYS = {
  mnist: ["In MNIST's style", "the digit scaled to 20×20 pixels, its centre of mass in the middle of 28×28"],
  plain: ["Only scaled", "the whole image, scaled to the model's input size"],
};

const $ = (id) => document.getElementById(id);
const pad = $("pad");
const pen = pad.getContext("2d");
const small = document.createElement("canvas");
small.width = small.height = SENT;

let about = null;
let strokes = [];
let current = null;
let file = null; // an image that was dropped, chosen, pasted or taken from the gallery
let cursor = null; // of the keyboard: {x, y, isDown}
let cards = {};
let isAsking = false;
let isStale = false;
let version = 0; // of what is on the pad
let pause = 0;

function make(name, text, className) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

// The page itself

async function start() {
  about = await (await fetch("/api/about")).json();
  document.title = `${about.name} · mnist_exp demo`;
  $("title").textContent = about.name;
  const accuracy = about.test_accuracy === null ? "not tested" : about.test_accuracy.toFixed(4);
  const facts = {
    model: `${about.model}, ${about.parameters.toLocaleString("en")} parameters`,
    "test accuracy": accuracy,
    data: about.data,
    input: about.shape.join("×"),
    run: about.run_id,
  };
  for (const [name, value] of Object.entries(facts)) {
    const row = make("div");
    row.append(make("dt", name), make("dd", value));
    $("facts").append(row);
  }
  if (!about.can_draw) {
    $("tools").hidden = $("pad-help").hidden = true;
    $("input-title").textContent = "Choose an image";
    forget();
    $("input").classList.add("viewer");
    pad.removeAttribute("tabindex");
    pad.setAttribute("aria-label", "The image");
    pad.removeAttribute("aria-describedby");
  }
  for (const way of about.ways) addCard(way);
  addMistakes();
  paint();
  document.body.dataset.state = "ready";
}

function addCard(way) {
  const card = $("answer").content.firstElementChild.cloneNode(true);
  const isAlone = about.ways.length === 1;
  card.querySelector("h3").textContent = isAlone ? "" : WAYS[way][0];
  card.querySelector(".way-help").textContent = isAlone ? "" : WAYS[way][1];
  card.dataset.way = way;
  const isNamed = about.classes.some((name) => name.length > 2);
  card.classList.toggle("long", isNamed);
  card.classList.toggle("named", isNamed);
  const [height, width] = about.shape;
  Object.assign(card.querySelector(".heat"), { width, height });
  $("answers").append(card);
  cards[way] = card;
  showBars(card, null);
}

function addMistakes() {
  const shown = about.mistakes.length;
  $("gallery-note").textContent = about.no_mistakes
    ? `Not shown: ${about.no_mistakes}.`
    : `${about.mistakes_count.toLocaleString("en")} of ${about.tested.toLocaleString("en")} images` +
      (shown < about.mistakes_count ? `; here are the ${shown} with the highest probability.` : ".") + " Click one to test it.";
  about.mistakes.forEach((each, number) => {
    const [label, predicted] = [about.classes[each.label], about.classes[each.predicted]];
    const button = make("button");
    button.type = "button";
    const image = make("img");
    image.loading = "lazy";
    image.alt = "";
    image.src = `/api/mistakes/${number}.png`;
    button.append(image, make("span", `${label}, predicted ${predicted}`), make("span", each.probability.toFixed(3), "quiet"));
    button.addEventListener("click", async () => {
      try {
        const answer = await fetch(image.src);
        await showFile(await answer.blob());
      } catch (error) {
        $("verdict").textContent = `The demo does not answer: ${error.message}`;
      }
      $("input").scrollIntoView({ block: "nearest" });
    });
    $("mistakes").append(button);
  });
}

// Requests: one at a time; the next one sends the newest drawing

function changed() {
  version += 1;
  isStale = true;
  document.body.dataset.state = "asking";
  clearTimeout(pause);
  if (isEmpty()) showNothing();
  ask();
}

function isEmpty() {
  return !file && !strokes.some((stroke) => !stroke.isEraser);
}

function content() {
  if (file) return Promise.resolve(file);
  const context = small.getContext("2d");
  context.imageSmoothingQuality = "high";
  const isRinged = cursor !== null && cursor.isShown;
  if (isRinged) paint(); // The keyboard's cursor is not part of the drawing.
  context.drawImage(pad, 0, 0, SENT, SENT);
  if (isRinged) showCursor();
  return new Promise((resolve) => small.toBlob(resolve, "image/png"));
}

async function post(address, body) {
  const answer = await fetch(address, { method: "POST", body });
  const result = await answer.json();
  if (!answer.ok) throw new Error(result.error || `error ${answer.status}`);
  return result;
}

async function ask() {
  if (isAsking) return;
  isAsking = true;
  while (isStale) {
    isStale = false;
    const asked = version;
    try {
      if (isEmpty()) {
        showNothing();
      } else {
        const body = await content();
        const answers = await post("/api/read", body);
        if (!isEmpty()) show(answers); // The drawing may have been cleared in the meantime.
        if (asked === version) pause = setTimeout(() => look(body, answers, asked), PAUSE_MS);
      }
    } catch (error) {
      showNothing();
      $("verdict").textContent = `The demo does not answer: ${error.message}`;
    }
    if (asked === version) document.body.dataset.state = "answered";
  }
  isAsking = false;
}

// When all scripts have been loaded.
document.addEventListener("DOMContentLoaded", () => {
  start().catch((error) => {
    $("title").textContent = "The demo does not answer";
    $("verdict").textContent = error.message;
  });
});
