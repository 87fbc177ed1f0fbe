"use strict";
// One image at a readable size: truth, baseline and a variant, by a slider, in turn, or alone; zoom.

const stage = {zoom: 1, x: 0, y: 0, split: 0.5, blink: false, timer: null, drag: null, layers: null};
const overlays = new Map();  // of the image that is shown
const loaded = new Map();  // pictures that the browser has decoded

function pictureOf(row) {
  if (!loaded.has(row)) {
    const image = make("img", {src: report.seen.pictures[held().indexOf(row)]});
    loaded.set(row, image.decode().then(() => image));
  }
  return loaded.get(row);
}

async function labelsFor(row, which) {
  const found = await unpackedMasks(), place = held().indexOf(row);
  const codes = which === "truth" ? found.truth[place] : found.masks[place][which];
  return codes === null ? null : labelsOf(codes, ...report.seen.size);
}

// The overlay of truth, or of a variant by its index, on an image; null where its mask is not known.
async function overlay(row, which) {
  const key = `${row} ${which}`;
  if (overlays.size > 200) overlays.clear();
  if (!overlays.has(key)) {
    const truth = await labelsFor(row, "truth"), predicted = which === "truth" ? null : await labelsFor(row, which);
    const known = which === "truth" || predicted !== null;
    overlays.set(key, known ? overlayOf(truth, predicted, ...report.seen.size, report.seen.labels) : null);
  }
  return overlays.get(key);
}

async function drawFrame(canvas, row) {
  const [image, marks] = await Promise.all([pictureOf(row), overlay(row, state.variant)]);
  const context = canvas.getContext("2d"), [height, width] = report.seen.size;
  const scale = Math.min(canvas.width / width, canvas.height / height);
  const place = [(canvas.width - scale * width) / 2, (canvas.height - scale * height) / 2, scale * width, scale * height];
  context.drawImage(image, ...place);
  if (marks) context.drawImage(marks, ...place);
}

function layerNames() {
  const right = state.view === "baseline" ? BASELINE : state.variant;
  const left = state.against === "truth" ? "truth" : BASELINE;
  if (state.view === "truth") return ["truth", "truth"];
  if (state.view === "slider" || state.view === "blink") return [left, right];
  return [right, right];
}

async function showStage() {
  if (state.image === null) return;
  const row = state.image, [left, right] = layerNames();
  const parts = await Promise.all([pictureOf(row), overlay(row, left), overlay(row, right)]);
  if (row !== state.image) return;
  stage.layers = parts;
  const name = (which) => which === "truth" ? "truth" : VARIANTS[which].name;
  const two = state.view === "slider" || state.view === "blink";
  document.getElementById("left-name").textContent = two ? name(left) : name(right);
  document.getElementById("right-name").textContent = two ? name(right) : "";
  document.getElementById("split").hidden = state.view !== "slider";
  for (const button of document.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === state.view));
  document.getElementById("marks").setAttribute("aria-pressed", String(state.marks));
  paint();
  describeImage(row);
}

function paint() {
  const canvas = document.getElementById("stage");
  if (!stage.layers) return;
  const ratio = devicePixelRatio || 1, [height, width] = report.seen.size;
  const across = canvas.clientWidth;
  canvas.width = Math.round(across * ratio);
  canvas.height = Math.round(across * ratio * height / width);
  const context = canvas.getContext("2d"), split = canvas.width * stage.split;
  const [image, left, right] = stage.layers;
  if (state.view === "slider") {
    paintPart(context, image, left, 0, split);
    paintPart(context, image, right, split, canvas.width);
    context.fillStyle = "#fff";
    context.fillRect(split - ratio, 0, 2 * ratio, canvas.height);
  } else {
    paintPart(context, image, state.view === "blink" && !stage.blink ? left : right, 0, canvas.width);
  }
  canvas.dataset.drawn = `${state.image} ${state.view} ${state.variant}`;
}

function paintPart(context, image, marks, from, to) {
  const {width, height} = context.canvas;
  context.save();
  context.beginPath();
  context.rect(from, 0, to - from, height);
  context.clip();
  context.translate(width / 2 + stage.x * width, height / 2 + stage.y * height);
  context.scale(stage.zoom, stage.zoom);
  context.imageSmoothingEnabled = stage.zoom < 6;
  context.drawImage(image, -width / 2, -height / 2, width, height);
  context.imageSmoothingEnabled = false;
  if (marks && state.marks) context.drawImage(marks, -width / 2, -height / 2, width, height);
  context.restore();
}

async function describeImage(row) {
  const image = report.images[row], rows = [["image", image.name]];
  if (image.group !== null) rows.push([report.noun, image.group]);
  if (image.px !== null) rows.push(["lesion", image.px > 0 ? `${image.px} pixels` : "none"]);
  const truth = await labelsFor(row, "truth");
  const table = make("tbody");
  for (const index of new Set([BASELINE, state.variant].filter((each) => each !== null))) {
    const predicted = await labelsFor(row, index), errors = predicted && errorsOf(truth, predicted);
    const cells = [fixed(VARIANTS[index].image_dice[row], 3), errors ? errors.missed : DASH, errors ? errors.false : DASH];
    table.append(make("tr", {}, make("th", {scope: "row", textContent: VARIANTS[index].name}), ...cells.map((text) => make("td", {className: "n", textContent: text}))));
  }
  if (row !== state.image) return;
  const head = make("tr", {}, ...["", "Dice", "missed px", "false px"].map((text) => make("th", {scope: "col", className: text ? "n" : "", textContent: text})));
  document.getElementById("image-numbers").replaceChildren(make("thead", {}, head), table);
  document.getElementById("image-facts").replaceChildren(...rows.flatMap(([title, text]) => [make("dt", {textContent: title}), make("dd", {textContent: text})]));
}

function limited() {
  const most = (stage.zoom - 1) / 2;
  stage.x = Math.min(Math.max(stage.x, -most), most);
  stage.y = Math.min(Math.max(stage.y, -most), most);
}

function zoomBy(factor) {
  stage.zoom = Math.min(Math.max(stage.zoom * factor, 1), 16);
  limited();
  paint();
}

function resetZoom() {
  Object.assign(stage, {zoom: 1, x: 0, y: 0});
  paint();
}

function moveSlider(by) {
  stage.split = Math.min(Math.max(stage.split + by, 0), 1);
  document.getElementById("split").value = 100 * stage.split;
  paint();
}

function blinking() {
  clearInterval(stage.timer);
  stage.blink = true;
  if (state.view === "blink") stage.timer = setInterval(() => { stage.blink = !stage.blink; paint(); }, 800);
}

// A drag moves the slider, or the image where it is enlarged and no slider is shown.
function dragging(canvas) {
  const place = (event) => [(event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth, event.clientY / canvas.clientHeight];
  canvas.addEventListener("pointerdown", (event) => {
    stage.drag = place(event);
    canvas.setPointerCapture(event.pointerId);
    if (state.view === "slider") moveSlider(stage.drag[0] - stage.split);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stage.drag) return;
    const now = place(event);
    if (state.view === "slider") moveSlider(now[0] - stage.split);
    else {
      stage.x += now[0] - stage.drag[0];
      stage.y += now[1] - stage.drag[1];
      stage.drag = now;
      limited();
      paint();
    }
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { stage.drag = null; });
}

function startStage() {
  const canvas = document.getElementById("stage"), range = document.getElementById("split");
  range.addEventListener("input", () => moveSlider(range.value / 100 - stage.split));
  for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => choose({view: button.dataset.view}));
  document.getElementById("marks").addEventListener("click", () => choose({marks: !state.marks}));
  document.getElementById("zoom-in").addEventListener("click", () => zoomBy(1.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoomBy(1 / 1.5));
  document.getElementById("previous").addEventListener("click", () => step(-1));
  document.getElementById("next").addEventListener("click", () => step(1));
  select("against", "against", {truth: ["truth"], baseline: ["baseline"]});
  dragging(canvas);
  new ResizeObserver(() => { if (canvas.clientWidth * (devicePixelRatio || 1) !== canvas.width) paint(); }).observe(canvas);
  follow(["image", "variant", "view", "against", "marks"], showStage);
  follow(["view"], blinking);
  blinking();
  showStage();
}
