// The table of samples: which of them, in what order. Their text is text, whatever it says.

const CHOICES = [["picked", "best, worst and random"], ["best", "best"], ["worst", "worst"],
  ["random", "random"], ["all", "all of this page"]];

function words(text) {
  const inside = make("div", { class: "text", dir: "auto" }, text);
  const toggle = () => {
    const open = inside.classList.toggle("open");
    button.setAttribute("aria-expanded", open);
    button.textContent = open ? "Less" : "Whole text";
  };
  const button = make("button", { type: "button", class: "more", hidden: "", click: toggle,
    "aria-expanded": "false" }, "Whole text");
  return [inside, button];
}

// A button for the texts that do not fit, once it is known which. All are measured, then all set.
function offerMore(body) {
  const texts = [...body.querySelectorAll(".text:not(.open)")];
  const long = texts.map((one) => one.scrollHeight > one.clientHeight + 4);
  texts.forEach((one, i) => {
    one.classList.toggle("long", long[i]);
    one.nextSibling.hidden = !long[i];
  });
}

// [title, what it sorts by, what it shows, class]
function sampleColumns(samples) {
  const parts = [...new Set(samples.flatMap((one) => Object.keys(one.parts)))];
  const sources = new Set(samples.map((one) => one.source));
  return [
    ["step", (one) => one.step, (one) => number(one.step), "number"],
    ["pick", (one) => one.pick, (one) => one.pick, "pick"],
    ...(sources.size > 1 ? [["data source", (one) => one.source, (one) => one.source, "source"]]
      : []),
    ["score", (one) => one.score, (one) => number(one.score), "number score"],
    ["prompt", (one) => one.prompt, (one) => words(one.prompt), "words"],
    ["response", (one) => one.response, (one) => words(one.response), "words response"],
    ["ground truth", (one) => one.ground_truth, (one) => words(one.ground_truth), "words truth"],
    ...parts.map((part) => [part, (one) => one.parts[part] ?? null,
      (one) => number(one.parts[part] ?? null), "number part"]),
  ];
}

function compare(left, right) {
  if (left === right) return 0;
  if (left === null || right === null) return left === null ? 1 : -1;
  return typeof left === "number" ? left - right : String(left).localeCompare(String(right), "en");
}

function labelled(label, control) {
  control.id = `samples-${label.toLowerCase().replaceAll(" ", "-")}`;
  return make("div", { class: label === "Order" ? "order" : null },
    make("label", { for: control.id }, label), control);
}

function select(options, changed) {
  return make("select", { change: changed },
    options.map(([value, label]) => make("option", { value }, label)));
}

function samplesTable(samples) {
  const columns = sampleColumns(samples);
  const sources = [...new Set(samples.map((one) => one.source))].sort();
  const state = { column: 0, down: false };
  const body = make("tbody");
  const count = make("p", { class: "count", role: "status" });
  const step = (placeholder) =>
    make("input", { type: "number", min: "0", placeholder, input: show });
  const [from, to] = [step("first"), step("last")];
  const which = select(CHOICES, show);
  const source = select([["", "all"], ...sources.map((name) => [name, name])], show);
  const text = make("input", { type: "search", placeholder: "in prompt, response, answer",
    input: show });
  const heads = columns.map(([title, , , kind], index) => make("th", { scope: "col", class: kind },
    make("button", { type: "button", click: () => sort(index) }, title)));
  const order = select(columns.flatMap(([title], index) =>
    [[`${index} up`, `${title} ↑`], [`${index} down`, `${title} ↓`]]), () => {
    const [index, way] = order.value.split(" ");
    Object.assign(state, { column: Number(index), down: way === "down" });
    show();
  });

  // The first click on a column of numbers shows its highest ones.
  function sort(index) {
    const again = state.column === index;
    const numbers = columns[index][3].includes("number");
    Object.assign(state, { column: index, down: again ? !state.down : numbers });
    order.value = `${index} ${state.down ? "down" : "up"}`;
    show();
  }

  function wanted(one) {
    const looked = text.value.trim().toLowerCase();
    const choice = which.value;
    return (choice === "all" || (choice === "picked" ? one.pick !== "" : one.pick === choice)) &&
      (from.value === "" || one.step >= Number(from.value)) &&
      (to.value === "" || one.step <= Number(to.value)) &&
      (source.value === "" || one.source === source.value) &&
      [one.prompt, one.response, one.ground_truth].some((said) =>
        said.toLowerCase().includes(looked));
  }

  function ordered(rows) {
    const by = columns[state.column][1];
    const sorted = [...rows].sort((a, b) => compare(by(a), by(b)));
    const known = sorted.filter((one) => by(one) !== null);
    const unknown = sorted.filter((one) => by(one) === null); // last, whichever the direction
    return [...(state.down ? known.reverse() : known), ...unknown];
  }

  function show() {
    const rows = ordered(samples.filter(wanted));
    body.replaceChildren(...rows.map((one) => make("tr", { class: one.pick || null },
      columns.map(([title, , value, kind]) =>
        make("td", { class: kind, "data-label": title }, value(one))))));
    offerMore(body);
    count.textContent = `${plural(rows.length, "sample")} shown; this page holds ` +
      `${number(samples.length)} of ${number(DATA.sampled)} in samples/train.jsonl.`;
    heads.forEach((head, index) => head.setAttribute("aria-sort",
      index !== state.column ? "none" : state.down ? "descending" : "ascending"));
  }

  show();
  new ResizeObserver(() => offerMore(body)).observe(body); // also when the page is first laid out
  return [
    make("form", { class: "controls", submit: (event) => event.preventDefault() },
      labelled("Show", which), labelled("From step", from), labelled("to step", to),
      sources.length > 1 ? labelled("Data source", source) : null,
      labelled("Text", text), labelled("Order", order)),
    count,
    make("div", { class: "frame", tabindex: "0", role: "region", "aria-label": "Samples" },
      make("table", { class: "samples" }, make("thead", {}, make("tr", {}, heads)), body)),
  ];
}
