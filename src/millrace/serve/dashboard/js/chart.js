// uPlot in the colours of the page. The chart is made once per theme and kind, then only fed.
import uPlot from '../vendor/uPlot.esm.js';
import { html, useEffect, useRef } from './view.js';
import { number } from './format.js';

const HEIGHT = 280;

function colours() {
  const style = getComputedStyle(document.documentElement);
  const named = (name) => style.getPropertyValue(name).trim();
  return { line: named('--chart'), band: named('--chart-band'), grid: named('--line'), text: named('--quiet') };
}

function axis(colour, more) {
  return {
    stroke: colour.text, font: '12px system-ui, sans-serif',
    grid: { stroke: colour.grid, width: 1 }, ticks: { show: false }, ...more,
  };
}

function options(width, isBanded, onCursor) {
  const colour = colours();
  const edge = { stroke: 'transparent', width: 0, points: { show: false } };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    padding: [12, 8, 0, 0],
    cursor: { y: false, points: { size: 8, width: 2, fill: colour.line }, drag: { x: false, y: false } },
    scales: { x: { time: true }, y: { range: padded } },
    axes: [
      axis(colour, { size: 30, space: 80, grid: { show: false }, values: times }),
      axis(colour, { size: (plot, values) => 14 + 7.2 * Math.max(3, ...(values ?? []).map((one) => one.length)),
        values: (plot, splits) => splits.map(number) }),
    ],
    series: [
      {},
      { stroke: colour.line, width: 1.75, fill: isBanded ? undefined : colour.band,
        points: { show: sparse, size: 5, fill: colour.line } },
      edge, edge,
    ],
    bands: isBanded ? [{ series: [3, 2], fill: colour.band }] : [],
    hooks: { setCursor: [(plot) => onCursor(under(plot))] },
  };
}

const formats = [
  [60, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }],
  [86_400, { hour: '2-digit', minute: '2-digit', hour12: false }],
  [Infinity, { day: 'numeric', month: 'short' }],
].map(([below, how]) => [below, new Intl.DateTimeFormat(undefined, how)]);

// One line under the axis: the time of day, and the date where a day begins.
function times(plot, splits, axisAt, space, step) {
  const [, usual] = formats.find(([below]) => step < below);
  const [, day] = formats.at(-1);
  return splits.map((one) => {
    const at = new Date(one * 1000);
    return (at.getHours() + at.getMinutes() + at.getSeconds() === 0 ? day : usual).format(at);
  });
}

// Room above and below, so that a flat line is in the middle and not on an edge.
function padded(plot, low, high) {
  if (low === null || high === null) return [0, 1];
  const room = (high - low) * 0.12 || Math.abs(high) * 0.02 || 1;
  return [low - room, high + room];
}

function sparse(plot) {
  return plot.data[0].length < 60;
}

function under(plot) {
  const at = plot.cursor.idx;
  if (at === null || at === undefined || plot.data[1][at] === null) return null;
  const [time, value, low, high] = plot.data.map((column) => column[at]);
  return { at: time, value, low, high };
}

export function Chart({ hold, isBanded, label, onCursor }) {
  const box = useRef(null);

  useEffect(() => {
    const node = box.current;
    const dark = matchMedia('(prefers-color-scheme: dark)');
    let plot = null;
    let last = [[[], [], [], []], 0, 1];
    const show = (table, from, to) => {
      last = [table, from, to];
      plot.batch(() => {
        plot.setData(table, false);
        plot.setScale('x', { min: from, max: to });
      });
    };
    const make = () => {
      plot?.destroy();
      plot = new uPlot(options(node.clientWidth, isBanded, onCursor), last[0], node);
      show(...last);
    };
    make();
    hold.current = { show };
    const observer = new ResizeObserver(() => plot.setSize({ width: node.clientWidth, height: HEIGHT }));
    observer.observe(node);
    dark.addEventListener('change', make);
    return () => {
      hold.current = null;
      observer.disconnect();
      dark.removeEventListener('change', make);
      plot.destroy();
    };
  }, [isBanded]);

  return html`<div class="chart" ref=${box} role="img" aria-label=${label}></div>`;
}
