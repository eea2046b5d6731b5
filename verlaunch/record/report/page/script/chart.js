// One chart: what it shows, its legend, and a cursor that a pointer or the arrow keys move.

const UNSEEN = 520; // width of a chart that is folded away while it is drawn

function describe(chart) {
  const lines = chart.series.filter((one) => one.kind !== "smooth" && one.kind !== "band");
  const said = lines.map((one) => {
    const known = one.y.filter((y) => y !== null);
    if (!known.length) return `${one.label}: no finite value`;
    return `${one.label}: ${number(known[0])} at step ${one.x[0]}, ` +
      `${number(known[known.length - 1])} at step ${one.x[one.x.length - 1]}`;
  });
  return `${chart.title}. ${said.join(". ")}`;
}

// What a curve says at a step; where it is not measured there, at the nearest step.
function reading(one, step) {
  const i = nearest(one.x, step);
  const low = one.kind === "band" ? `${number(one.y2[nearest(one.x2, step)])} to ` : "";
  const value = low + number(one.y[i]);
  return one.x[i] === step ? value : `${value} at ${number(one.x[i])}`;
}

function chartFigure(chart) {
  const told = chart.series.filter((one) => one.kind !== "smooth");
  const hues = new Map();
  const shared = told[0].kind === "band" ? 1 : 0; // a band has the hue of the first curve
  told.forEach((one, i) => hues.set(one.label, Math.max(0, i - shared) % 8));
  const hidden = new Set();
  const calm = chart.series.filter((one) => one.kind === "smooth").map((one) => one.label);
  const main = told.find((one) => one.kind === "raw") || told[0];
  const last = main.x.length - 1;
  const picture = draw("svg", { role: "img", tabindex: "0", "aria-label": describe(chart) });
  const cursor = draw("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom });
  const when = make("span", { class: "step" });
  const values = told.map((one) => make("b", { class: `s${hues.get(one.label)}` }));
  let at = null;
  let place = null; // index in `main` under the cursor

  function redraw() {
    at = scales(chart, Math.round(picture.clientWidth) || UNSEEN);
    picture.setAttribute("viewBox", `0 0 ${at.width} ${HEIGHT}`);
    const shown = chart.series.filter((one) => !hidden.has(one.label));
    picture.replaceChildren();
    fill(picture, {}, [healthy(chart, at), axes(at), shown.map((one) =>
      curve(one, hues.get(one.label), at, one.kind === "raw" && calm.includes(one.label))),
      alerts(chart, at), cursor]);
    point(place);
  }

  function point(index) {
    place = index;
    const step = main.x[index ?? last];
    cursor.setAttribute("visibility", index === null ? "hidden" : "visible");
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, at.x(step));
    when.textContent = `step ${number(step)}`;
    told.forEach((one, i) => { values[i].textContent = reading(one, step); });
  }

  function key(one, i) {
    const chip = make("span", { class: `chip ${one.kind}`, "aria-hidden": "true" });
    const toggle = () => {
      if (!hidden.delete(one.label)) hidden.add(one.label);
      button.setAttribute("aria-pressed", !hidden.has(one.label));
      redraw();
    };
    const button = make("button", { type: "button", "aria-pressed": "true", click: toggle,
      class: `s${hues.get(one.label)}` }, chip, `${one.label} `, values[i]);
    return button;
  }

  function follow(event) {
    const box = picture.getBoundingClientRect();
    point(nearest(main.x, at.step(((event.clientX - box.left) / box.width) * at.width)));
  }

  const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10,
    Home: -Infinity, End: Infinity };
  fill(picture, {
    pointermove: follow,
    pointerdown: follow,
    pointerleave: () => point(null),
    blur: () => point(null),
    keydown: (event) => {
      if (!(event.key in moves)) return;
      event.preventDefault();
      point(Math.max(0, Math.min(last, (place ?? last) + moves[event.key])));
    },
  }, []);
  redraw();
  new ResizeObserver(() => {
    if (picture.clientWidth && Math.round(picture.clientWidth) !== at.width) redraw();
  }).observe(picture);
  const range = chart.healthy && make("p", { class: "range" },
    make("span", { class: "swatch", "aria-hidden": "true" }),
    `healthy ${rangeWords(chart.healthy)}`);
  const many = told.length > 1;
  return make("figure", { class: "chart" },
    make("figcaption", {}, make("h3", {}, chart.title), range,
      make("p", { class: "readout", role: "status" }, when, many ? null : values)),
    picture, many ? make("div", { class: "legend" }, told.map(key)) : null,
    chart.help ? make("p", { class: "help" }, chart.help) : null);
}
