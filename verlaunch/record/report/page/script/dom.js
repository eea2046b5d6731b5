// Elements and words. Text from a run reaches the page through `make` alone, as text nodes.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const NONE = "–";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) element.append(child); // a string becomes text
  }
  return element;
}

function make(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function draw(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function number(value) {
  if (value === null || value === undefined) return NONE;
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return value.toLocaleString("en");
  if (size >= 1e7 || size < 1e-4) return value === 0 ? "0" : value.toExponential(2);
  const shown = Number(value.toPrecision(size >= 1000 ? 5 : 4));
  return shown.toLocaleString("en", { maximumFractionDigits: 7 });
}

function percent(share) {
  return share === null ? NONE : `${number(Number((100 * share).toFixed(1)))} %`;
}

function plural(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

// Flags of the launcher do not break at their dashes.
function sentence(text) {
  const pieces = text.split(/(--\w+)/); // every second one is a flag
  return pieces.map((one, i) => i % 2 ? make("code", { class: "flag" }, one) : one);
}

// A part of the page under its own heading; left out where it has nothing to say.
function section(id, title, ...content) {
  const kept = content.flat().filter(Boolean);
  if (!kept.length) return null;
  return make("section", { id, "aria-labelledby": `${id}-title` },
    make("h2", { id: `${id}-title` }, title), kept);
}

// Folded on a screen until it is asked for; paper shows the inside whatever the state.
function fold(label, content) {
  const inside = make("div", { class: "inside" }, content);
  const button = make("button", { type: "button", class: "fold", "aria-expanded": "false",
    click: () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", open);
    } }, label);
  return make("div", { class: "folding" }, make("h3", {}, button), inside);
}

// columns: [title, row => content, class]. Wide tables scroll inside their frame.
function table(caption, columns, rows, style = "") {
  const cell = (row) => ([title, value, kind]) =>
    make("td", { class: kind || null, "data-label": title }, value(row));
  return make("div", { class: "frame", tabindex: "0", role: "region", "aria-label": caption },
    make("table", { class: style || null },
      make("thead", {}, make("tr", {}, columns.map(([title, , kind]) =>
        make("th", { scope: "col", class: kind || null }, title)))),
      make("tbody", {}, rows.map((row) => make("tr", {}, columns.map(cell(row)))))));
}
