"use strict";
// The charts: trade-offs, losses, single images, sizes of lesions.

const AXES = {
  bytes: ["size of the weights file, MB", (each) => each.bytes / 1e6],
  params: ["parameters", (each) => each.params],
  macs: ["multiply-accumulates of an image", (each) => each.macs],
  time: ["time of an image, beside the baseline's", (each) => each.time?.ratio ?? null],
};
const VALUES = {
  dice: ["Dice on images with a lesion", (each) => each.dice],
  change: ["Dice minus the baseline's", (each) => each.change ?? (each.name === VARIANTS[BASELINE]?.name ? {mean: 0, low: null, high: null} : null)],
  all: ["Dice on all images", (each) => each.all],
  found: ["lesions found, %", (each) => share(each.found)],
  alarms: ["false alarms, %", (each) => share(each.alarms)],
};
const WIDE_RANGE = 4;  // from this ratio on, an axis is logarithmic

function share(value) {
  return value === null ? null : {mean: 100 * value, low: null, high: null};
}

function shownVariants() {
  return VARIANTS.map((each, index) => ({...each, index})).filter((each) => !state.off.includes(each.method));
}

function hoverText(each) {
  const time = each.time;
  return [
    `<b>${plain(each.name)}</b>${each.index === BASELINE ? " (baseline)" : ""}`,
    `Dice ${fixed(each.dice?.mean, 4)}${ends(each.dice)}`,
    each.change ? `change ${signed(each.change.mean)}${ends(each.change, 3, signed)}` : null,
    `${each.params.toLocaleString("en")} parameters`,
    `${megabytes(each.bytes)} (${each.bytes.toLocaleString("en")} bytes)`,
    each.macs ? `${counted(each.macs)} MACs` : null,
    time ? `time ${time.word ?? fixed(time.ratio, 2)} (${fixed(time.low, 2)} to ${fixed(time.high, 2)} of the baseline's)` : null,
    each.front ? "among the best trade-offs" : null,
  ].filter(Boolean).join("<br>");
}

function layout(changes) {
  const grid = {gridcolor: color("line"), zerolinecolor: color("line"), linecolor: color("soft"), ticks: "outside",
    tickcolor: color("line"), automargin: true, fixedrange: matchMedia("(pointer: coarse)").matches};
  const {xaxis = {}, yaxis = {}, ...others} = changes;
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
    font: {family: "system-ui, sans-serif", size: 13, color: color("ink")}, margin: {l: 56, r: 16, t: 12, b: 48},
    hoverlabel: {bgcolor: color("card"), bordercolor: color("soft"), font: {color: color("ink")}, align: "left"},
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    xaxis: {...grid, ...xaxis}, yaxis: {...grid, ...yaxis}, ...others,
  };
}

const CONFIG = {displaylogo: false, displayModeBar: false, responsive: true};

async function draw(id, traces, own, onClick) {
  const box = document.getElementById(id);
  if (!box) return;
  const Plotly = await charts();
  await Plotly.react(box, traces, layout(own), CONFIG);
  box.removeAllListeners("plotly_click");
  box.on("plotly_click", (event) => {
    const key = event.points.map((point) => point.customdata).find((value) => value !== undefined && value !== null);
    if (key !== undefined) onClick(key);
  });
  box.dataset.drawn ||= performance.now();
}

// Series that are too dark for a dark page, lighter.
const ON_DARK = {"#0072B2": "#4ba3db", "#332288": "#9a8cf0", "#882255": "#d46aa0"};

function inkOf(each) {
  if (each.color === "#000000") return color("ink");
  return (isDark() && ON_DARK[each.color]) || each.color;
}

// The smallest and the largest value, without a limit to how many there are.
function extent(values) {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

// An axis over these values: logarithmic where they differ much, with ticks at 1, 2 and 5.
function axis(title, values) {
  const known = values.filter((value) => value > 0), [low, high] = extent(known);
  if (known.length < 2 || high / low <= WIDE_RANGE) return {title: {text: title}, range: range(values, false), type: "linear"};
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const first of [1, 2, 5]) ticks.push(Number(`${first}e${power}`));
  }
  return {title: {text: title}, type: "log", range: range(values, true), tickvals: ticks, ticktext: ticks.map(counted)};
}

function bars(items, read) {
  const known = items.map(read);
  return {
    type: "data", symmetric: false, thickness: 1, width: 0,
    array: known.map((value) => (value?.high ?? null) === null ? 0 : value.high - value.mean),
    arrayminus: known.map((value) => (value?.low ?? null) === null ? 0 : value.mean - value.low),
  };
}

function range(values, logarithmic) {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (known.length === 0) return undefined;
  const [low, high] = extent(known);
  if (logarithmic) {
    const [start, end] = [Math.log10(low), Math.log10(high)], margin = 0.08 * (end - start) + 0.02;
    return [start - margin, end + margin];
  }
  const margin = 0.08 * (high - low) || 0.05;
  return [low - margin, high + margin];
}

function drawTradeoff() {
  const [xTitle, x] = AXES[state.x], [yTitle, y] = VALUES[state.y];
  const shown = shownVariants().filter((each) => x(each) !== null && y(each) !== null);
  const across = axis(xTitle, shown.map(x));
  const traces = [...new Set(shown.map((each) => each.method))].map((method) => {
    const of = shown.filter((each) => each.method === method);
    return {
      type: "scatter", mode: "markers", name: method, x: of.map(x), y: of.map((each) => y(each).mean),
      error_y: {...bars(of, y), color: inkOf(of[0])}, customdata: of.map((each) => each.index), text: of.map(hoverText),
      hovertemplate: "%{text}<extra></extra>",
      marker: {color: inkOf(of[0]), symbol: of.map((each) => each.symbol), size: 10,
        opacity: of.map((each) => each.same_as ? 0.5 : 1)},
    };
  });
  traces.push(...marked(shown, x, y));
  const all = shown.flatMap((each) => [y(each).mean, y(each).low, y(each).high]);
  const base = y(VARIANTS[BASELINE] ?? {})?.mean;
  draw("chart-tradeoff", traces, {
    xaxis: across,
    yaxis: {title: {text: yTitle}, range: range([...all, base], false)},
    shapes: tolerance(base), annotations: labelOf(shown, x, y, across.type === "log"),
  }, pickVariant);
}

// The chosen one has a ring around it, the best trade-offs a thin one.
function marked(shown, x, y) {
  const ring = (of, size, width, paint) => ({
    type: "scatter", mode: "markers", x: of.map(x), y: of.map((each) => y(each).mean), hoverinfo: "skip",
    customdata: of.map((each) => each.index), marker: {symbol: "circle-open", size, color: paint, line: {width, color: paint}},
  });
  return [
    ring(shown.filter((each) => each.front), 17, 1, color("soft")),
    ring(shown.filter((each) => each.index === state.variant), 22, 3, color("accent")),
  ];
}

function labelOf(shown, x, y, logarithmic) {
  return shown.filter((each) => each.index === state.variant).map((each) => ({
    x: logarithmic ? Math.log10(x(each)) : x(each), y: y(each).mean, text: plain(each.name), showarrow: true, ax: 0, ay: -34,
    arrowcolor: color("accent"), font: {color: color("ink"), size: 13}, bgcolor: color("card"), borderpad: 3,
  }));
}

function tolerance(base) {
  if (base === undefined || base === null || !["dice", "change"].includes(state.y)) return [];
  const across = {xref: "paper", x0: 0, x1: 1, layer: "below"};
  return [
    {...across, type: "rect", y0: base - report.tolerated, y1: base, fillcolor: color("band"), line: {width: 0}},
    {...across, type: "line", y0: base, y1: base, line: {color: color("ink"), width: 1, dash: "dash"}},
  ];
}

function drawLosses() {
  const shown = shownVariants().filter((each) => each.change).sort((a, b) => a.bytes - b.bytes);
  const paints = shown.map(inkOf);
  const trace = {
    type: "scatter", mode: "markers", x: shown.map((each) => each.change.mean), y: shown.map((each) => plain(each.name)),
    error_x: {...bars(shown, (each) => each.change), color: color("soft")}, customdata: shown.map((each) => each.index),
    text: shown.map(hoverText), hovertemplate: "%{text}<extra></extra>",
    marker: {color: paints, symbol: shown.map((each) => each.symbol), size: shown.map((each) => each.index === state.variant ? 15 : 9),
      opacity: 1, line: {width: shown.map((each) => each.index === state.variant ? 3 : 0), color: color("ink")}},
  };
  const box = document.getElementById("chart-losses");
  if (box) box.style.height = `${Math.max(220, 80 + 24 * shown.length)}px`;
  const down = {yref: "paper", y0: 0, y1: 1, layer: "below"};
  draw("chart-losses", [trace], {
    xaxis: {title: {text: "Dice minus the baseline's"}}, yaxis: {automargin: true, tickfont: {size: 12}},
    margin: {l: 110, r: 16, t: 8, b: 48},
    shapes: [
      {...down, type: "rect", x0: -report.tolerated, x1: 0, fillcolor: color("band"), line: {width: 0}},
      {...down, type: "line", x0: 0, x1: 0, line: {color: color("ink"), width: 1, dash: "dash"}},
    ],
  }, pickVariant);
}

function drawImages() {
  const own = VARIANTS[state.variant], full = VARIANTS[BASELINE];
  const known = report.rows.filter((row) => (full?.image_dice[row] ?? null) !== null && own.image_dice[row] !== null);
  if (known.length === 0) return;
  const rows = known.map((row) => ({...report.images[row], row, change: own.image_dice[row] - full.image_dice[row]}));
  const lesions = rows.filter((each) => each.px > 0);
  const paint = (each) => each.change < -0.01 ? report.colors.missed : each.change > 0.01 ? report.colors.false : color("soft");
  const trace = {
    type: "scatter", mode: "markers", x: lesions.map((each) => each.px), y: lesions.map((each) => each.change),
    customdata: lesions.map((each) => each.row),
    text: lesions.map((each) => `<b>${plain(each.name)}</b><br>lesion of ${each.px} pixels<br>Dice ${fixed(full.image_dice[each.row], 3)} → ${fixed(own.image_dice[each.row], 3)}<br>a click shows it`),
    hovertemplate: "%{text}<extra></extra>",
    marker: {color: lesions.map(paint), size: lesions.map((each) => each.row === state.image ? 14 : 9),
      symbol: lesions.map((each) => own.image_dice[each.row] === 0 ? "x" : "circle"), opacity: 0.85,
      line: {width: lesions.map((each) => each.row === state.image ? 3 : 0.5), color: color("ink")}},
  };
  draw("chart-images", [trace], {
    xaxis: axis("pixels of the lesion", lesions.map((each) => each.px)),
    yaxis: {title: {text: "Dice minus the baseline's"}, zeroline: true, zerolinecolor: color("ink")},
  }, openImage);
}

function drawSizes() {
  const groups = report.lesions;
  if (groups.length === 0) return;
  const names = groups.map((each) => `${each.size}<br>${each.from} to ${each.to} px`);
  const line = (each, paint, width, extra) => ({
    type: "scatter", mode: "lines+markers", x: names, y: groups.map((group) => each.sizes[group.size]?.mean ?? null),
    text: groups.map((group) => `<b>${plain(each.name)}</b><br>${group.images} images<br>Dice ${fixed(each.sizes[group.size]?.mean, 3)}${ends(each.sizes[group.size])}`),
    hovertemplate: "%{text}<extra></extra>", customdata: groups.map(() => each.index), line: {color: paint, width},
    marker: {size: width > 2 ? 9 : 4, color: paint}, ...extra,
  });
  const withBars = (each, paint, dash) => line(each, paint, 3, {
    error_y: {...bars(groups, (group) => each.sizes[group.size]), color: paint}, line: {color: paint, width: 3, dash}});
  const others = shownVariants().filter((each) => each.index !== BASELINE && each.index !== state.variant);
  const traces = others.map((each) => line(each, color("line"), 1, {}));
  if (BASELINE !== null) traces.push(withBars({...VARIANTS[BASELINE], index: BASELINE}, color("ink"), "dash"));
  if (state.variant !== BASELINE) traces.push(withBars({...VARIANTS[state.variant], index: state.variant}, color("accent"), "solid"));
  draw("chart-sizes", traces, {yaxis: {title: {text: "Dice"}}, xaxis: {type: "category", range: [-0.3, groups.length - 0.7]}}, pickVariant);
}

function methodSwitches() {
  const box = document.getElementById("methods-shown");
  const methods = [...new Map(VARIANTS.map((each) => [each.method, each])).values()];
  for (const each of methods) {
    const dot = make("span", {className: "dot"});
    dot.style.background = each.color === "#000000" ? "var(--ink)" : each.color;
    const button = make("button", {type: "button", className: "chip"}, dot, each.method);
    const show = () => button.setAttribute("aria-pressed", String(!state.off.includes(each.method)));
    button.addEventListener("click", () => choose({
      off: state.off.includes(each.method) ? state.off.filter((name) => name !== each.method) : [...state.off, each.method],
    }));
    follow(["off"], show);
    show();
    box.append(button);
  }
}

function axisChoice(field, table) {
  const select = document.getElementById(`axis-${field}`);
  for (const [name, [title, read]] of Object.entries(table)) {
    if (VARIANTS.some((each) => (read(each) ?? null) !== null)) select.append(make("option", {value: name, textContent: title}));
  }
  select.value = state[field];
  select.addEventListener("change", () => choose({[field]: select.value}));
  follow([field], () => { select.value = state[field]; });
}

function startCharts() {
  if (!document.getElementById("chart-tradeoff")) return;
  methodSwitches();
  axisChoice("x", AXES);
  axisChoice("y", VALUES);
  const all = [drawTradeoff, drawLosses, drawImages, drawSizes];
  follow(["variant", "x", "y", "off"], drawTradeoff);
  follow(["variant", "off"], drawLosses);
  follow(["variant", "image"], drawImages);
  follow(["variant", "off"], drawSizes);
  themed.push(() => all.forEach((each) => each()));
}
