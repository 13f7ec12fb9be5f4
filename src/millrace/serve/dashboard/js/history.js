// The history of one series: loaded for a range of time, then continued by the live stream.
// Short ranges show every reading, longer ones the mean of windows with the band from min to max.
import { html, useEffect, useRef, useState } from './view.js';
import { exportUrl, rawPoints, windows } from './api.js';
import { millis, moment, number, symbol, words } from './format.js';
import { Chart } from './chart.js';

const MINUTE = 60_000;
const RANGES = [
  { key: '5m', label: '5 min', ms: 5 * MINUTE },
  { key: '15m', label: '15 min', ms: 15 * MINUTE },
  { key: '1h', label: '1 h', ms: 60 * MINUTE, every: '10s', everyMs: 10_000 },
  { key: '6h', label: '6 h', ms: 360 * MINUTE, every: '1m', everyMs: MINUTE },
  { key: '24h', label: '24 h', ms: 1440 * MINUTE, every: '5m', everyMs: 5 * MINUTE },
  { key: '7d', label: '7 d', ms: 10080 * MINUTE, every: '30m', everyMs: 30 * MINUTE },
  { key: '30d', label: '30 d', ms: 43200 * MINUTE, every: '2h', everyMs: 120 * MINUTE },
];
const RELOAD_MS = 60_000;
const RANGE_KEY = 'millrace.range';
const MOST_POINTS = 20_000;

// Columns of the chart: seconds, mean, min, max.
class Columns {
  constructor(rows) {
    this.rows = rows;
  }

  static raw(points) {
    return new Columns(points.map((one) => [millis(one.time) / 1000, one.value, one.value, one.value]));
  }

  static windows(points, everyMs) {
    return new Columns(points.map((one) => (
      [(millis(one.time) + everyMs / 2) / 1000, one.mean, one.min, one.max]
    )));
  }

  add(at, value) {
    const { rows } = this;
    const last = rows.at(-1);
    if (last && last[0] === at) rows.pop();
    rows.push([at, value, value, value]);
    if (last && last[0] > at) rows.sort((one, two) => one[0] - two[0]);
    if (rows.length > MOST_POINTS) rows.splice(0, rows.length - MOST_POINTS);
  }

  // A pause of many steps is a hole in the line, not a slope.
  table(fromSeconds) {
    const rows = this.rows.filter((row) => row[0] >= fromSeconds);
    const steps = rows.slice(1).map((row, at) => row[0] - rows[at][0]).sort((one, two) => one - two);
    const hole = Math.max(5 * (steps[Math.floor(steps.length / 2)] ?? 0), 2);
    const table = [[], [], [], []];
    rows.forEach((row, at) => {
      if (at && row[0] - rows[at - 1][0] > hole) {
        table[0].push((row[0] + rows[at - 1][0]) / 2);
        for (const column of table.slice(1)) column.push(null);
      }
      row.forEach((value, column) => table[column].push(value));
    });
    return table;
  }
}

function summary(table) {
  let [low, high, sum, size] = [Infinity, -Infinity, 0, 0];
  for (let at = 0; at < table[0].length; at += 1) {
    if (table[1][at] === null) continue;
    low = Math.min(low, table[2][at]);
    high = Math.max(high, table[3][at]);
    sum += table[1][at];
    size += 1;
  }
  return size ? { low, high, mean: sum / size } : null;
}

function useHistory(id, series, range, listen, onData) {
  const [state, setState] = useState({ isLoading: true, error: null });
  const columns = useRef(new Columns([]));
  const [round, setRound] = useState(0);

  useEffect(() => {
    const abort = new AbortController();
    let frame = 0;
    const draw = () => {
      frame ||= requestAnimationFrame(() => { frame = 0; onData(columns.current, range); });
    };
    let early = [];
    const load = async () => {
      early = [];
      try {
        const start = `-${Math.round(range.ms / 1000)}s`;
        columns.current = range.every
          ? Columns.windows(await windows(id, series, start, range.every, abort.signal), range.everyMs)
          : Columns.raw(await rawPoints(id, series, start, abort.signal));
        // What arrived while the history was on its way may not be in it.
        for (const [at, value] of early) columns.current.add(at, value);
        setState({ isLoading: false, error: null });
        draw();
      } catch (error) {
        if (error.name !== 'AbortError') setState({ isLoading: false, error: error.message });
      }
    };
    const end = listen({
      points: (points) => {
        for (const one of points) {
          if (one.metric !== series.metric || one.channel !== series.channel || one.value === null) continue;
          const at = millis(one.time) / 1000;
          early.push([at, one.value]);
          if (early.length > 5000) early.shift();
          columns.current.add(at, one.value);
        }
        draw();
      },
      gap: load,
    });
    load();
    const slide = setInterval(draw, 1000);
    const again = range.every ? setInterval(load, RELOAD_MS) : 0;
    return () => { abort.abort(); end(); clearInterval(slide); clearInterval(again); cancelAnimationFrame(frame); };
  }, [id, series.metric, series.channel, range.key, round]);

  return [state, () => { setState({ isLoading: true, error: null }); setRound((old) => old + 1); }];
}

function storedRange() {
  let key = null;
  try { key = localStorage.getItem(RANGE_KEY); } catch { /* storage may be forbidden */ }
  return RANGES.find((one) => one.key === key) ?? RANGES[1];
}

export function History({ id, series, listen }) {
  const [range, setRange] = useState(storedRange);
  const [facts, setFacts] = useState(null);
  const [cursor, setCursor] = useState(null);
  const chart = useRef(null);
  const onData = (columns, current) => {
    const now = Date.now();
    const table = columns.table((now - current.ms) / 1000);
    chart.current?.show(table, (now - current.ms) / 1000, now / 1000);
    setFacts(summary(table));
  };
  const [state, retry] = useHistory(id, series, range, listen, onData);
  const choose = (one) => {
    setRange(one);
    try { localStorage.setItem(RANGE_KEY, one.key); } catch { /* storage may be forbidden */ }
  };
  const unit = symbol(series.unit);
  const title = words(series.metric) + (series.channel ? ` ${series.channel}` : '');

  return html`
    <section class="history" aria-label=${`History of ${title}`}>
      <div class="bar">
        <h3>${title}${unit && html`<span class="unit">${unit}</span>`}</h3>
        <div class="ranges" role="group" aria-label="Range of time">
          ${RANGES.map((one) => html`
            <button type="button" key=${one.key} aria-pressed=${one.key === range.key ? 'true' : 'false'}
                    onClick=${() => choose(one)}>${one.label}</button>`)}
        </div>
      </div>
      <p class="readout" aria-live="off">
        ${cursor ? html`<span><b>${number(cursor.value)}</b> ${unit}</span>
          ${range.every && html`<span>${number(cursor.low)} – ${number(cursor.high)}</span>`}
          <span class="quiet">${moment(cursor.at * 1000)}</span>`
        : facts ? html`<span><span class="quiet">min</span> ${number(facts.low)}</span>
          <span><span class="quiet">mean</span> ${number(facts.mean)}</span>
          <span><span class="quiet">max</span> ${number(facts.high)}</span>
          <a class="export" href=${exportUrl(id, series, `-${range.ms / 1000}s`)} download>CSV</a>` : ' '}
      </p>
      <div class="plot">
        <${Chart} hold=${chart} isBanded=${Boolean(range.every)} label=${`Chart of ${title}`}
                  onCursor=${setCursor} />
        ${state.error ? html`<p class="over" role="alert">${state.error}
            <button type="button" onClick=${retry}>Try again</button></p>`
        : state.isLoading ? html`<p class="over" aria-busy="true">Loading…</p>`
        : !facts && html`<p class="over">No readings in this range. Choose a longer one.</p>`}
      </div>
    </section>`;
}
