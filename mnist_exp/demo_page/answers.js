"use strict";

// Predictions and saliency maps

function show(answers) {
  for (const [way, answer] of Object.entries(answers)) {
    const card = cards[way];
    clearHeat(card);
    if (answer.error) {
      showBars(card, null);
      card.querySelector(".notes").textContent = answer.error;
      continue;
    }
    const best = answer.probabilities[answer.label];
    card.querySelector(".label").textContent = about.classes[answer.label];
    card.querySelector(".sure").textContent = `probability ${best.toFixed(4)}`;
    card.querySelector(".notes").textContent = [...answer.doubt, ...answer.notes].join("; ");
    const sees = card.querySelector(".sees");
    sees.src = answer.sees;
    sees.alt = `Input of the model, ${about.shape[0]}×${about.shape[1]} pixels`;
    showBars(card, answer);
  }
  $("verdict").textContent = verdict(answers);
}

function verdict(answers) {
  const good = Object.values(answers).filter((answer) => !answer.error);
  if (!good.length) return Object.values(answers)[0].error;
  const names = good.map((answer) => about.classes[answer.label]);
  if (good.length === 1) return `Prediction: ${names[0]}.`;
  return names[0] === names[1]
    ? `Prediction: ${names[0]}, both ways.`
    : `Prediction: ${names[0]} in MNIST's style, but ${names[1]} if the image is only scaled.`;
}

function showNothing() {
  $("verdict").textContent = "Nothing yet.";
  for (const card of Object.values(cards)) {
    showBars(card, null);
    clearHeat(card);
    card.querySelector(".notes").textContent = "";
  }
}

function showBars(card, answer) {
  const bars = card.querySelector(".bars");
  if (!answer) {
    card.querySelector(".label").textContent = "–";
    card.querySelector(".sure").textContent = "";
    card.querySelector(".sees").removeAttribute("src");
  }
  const probabilities = answer ? answer.probabilities : about.classes.map(() => 0);
  let order = probabilities.map((_, label) => label);
  if (order.length > MOST_BARS) order = order.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, MOST_BARS);
  while (bars.children.length < order.length) {
    const row = make("div", undefined, "bar");
    row.setAttribute("role", "row");
    const track = make("span", undefined, "track");
    track.append(make("span", undefined, "fill"));
    row.append(make("span", "", "name"), track, make("span", "", "value"));
    row.firstChild.setAttribute("role", "rowheader");
    track.setAttribute("aria-hidden", "true");
    row.lastChild.setAttribute("role", "cell");
    bars.append(row);
  }
  order.forEach((label, position) => {
    const row = bars.children[position];
    row.classList.toggle("best", Boolean(answer) && label === answer.label);
    row.querySelector(".name").textContent = row.querySelector(".name").title = about.classes[label];
    row.querySelector(".fill").style.width = `${100 * probabilities[label]}%`;
    row.querySelector(".value").textContent = answer ? probabilities[label].toFixed(4) : "";
  });
}

// Saliency maps

async function look(body, answers, asked) {
  for (const way of Object.keys(answers)) {
    if (answers[way].error || asked !== version) continue;
    try {
      const answer = await post(`/api/look?way=${way}`, body);
      if (asked === version) await showHeat(cards[way], answer.heat);
    } catch {
      clearHeat(cards[way]);
    }
  }
  if (asked === version) document.body.dataset.state = "looked";
}

function clearHeat(card) {
  const canvas = card.querySelector(".heat");
  canvas.getContext("2d", { willReadFrequently: true }).clearRect(0, 0, canvas.width, canvas.height);
}

async function showHeat(card, heat) {
  const canvas = card.querySelector(".heat");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const sees = card.querySelector(".sees");
  await sees.decode();
  context.drawImage(sees, 0, 0, canvas.width, canvas.height);
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  const [towards, against] = [[255, 110, 30], [70, 140, 255]];
  heat.flat().forEach((value, pixel) => {
    const strength = Math.min(Math.abs(value), 1) * 0.75;
    (value > 0 ? towards : against).forEach((part, channel) => {
      const at = 4 * pixel + channel;
      image.data[at] = image.data[at] * (1 - strength) + part * strength;
    });
  });
  context.putImageData(image, 0, 0);
}
