// The sections of the page, in the order in which one asks about a run.

function head() {
  const { title, state, reason, facts, command } = DATA.head;
  return make("header", {},
    make("p", { class: "kind" }, "PPO training run"),
    make("h1", { dir: "auto" }, title),
    make("p", { class: "state" }, make("span", { class: `badge ${state}` }, state), reason),
    make("dl", { class: "facts" }, facts.map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", { dir: "auto" }, value)))),
    command ? make("pre", { class: "command", tabindex: "0" }, make("code", {}, command)) : null);
}

function ways(sections) {
  return make("nav", { "aria-label": "Sections" }, sections.map((one) =>
    make("a", { href: `#${one.id}` }, one.querySelector("h2").textContent)));
}

function brief(value) {
  return number(Number(value.toPrecision(3)));
}

function glance() {
  if (!DATA.glance.length) return null;
  return make("div", { class: "glance" }, DATA.glance.map((one) => make("div", { class: "tile" },
    make("p", { class: "name" }, one.name),
    make("p", { class: "figure" }, one.from === null ? null :
      [brief(one.from), make("span", { class: "arrow" }, " → ")], brief(one.value)),
    make("p", { class: "note" }, one.note))));
}

const SPREAD = [
  ["metric", (one) => [one.title, " ", make("code", { class: "short" }, one.name)], "name"],
  ["first", (one) => number(one.first), "number"],
  ["last", (one) => number(one.last), "number"],
  ["lowest", (one) => number(one.min), "number"],
  ["highest", (one) => number(one.max), "number"],
];

function verdicts() {
  const judged = DATA.verdicts.filter((one) => one.verdict);
  const others = DATA.verdicts.filter((one) => !one.verdict);
  const [name, ...numbers] = SPREAD;
  return [
    judged.length ? table("Verdicts", [
      name,
      ["verdict", (one) => make("span", { class: `verdict ${one.verdict}` }, one.verdict)],
      ...numbers,
      ["healthy", (one) => one.healthy ? rangeWords(one.healthy) : "", "range"],
      ["what it means", (one) => sentence(one.sentence), "sentence"],
    ], judged, "cards") : null,
    others.length ? fold("All other metrics", table("All other metrics", SPREAD, others)) : null,
  ];
}

function warnings() {
  if (!DATA.alerts.length) return null;
  return make("ul", { class: "alerts" }, DATA.alerts.map((one) => make("li", {},
    make("span", { class: "when" }, one.steps), make("b", {}, one.name), " ",
    make("span", { dir: "auto" }, sentence(one.sentence)))));
}

function curves() {
  const grid = (group) => {
    const charts = DATA.charts.filter((chart) => chart.group === group);
    return charts.length ? make("div", { class: "charts" }, charts.map(chartFigure)) : null;
  };
  const more = grid("more");
  return [grid("main"), more && fold("More curves", more)];
}

function judge() {
  return DATA.judge.length ? table("Judge", [
    ["what", ([name]) => name],
    ["of this run", ([, value]) => value === null ? "not known" : number(value), "number"],
  ], DATA.judge, "short") : null;
}

function time() {
  if (!DATA.phases.length) return null;
  const pieces = DATA.phases.map(([, share], index) => {
    const piece = make("span", { class: `s${index % 8}` });
    piece.style.flexGrow = share; // set by script: the policy forbids style attributes
    return piece;
  });
  const chip = (row) => make("span", { "aria-hidden": "true",
    class: `chip s${DATA.phases.indexOf(row) % 8}` });
  return [make("div", { class: "bar", "aria-hidden": "true" }, pieces), table("Time by phase", [
    ["phase", (row) => [chip(row), row[0]]],
    ["share of the time", ([, share]) => percent(share), "number"],
  ], DATA.phases, "short")];
}

function settings() {
  if (!DATA.settings.length) return null;
  const label = `${plural(DATA.settings.length, "difference")} from verl's defaults`;
  return fold(label, table("Settings", [
    ["key", (one) => make("code", {}, one.key), "key"],
    ["default", (one) => make("code", {}, one.default), "value"],
    ["here", (one) => make("code", {}, one.here), "value"],
  ], DATA.settings, "settings"));
}

function pairs(caption, rows) {
  return rows.length ? table(caption, [
    ["what", ([name]) => name],
    ["which", ([, value]) => make("code", {}, value)],
  ], rows, "short") : null;
}

function files() {
  return DATA.files.length ? table("Files", [
    ["file", ([name]) => make("code", {}, name), "key"],
    ["what it holds", ([, what]) => what],
  ], DATA.files) : null;
}

const sections = [
  section("verdicts", "Verdicts", glance(), ...verdicts()) || section("verdicts", "Verdicts",
    make("p", {}, "There is no finished step.")),
  section("alerts", "Alerts", warnings()),
  section("curves", "Curves", curves()),
  section("samples", "Samples", DATA.samples.length ? samplesTable(DATA.samples) : []),
  section("judge", "Judge", judge()),
  section("time", "Time", time()),
  section("settings", "Settings", settings()),
  section("machine", "Versions and machine", pairs("Versions and machine", DATA.versions)),
  section("files", "Files", files()),
].filter(Boolean);

document.getElementById("main").append(head(), ways(sections), ...sections);
