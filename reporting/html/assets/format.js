"use strict";
// How numbers and names are written. A number that rounds to zero has no sign.

const DASH = "–";

function fixed(value, digits) {
  if (value === null || value === undefined) return DASH;
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

function signed(value, digits = 3) {
  if (value === null || value === undefined) return DASH;
  const text = fixed(value, digits);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

function counted(value) {
  if (value === null || value === undefined) return DASH;
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= 0.9995 * size) return `${Number((value / size).toPrecision(3))} ${letter}`;
  }
  return String(value);
}

function megabytes(bytes) {
  return `${Number((bytes / 1e6).toPrecision(3))} MB`;
}

function percent(share) {
  return share === null || share === undefined ? DASH : `${fixed(100 * share, 1)} %`;
}

// Names come from data. Charts read a few tags in text, so that none may be left in a name.
function plain(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function ends(value, digits = 3, write = fixed) {
  return value && value.low !== null ? ` (${write(value.low, digits)} to ${write(value.high, digits)})` : "";
}

// Makes an element: properties, then children; text is text and never markup.
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
