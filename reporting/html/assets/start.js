"use strict";
// Starts everything, and moves within the page without losing what is chosen.

function startPage() {
  const deep = readAddress();
  for (const select of document.querySelectorAll("select.variants")) variantChoice(select);
  for (const box of document.querySelectorAll(".failures")) box.open = false;  // the browser shows the same
  startTable();
  startRows();
  startGroups();
  startBrowser();
  startCharts();
  startTheme();
  for (const link of document.querySelectorAll("a[href^='#']")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      document.getElementById(link.getAttribute("href").slice(1)).scrollIntoView({behavior: "smooth"});
    });
  }
  addEventListener("hashchange", () => { if (readAddress()) tell(Object.keys(state)); });
  if (deep && new URLSearchParams(location.hash.slice(1)).has("image")) document.getElementById("images")?.scrollIntoView();
  document.documentElement.dataset.ready = performance.now();
}

startPage();
