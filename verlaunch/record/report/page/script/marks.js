// The shapes of a chart: axes, healthy band, curves, alerts.

// A gap in the numbers is a gap in the line.
function outline(xs, ys, at) {
  let pen = "M";
  return xs.map((x, i) => {
    if (ys[i] === null) { pen = "M"; return ""; }
    const piece = `${pen}${at.x(x).toFixed(1)} ${at.y(ys[i]).toFixed(1)}`;
    const alone = pen === "M" && (i + 1 === xs.length || ys[i + 1] === null);
    pen = "L";
    return alone ? `${piece}h0` : piece;
  }).join("");
}

function area(one, at) {
  const there = one.x.map((x, i) => [x, one.y[i]]).filter(([, y]) => y !== null);
  const back = one.x2.map((x, i) => [x, one.y2[i]]).filter(([, y]) => y !== null).reverse();
  return "M" + [...there, ...back]
    .map(([x, y]) => `${at.x(x).toFixed(1)} ${at.y(y).toFixed(1)}`).join("L") + "Z";
}

function axes(at) {
  const text = (x, y, anchor, value) =>
    draw("text", { class: "tick", x, y, "text-anchor": anchor }, number(value));
  const [left, right] = [EDGE.left, at.width - EDGE.right];
  const lines = ticks(at.y0, at.y1, 5).map((value) => [
    draw("line", { class: "grid", x1: left, x2: right, y1: at.y(value), y2: at.y(value) }),
    text(left - 8, at.y(value) + 4, "end", value)]);
  const steps = ticks(Math.max(at.x0, 0), at.x1, Math.max(2, at.width / 90));
  return [lines, steps.filter(Number.isInteger).map((step) =>
    text(at.x(step), HEIGHT - 6, "middle", step))];
}

function healthy(chart, at) {
  if (!chart.healthy) return null;
  const [low, high] = chart.healthy;
  const top = at.y(high === null ? at.y1 : Math.min(high, at.y1));
  const bottom = at.y(low === null ? at.y0 : Math.max(low, at.y0));
  if (bottom <= top) return null;
  return draw("rect", { class: "healthy", x: EDGE.left, y: top, height: bottom - top,
    width: at.width - EDGE.left - EDGE.right });
}

function curve(one, hue, at, faint) {
  if (one.kind === "band") return draw("path", { class: `band s${hue}`, d: area(one, at) });
  const style = `line s${hue}${faint ? " faint" : ""}`;
  const line = draw("path", { class: style, d: outline(one.x, one.y, at) });
  const dotted = one.x.length === 1 || one.kind === "sparse";
  const dots = dotted ? one.x.map((x, i) => one.y[i] === null ? null :
    draw("circle", { class: `dot s${hue}`, cx: at.x(x), cy: at.y(one.y[i]), r: 3 })) : [];
  return draw("g", {}, line, dots);
}

function alerts(chart, at) {
  return chart.alerts.map((step) => {
    const [x, y] = [at.x(step), HEIGHT - EDGE.bottom];
    return draw("path", { class: "alert", d: `M${x} ${y - 9}l5 9h-10z` },
      draw("title", {}, `alert at step ${step}`));
  });
}
