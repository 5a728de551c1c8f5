/** Draws the curves of the page; runs in the browser, put into the page by page.ts. */
import uPlot from 'uplot';

const COLOURS = ['#0b6e4f', '#c8553d', '#3d5a80', '#8a5a9e', '#b8860b', '#4f9d9d', '#7a4419', '#888888'];
const SIZE = { width: 560, height: 320 };
/** How far the axes reach beyond the outermost points, so that they can be seen. */
const MARGIN = 0.08;

function colourOf(label, servers) {
  return COLOURS[servers.indexOf(label.replace(/ p\d+$/, '')) % COLOURS.length];
}

/** Points of the axis that are far enough apart for their labels. */
function labelled(x) {
  const apart = (x.at(-1) - x[0]) * MARGIN;
  const kept = [];
  for (const each of x) if (kept.length === 0 || each - kept.at(-1) >= apart) kept.push(each);
  return kept;
}

for (const { x, series, xLabel, yLabel, isLogarithmic, place } of JSON.parse(document.getElementById('plots').textContent)) {
  const servers = [...new Set(series.map(({ label }) => label.replace(/ p\d+$/, '')))];
  const [low, high] = [x[0], x.at(-1)];
  const margin = (high - low || high) * MARGIN;
  const values = series.flatMap((each) => each.values).filter((value) => value !== null);
  const top = Math.max(...values) * (1 + MARGIN);
  const plot = new uPlot(
    {
      ...SIZE,
      scales: {
        x: { time: false, range: [low - margin, high + margin] },
        y: isLogarithmic ? { distr: 3 } : { range: [0, top] },
      },
      axes: [
        {
          label: xLabel,
          splits: () => labelled(x),
          values: (_, splits) => splits.map((each) => each.toLocaleString('en')),
          grid: { show: false },
        },
        { label: yLabel, size: 60, values: (_, splits) => splits.map((each) => (each === null ? '' : each.toLocaleString('en'))) },
      ],
      series: [
        { label: xLabel, value: (_, value) => (value === null ? '' : value.toLocaleString('en')) },
        ...series.map(({ label }) => ({
          label,
          stroke: colourOf(label, servers),
          width: 2,
          dash: label.endsWith(' p99') ? [6, 4] : [],
          points: { show: true, size: 7 },
          spanGaps: true,
          value: (_, value) => (value === null ? '' : value.toPrecision(3)),
        })),
      ],
    },
    [x, ...series.map((each) => each.values)],
  );
  document.getElementById(place).append(plot.root);
}
