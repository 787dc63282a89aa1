"use strict";

// Drawing

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function trace(stroke) {
  pen.strokeStyle = pen.fillStyle = stroke.isEraser ? colour("--paper") : colour("--ink");
  pen.lineWidth = stroke.width * (stroke.isEraser ? 2 : 1);
  pen.lineCap = pen.lineJoin = "round";
  const [first, ...others] = stroke.points;
  pen.beginPath();
  pen.moveTo(first.x, first.y);
  if (!others.length) pen.lineTo(first.x + 0.01, first.y);
  for (const point of others) pen.lineTo(point.x, point.y);
  pen.stroke();
}

function paint() {
  pen.fillStyle = colour("--paper");
  pen.fillRect(0, 0, pad.width, pad.height);
  for (const stroke of strokes) trace(stroke);
  if (cursor) cursor.isShown = false;
  $("invitation").hidden = strokes.length > 0 || file !== null;
  $("undo").disabled = !strokes.length;
}

function place(event) {
  const box = pad.getBoundingClientRect();
  const scale = pad.width / box.width;
  return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
}

function begin(point) {
  if (file) forget();
  const isEraser = $("eraser").getAttribute("aria-pressed") === "true";
  current = { points: [point], isEraser, width: Number($("pen").value) * 2 };
  strokes.push(current);
  paint();
  changed();
}

function extend(points) {
  current.points.push(...points);
  trace({ ...current, points: current.points.slice(-points.length - 1) });
  changed();
}

function forget() {
  file = null;
  strokes = [];
  current = null;
  $("invitation").textContent = about && !about.can_draw ? "Drop, paste or choose an image" : "Draw here, or drop an image";
}

function clear() {
  forget();
  cursor = null;
  paint();
  changed();
}

function undo() {
  if (!strokes.length) return;
  strokes.pop();
  current = null;
  paint();
  changed();
}

pad.addEventListener("pointerdown", (event) => {
  if (!about || !about.can_draw || (event.pointerType === "mouse" && event.button !== 0) || !event.isPrimary) return;
  event.preventDefault();
  pad.focus({ preventScroll: true });
  pad.setPointerCapture(event.pointerId);
  begin(place(event));
});
pad.addEventListener("pointermove", (event) => {
  if (!current || !event.isPrimary || !pad.hasPointerCapture(event.pointerId)) return;
  const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  extend((events.length ? events : [event]).map(place));
});
for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, (event) => event.isPrimary && (current = null));

pad.addEventListener("keydown", (event) => {
  if (!about || !about.can_draw) return;
  const step = { ArrowLeft: [-16, 0], ArrowRight: [16, 0], ArrowUp: [0, -16], ArrowDown: [0, 16] }[event.key];
  if (step) {
    cursor = cursor || { x: pad.width / 2, y: pad.height / 2, isDown: false };
    cursor.x = Math.min(Math.max(cursor.x + step[0], 0), pad.width);
    cursor.y = Math.min(Math.max(cursor.y + step[1], 0), pad.height);
    if (cursor.isDown && current) extend([{ x: cursor.x, y: cursor.y }]);
    else showCursor();
  } else if (event.key === " ") {
    cursor = cursor || { x: pad.width / 2, y: pad.height / 2, isDown: false };
    cursor.isDown = !cursor.isDown;
    if (cursor.isDown) begin({ x: cursor.x, y: cursor.y });
    else current = null;
  } else if (event.key === "Delete" || event.key === "Backspace") {
    clear();
  } else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
    undo();
  } else {
    return;
  }
  event.preventDefault();
});

function showCursor() {
  if (file) return;
  paint();
  pen.strokeStyle = colour("--accent");
  pen.lineWidth = 3;
  pen.beginPath();
  pen.arc(cursor.x, cursor.y, 12, 0, 2 * Math.PI);
  pen.stroke();
  cursor.isShown = true;
}

$("undo").addEventListener("click", undo);
$("clear").addEventListener("click", clear);
$("eraser").addEventListener("click", () => {
  const isOn = $("eraser").getAttribute("aria-pressed") === "true";
  $("eraser").setAttribute("aria-pressed", String(!isOn));
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (!file) paint();
});

// Images

async function showFile(blob) {
  forget();
  cursor = null;
  file = blob;
  paint();
  changed();
  try {
    const image = await createImageBitmap(blob);
    if (file !== blob) return;
    const scale = Math.min(pad.width / image.width, pad.height / image.height);
    const [width, height] = [image.width * scale, image.height * scale];
    pen.imageSmoothingEnabled = scale < 4;
    pen.drawImage(image, (pad.width - width) / 2, (pad.height - height) / 2, width, height);
  } catch {
    $("invitation").textContent = "The browser cannot show this image";
    $("invitation").hidden = false;
  }
}

function firstImage(transfer) {
  return [...transfer.files].find((each) => each.type.startsWith("image/")) || transfer.files[0];
}

$("file").addEventListener("change", () => {
  if ($("file").files.length) showFile($("file").files[0]);
  $("file").value = "";
});
document.addEventListener("paste", (event) => {
  const image = firstImage(event.clipboardData);
  if (image) showFile(image);
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("input").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => event.relatedTarget || $("input").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("input").classList.remove("over");
  const image = firstImage(event.dataTransfer);
  if (image) showFile(image);
  else $("verdict").textContent = "This is not a file. Drop an image file.";
});
