// Where a step and a value lie in a chart: its scales, its ticks, the words for a range.

const HEIGHT = 220;
const EDGE = { top: 8, right: 22, bottom: 24, left: 52 };
const ROOM = 3; // a healthy band may widen the scale this many times

function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => power * factor >= rough);
  const found = [];
  const first = Math.ceil(low / step - 1e-9);
  for (let i = first; i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found.map((value) => Number(value.toPrecision(12)));
}

function extent(chart) {
  const all = chart.series.flatMap((one) => [...one.y, ...(one.y2 || [])])
    .filter((y) => y !== null);
  let low = all.reduce((a, b) => Math.min(a, b), Infinity);
  let high = all.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!all.length) [low, high] = [0, 1];
  for (const edge of chart.healthy || []) {
    if (edge === null) continue;
    const [wider, taller] = [Math.min(low, edge), Math.max(high, edge)];
    if (taller - wider <= ROOM * (high - low)) [low, high] = [wider, taller];
  }
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 0.1;
  return [low - room, high + room];
}

function span(chart) {
  const steps = chart.series.flatMap((one) => [one.x[0], one.x[one.x.length - 1]]);
  const [low, high] = [Math.min(...steps), Math.max(...steps)];
  return low === high ? [low - 1, high + 1] : [low, high];
}

function scales(chart, width) {
  const [[x0, x1], [y0, y1]] = [span(chart), extent(chart)];
  const [wide, high] = [width - EDGE.left - EDGE.right, HEIGHT - EDGE.top - EDGE.bottom];
  return {
    width, x0, x1, y0, y1,
    x: (step) => EDGE.left + ((step - x0) / (x1 - x0)) * wide,
    y: (value) => EDGE.top + ((y1 - value) / (y1 - y0)) * high,
    step: (pixel) => x0 + ((pixel - EDGE.left) / wide) * (x1 - x0),
  };
}

function nearest(xs, step) {
  let [low, high] = [0, xs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= step) low = middle; else high = middle;
  }
  return Math.abs(xs[high] - step) < Math.abs(xs[low] - step) ? high : low;
}

function rangeWords(range) {
  const [low, high] = range;
  if (low === null) return `below ${number(high)}`;
  return high === null ? `above ${number(low)}` : `${number(low)} to ${number(high)}`;
}
