"use strict";
// What is chosen, in one place: whoever shows it listens, and the address of the page holds it.

const report = JSON.parse(document.getElementById("data").textContent);
const VARIANTS = report.variants;
const BASELINE = report.baseline;

// The page may hold a part of the test images: what is known of one is found by its row in the split.
const byRow = (values) => Object.fromEntries(values.map((value, place) => [report.rows[place], value]));
report.images = byRow(report.images);
for (const each of VARIANTS) each.image_dice = byRow(each.image_dice);

const DEFAULTS = {
  variant: report.chosen ?? report.baseline ?? 0,
  image: null,  // row of the split
  filter: "all",
  sort: "loss",
  view: "slider",
  against: "truth",
  marks: true,
  x: "bytes",
  y: "dice",
  off: [],  // methods that charts leave out
};
const CHOICES = {
  filter: ["all", "lost", "gained", "missed", "alarm", "small"],
  sort: ["loss", "gain", "size", "order"],
  view: ["slider", "blink", "truth", "baseline", "variant"],
  against: ["truth", "baseline"],
  x: ["bytes", "params", "macs", "time"],
  y: ["dice", "change", "all", "found", "alarms"],
};

const state = {...DEFAULTS};
const listeners = [];

// Calls `show` now and whenever one of the fields changes.
function follow(fields, show) {
  listeners.push([fields, show]);
}

function choose(update) {
  const changed = Object.keys(update).filter((field) => String(state[field]) !== String(update[field]));
  if (changed.length === 0) return;
  Object.assign(state, update);
  history.replaceState(null, "", address() || location.pathname + location.search);
  tell(changed);
}

function tell(changed) {
  for (const [fields, show] of listeners) {
    if (fields.some((field) => changed.includes(field))) show();
  }
}

function address() {
  const parts = new URLSearchParams();
  for (const [field, value] of Object.entries(state)) {
    if (String(value) === String(DEFAULTS[field])) continue;
    if (field === "variant") parts.set(field, VARIANTS[value].name);
    else if (field === "off") parts.set(field, value.join("|"));
    else parts.set(field, value);
  }
  const text = parts.toString();
  return text && `#${text}`;
}

// Takes over what an address says; what it says wrongly is left as it is. Returns whether it said anything.
function readAddress() {
  const text = location.hash.slice(1);
  if (!text.includes("=")) return false;
  const update = {};
  for (const [field, value] of new URLSearchParams(text)) {
    if (field === "variant") {
      const index = VARIANTS.findIndex((each) => each.name === value);
      if (index >= 0) update.variant = index;
    } else if (field === "image" && report.images[Number(value)]) update.image = Number(value);
    else if (field === "marks") update.marks = value !== "false";
    else if (field === "off") update.off = value.split("|").filter((name) => VARIANTS.some((each) => each.method === name));
    else if (CHOICES[field]?.includes(value)) update[field] = value;
  }
  Object.assign(state, DEFAULTS, update);
  return true;
}

function pickVariant(index) {
  choose({variant: index});
}

function pickImage(row) {
  choose({image: row});
}
