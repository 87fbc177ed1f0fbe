"use strict";
// What is large lies in the page compressed, and is unpacked when it is needed.

async function unpacked(id) {
  const text = atob(document.getElementById(id).textContent), bytes = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place++) bytes[place] = text.charCodeAt(place);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

// Charts are drawn by Plotly. Its code is a script of this page, which the page's policy names by its digest.
let library = null;
function charts() {
  library ??= unpacked("plotly").then((text) => {
    document.head.append(make("script", {textContent: text}));
    if (!window.Plotly) throw new Error("the charts could not be started: the page's copy of Plotly does not run");
    return window.Plotly;
  });
  return library;
}

let masks = null;
function unpackedMasks() {
  masks ??= unpacked("masks").then(JSON.parse);
  return masks;
}
