"use strict";
// Masks: COCO's compressed run-length code, decoded and coloured.

// Runs of background and label in turn: five bits a sign, the sixth says that more follow; from the third run on, the
// difference to the run before the last.
function runs(code) {
  const counts = [];
  for (let place = 0; place < code.length;) {
    let value = 0, shift = 0, more = true;
    while (more) {
      const bits = code.charCodeAt(place++) - 48;
      value |= (bits & 31) << shift;
      more = (bits & 32) !== 0;
      shift += 5;
      if (!more && (bits & 16)) value |= -1 << shift;
    }
    counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
  }
  return counts;
}

// Labels of an image, row by row, from the code of each label; the code goes column by column.
function labelsOf(codes, height, width) {
  const labels = new Uint8Array(height * width);
  codes.forEach((code, index) => {
    let place = 0, inside = false;
    for (const length of runs(code)) {
      if (inside) {
        for (let step = place; step < place + length; step++) {
          labels[(step % height) * width + Math.floor(step / height)] = index + 1;
        }
      }
      place += length;
      inside = !inside;
    }
  });
  return labels;
}

function rgb(text) {
  return [1, 3, 5].map((place) => parseInt(text.slice(place, place + 2), 16));
}

function kindOf(truth, predicted) {
  if (truth === 0) return predicted === 0 ? null : "false";
  if (predicted === 0) return "missed";
  return truth === predicted ? "found" : "confused";
}

// A canvas of the masks' size: errors of a prediction, or the truth alone, each label in its colour.
function overlayOf(truth, predicted, height, width, labels) {
  const canvas = make("canvas", {width, height});
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  const paints = Object.fromEntries(Object.entries(report.colors).map(([kind, text]) => [kind, rgb(text)]));
  const several = labels > 1 ? report.label_colors.map(rgb) : null;
  for (let place = 0; place < truth.length; place++) {
    const kind = predicted === null ? (truth[place] ? "found" : null) : kindOf(truth[place], predicted[place]);
    if (kind === null) continue;
    const own = several && kind === "found";
    const [red, green, blue] = own ? several[(truth[place] - 1) % several.length] : paints[kind];
    pixels.data[4 * place] = red;
    pixels.data[4 * place + 1] = green;
    pixels.data[4 * place + 2] = blue;
    pixels.data[4 * place + 3] = 255 * (own ? 0.6 : report.alphas[kind]);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function errorsOf(truth, predicted) {
  const counts = {found: 0, missed: 0, false: 0, confused: 0};
  for (let place = 0; place < truth.length; place++) {
    const kind = kindOf(truth[place], predicted[place]);
    if (kind) counts[kind] += 1;
  }
  return counts;
}
