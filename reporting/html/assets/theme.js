"use strict";
// Light or dark: as the system says, until the button says otherwise.

const system = matchMedia("(prefers-color-scheme: dark)");
const themed = [];  // what draws itself anew
let printing = false;

function isDark() {
  const wanted = document.documentElement.dataset.theme;
  return !printing && (wanted ? wanted === "dark" : system.matches);
}

function startTheme() {
  const button = document.getElementById("theme");
  const show = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    themed.forEach((draw) => draw());
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  addEventListener("beforeprint", () => {
    printing = true;
    for (const box of document.querySelectorAll(".reading, .full")) box.open = true;
    show();
  });
  addEventListener("afterprint", () => { printing = false; show(); });
  show();
}

function color(name) {
  const style = getComputedStyle(document.documentElement);
  return style.getPropertyValue(printing ? `--print-${name}` : `--${name}`).trim() || style.getPropertyValue(`--${name}`).trim();
}
