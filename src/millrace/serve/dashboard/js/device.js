// One device: who it is, its series with their newest values, a chart of one of them, its events.
import { html, useEffect, useRef, useState } from './view.js';
import { allSeries, getDevice, getEvents, postLatest } from './api.js';
import { ago, count, millis, moment, number, symbol, timeOfDay, words } from './format.js';
import { Presence } from './fleet.js';
import { History } from './history.js';

const nameOf = (series) => `${series.metric}\u0000${series.channel}`;

// Newest value by series; `listen` hands every live point on to the chart.
function useDevice(id, live) {
  const [state, setState] = useState({ device: null, series: null, events: [], error: null });
  const latest = useRef(new Map());
  const listeners = useRef(new Set());
  const [, redraw] = useState(0);

  useEffect(() => {
    let isOver = false;
    let frame = 0;
    const take = (points) => {
      let isKnown = true;
      for (const point of points) {
        const name = nameOf(point);
        const at = millis(point.time);
        const old = latest.current.get(name);
        isKnown &&= Boolean(old);
        if (!old || old.at <= at) latest.current.set(name, { ...point, at });
      }
      frame ||= requestAnimationFrame(() => { frame = 0; redraw((old) => old + 1); });
      if (!isKnown) loadSeries().catch(() => {});
    };
    const loadSeries = () => allSeries(id)
      .then((series) => isOver || setState((old) => ({ ...old, series, error: null, isUnknown: false })));
    const load = async () => {
      try {
        const [device, events, newest] = await Promise.all([
          // Readings of a device that nobody registered are stored all the same.
          getDevice(id).catch((error) => { if (error.status === 404) return null; throw error; }),
          getEvents(id).catch(() => ({ events: [] })),
          postLatest([id]), loadSeries(),
        ]);
        if (isOver) return;
        for (const point of newest.latest) latest.current.set(nameOf(point), { ...point, at: millis(point.time) });
        setState((old) => ({ ...old, device, events: events.events, error: null }));
      } catch (error) {
        if (!isOver) setState((old) => ({ ...old, error: error.message, isUnknown: error.status === 404 }));
      }
    };
    const endPoints = live.subscribe({ kind: 'points', devices: [id] }, {
      points: (points) => { take(points); listeners.current.forEach((one) => one.points(points)); },
      gap: () => { load(); listeners.current.forEach((one) => one.gap()); },
    });
    const endEvents = live.subscribe({ kind: 'events', devices: [id] }, {
      event: (one) => setState((old) => ({ ...old, events: [one, ...old.events].slice(0, 20) })),
      gap: load,
    });
    load();
    return () => { isOver = true; endPoints(); endEvents(); cancelAnimationFrame(frame); };
  }, [id, live]);

  const listen = (one) => {
    listeners.current.add(one);
    return () => listeners.current.delete(one);
  };
  return { ...state, latest: latest.current, listen };
}

function Facts({ device, latest, now }) {
  const newest = Math.max(0, ...[...latest.values()].map((one) => one.at));
  const seen = Math.max(millis(device?.last_seen) ?? 0, newest) || null;
  const facts = [
    ['Last seen', ago(seen, now), moment(seen)],
    ['Location', device?.location], ['Type', device?.device_type],
    ['Firmware', device?.fw_version], ['Group', device?.group_path === '/' ? null : device?.group_path],
  ];
  return html`
    <dl class="facts">
      ${facts.filter(([, value]) => value).map(([name, value, title]) => html`
        <div key=${name}><dt>${name}</dt><dd title=${title}>${value}</dd></div>`)}
    </dl>`;
}

function SeriesList({ series, latest, chosen, choose, now }) {
  return html`
    <ul class="series" role="listbox" aria-label="Series">
      ${series.map((one) => {
        const newest = latest.get(nameOf(one));
        const isChosen = chosen && nameOf(one) === nameOf(chosen);
        return html`
          <li key=${nameOf(one)} role="none">
            <button type="button" role="option" aria-selected=${isChosen ? 'true' : 'false'}
                    onClick=${() => choose(one)}>
              <span class="metric">${words(one.metric)}
                ${one.channel && html`<small>${one.channel}</small>`}</span>
              <span class="reading"><b>${number(newest?.value)}</b>
                <span class="unit">${symbol(newest?.unit ?? one.unit)}</span></span>
              <small class="when">
                ${newest?.quality?.map((flag) => html`<span class="flag" key=${flag}>${words(flag)}</span>`)}
                <span>${ago(newest?.at ?? null, now)}</span>
              </small>
            </button>
          </li>`;
      })}
    </ul>`;
}

function Events({ events }) {
  if (!events.length) return null;
  const fixed = ['time', 'type', 'position', 'device_id'];
  const detail = (one) => Object.entries(one)
    .filter(([name]) => !fixed.includes(name))
    .map(([name, value]) => `${words(name)} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(' · ');
  return html`
    <section class="events" aria-label="Events">
      <h3>Events</h3>
      <ol>
        ${events.map((one) => html`
          <li key=${`${one.position}${one.type}${one.time}`}>
            <time title=${moment(millis(one.time))}>${timeOfDay(millis(one.time))}</time>
            <b>${words(one.type)}</b><span>${detail(one)}</span>
          </li>`)}
      </ol>
    </section>`;
}

export function Device({ id, live, now }) {
  const { device, series, latest, events, error, isUnknown, listen } = useDevice(id, live);
  const [chosenName, setChosenName] = useState(null);
  const heading = useRef(null);
  const shown = series?.length
    ? [...series].sort((one, two) => one.metric.startsWith('meta_') - two.metric.startsWith('meta_'))
    : [];
  const chosen = shown.find((one) => nameOf(one) === chosenName) ?? shown[0];
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);

  return html`
    <article class="device" aria-label=${`Device ${id}`}>
      <div class="title">
        <a class="back" href="#/" aria-label="Back to all devices" title="Close (Esc)">
          <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M4 4l8 8M12 4l-8 8" /></svg>
        </a>
        <h2 ref=${heading} tabindex="-1">${device?.device_name || id}</h2>
        <p>
          ${device && device.device_name !== id && html`<code>${id}</code>`}
          ${device && html`<span class="tag">${device.family}</span><${Presence} device=${device} />`}
          ${series && html`<span class="quiet">${count(series.length)} series</span>`}
        </p>
      </div>
      ${isUnknown ? html`
        <div class="empty"><h2>There is no such device</h2>
          <p>Nothing with this id is registered or has sent a reading. Check the address,
            or go back to <a href="#/">all devices</a>.</p></div>`
      : error ? html`<p class="banner bad" role="alert">${error}</p>`
      : html`<${Facts} device=${device} latest=${latest} now=${now} />`}
      ${series && !series.length && html`
        <div class="empty"><h2>No readings yet</h2>
          <p>This device is known, but nothing it has sent could be read as a number.
            Its messages, if any, are listed as dead letters.</p></div>`}
      ${chosen && html`<${History} key=${nameOf(chosen)} id=${id} series=${chosen} listen=${listen} />`}
      ${chosen && html`
        <${SeriesList} series=${shown} latest=${latest} chosen=${chosen} now=${now}
                       choose=${(one) => setChosenName(nameOf(one))} />`}
      <${Events} events=${events} />
    </article>`;
}
