"use strict";
// The image browser: which images, in which order, and the film of them.

const NOTABLE = 0.01;  // change of Dice that counts
const AT_ONCE = 60;  // images of the film, until more are asked for
const film = {rows: [], shown: AT_ONCE, seen: null};

function held() {
  return report.seen.rows;
}

function changeOf(row) {
  const full = VARIANTS[BASELINE]?.image_dice[row], own = VARIANTS[state.variant].image_dice[row];
  return (full ?? null) === null || own === null ? 0 : own - full;
}

const FILTERS = {
  all: ["all", () => true],
  lost: ["lost", (row) => report.images[row].px !== 0 && changeOf(row) < -NOTABLE],
  gained: ["gained", (row) => report.images[row].px !== 0 && changeOf(row) > NOTABLE],
  missed: ["missed", (row) => report.images[row].px > 0 && VARIANTS[state.variant].image_dice[row] === 0],
  alarm: ["false alarm", (row) => report.images[row].px === 0 && (VARIANTS[state.variant].image_dice[row] ?? 1) < 1],
  small: ["small lesions", (row) => report.images[row].px > 0 && report.small_px !== null && report.images[row].px <= report.small_px],
};
const ORDERS = {
  loss: ["what the variant loses", (row) => changeOf(row)],
  gain: ["what it gains", (row) => -changeOf(row)],
  size: ["size of the lesion", (row) => report.images[row].px ?? 0],
  order: ["the order of the split", (row) => row],
};

function arrange() {
  const key = ORDERS[state.sort][1];
  film.rows = held().filter(FILTERS[state.filter][1]).sort((a, b) => key(a) - key(b) || a - b);
  film.shown = AT_ONCE;
  for (const [name, [title, test]] of Object.entries(FILTERS)) {
    const button = document.querySelector(`[data-filter="${name}"]`);
    button.textContent = `${title} ${held().filter(test).length}`;
    button.setAttribute("aria-pressed", String(state.filter === name));
  }
  showFilm();
}

function showFilm() {
  const list = document.getElementById("film"), had = list.contains(document.activeElement);
  list.replaceChildren(...film.rows.slice(0, film.shown).map(frame));
  document.getElementById("film-more").hidden = film.rows.length <= film.shown;
  document.getElementById("film-none").hidden = film.rows.length > 0;
  markFrame();
  // The frame that had the focus is gone, and keys would go nowhere.
  if (had) (list.querySelector(`[data-row="${state.image}"]`) ?? document.getElementById("stage")).focus({preventScroll: true});
}

// Shows the images of a filter, and of these the first, where the one on the stage is none of them.
function pickFilter(name) {
  choose({filter: name});
  if (film.rows.length > 0 && !film.rows.includes(state.image)) pickImage(film.rows[0]);
}

function frame(row) {
  const image = report.images[row], change = changeOf(row);
  const canvas = make("canvas", {width: 96, height: 96});
  const button = make("button", {type: "button", title: image.name}, canvas,
    make("span", {className: "name"}, make("bdi", {textContent: image.name})),
    make("span", {className: change < -NOTABLE ? "loss" : "gain", textContent: signed(change, 2)}));
  button.dataset.row = row;
  button.addEventListener("click", () => pickImage(row));
  film.seen.observe(canvas);
  return make("li", {}, button);
}

function markFrame() {
  for (const button of document.querySelectorAll("#film button")) {
    const chosen = Number(button.dataset.row) === state.image;
    button.setAttribute("aria-current", String(chosen));
    if (chosen) {
      const list = document.getElementById("film");
      if (button.offsetTop < list.scrollTop || button.offsetTop + button.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = button.offsetTop - 8;
      if (button.offsetLeft < list.scrollLeft || button.offsetLeft + button.offsetWidth > list.scrollLeft + list.clientWidth) list.scrollLeft = button.offsetLeft - 8;
    }
  }
}

// The next image of the film, or the one before.
function step(by) {
  if (film.rows.length === 0) return;
  const place = film.rows.indexOf(state.image), next = Math.min(Math.max(place + by, 0), film.rows.length - 1);
  if (next >= film.shown) {
    film.shown = next + AT_ONCE;
    showFilm();
  }
  pickImage(film.rows[next]);
}

// Shows an image from elsewhere on the page; where the film leaves it out, the film shows all.
function openImage(row) {
  if (!report.seen || !held().includes(row)) return;
  if (!film.rows.includes(row)) choose({filter: "all"});
  pickImage(row);
  document.getElementById("images").scrollIntoView({behavior: "smooth"});
}

function variantChoice(select) {
  VARIANTS.forEach((each, index) => select.append(make("option", {value: index, textContent: each.name})));
  const show = () => { select.value = state.variant; };
  select.addEventListener("change", () => pickVariant(Number(select.value)));
  follow(["variant"], show);
  show();
}

function select(id, field, table) {
  const box = document.getElementById(id);
  for (const [name, [title]] of Object.entries(table)) box.append(make("option", {value: name, textContent: title}));
  box.value = state[field];
  box.addEventListener("change", () => choose({[field]: box.value}));
  follow([field], () => { box.value = state[field]; });
}

const KEYS = {
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), n: () => step(1), p: () => step(-1),
  ArrowDown: () => pickVariant((state.variant + 1) % VARIANTS.length),
  ArrowUp: () => pickVariant((state.variant + VARIANTS.length - 1) % VARIANTS.length),
  s: () => choose({view: "slider"}), b: () => choose({view: "blink"}), t: () => choose({view: "truth"}),
  o: () => choose({view: "baseline"}), v: () => choose({view: "variant"}), m: () => choose({marks: !state.marks}),
  "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: () => resetZoom(),
  ",": () => moveSlider(-0.05), ".": () => moveSlider(0.05),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || ["INPUT", "SELECT"].includes(event.target.tagName)) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function startBrowser() {
  const box = document.getElementById("browser");
  if (!box) return;
  report.seen = JSON.parse(document.getElementById("pictures").textContent);
  if (!held().includes(state.image)) state.image = held().includes(report.opening) ? report.opening : held()[0];
  DEFAULTS.image = held().includes(report.opening) ? report.opening : held()[0];
  film.seen = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
    film.seen.unobserve(entry.target);
    drawFrame(entry.target, Number(entry.target.parentElement.dataset.row));
  }), {rootMargin: "200px"});
  for (const name of Object.keys(FILTERS)) {
    const button = make("button", {type: "button", className: "chip"});
    button.dataset.filter = name;
    button.addEventListener("click", () => pickFilter(name));
    document.getElementById("filters").append(button);
  }
  select("sort", "sort", ORDERS);
  document.getElementById("film-more").addEventListener("click", () => { film.shown += AT_ONCE; showFilm(); });
  box.addEventListener("keydown", onKey);
  follow(["variant", "filter", "sort"], arrange);
  follow(["image"], markFrame);
  startStage();
  arrange();
}
