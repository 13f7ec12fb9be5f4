// The fleet: every device in one table. Only the rows in sight exist, and only they are followed
// live, so ten thousand devices cost no more than twenty.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from './view.js';
import { devicePages, postLatest } from './api.js';
import { ago, millis, moment, number, symbol, words } from './format.js';

const MOST = 10_000;
const SPARE_ROWS = 6;
const SETTLE_MS = 150;
const RELOAD_MS = 30_000;
const VALUES = 3;

const FAMILIES = [['', 'All families'], ['f2', 'F2 controllers'], ['meter', 'Meters'],
  ['sensors', 'Sensors'], ['generic', 'Other']];
const PRESENCE = [['', 'Any status'], ['online', 'Online'], ['offline', 'Offline'],
  ['unknown', 'Unknown']];

function useFleet(filters, live) {
  const [fleet, setFleet] = useState({ devices: null, more: false, error: null });
  const [round, setRound] = useState(0);

  useEffect(() => {
    const abort = new AbortController();
    let isFirst = true;
    const load = async () => {
      const devices = [];
      try {
        for await (const page of devicePages(filters, MOST, abort.signal)) {
          devices.push(...page.devices);
          // The first page is shown at once; a reload replaces everything in one go.
          if (isFirst || page.more) setFleet({ devices: [...devices], more: page.more, error: null });
        }
        setFleet((old) => ({ devices, more: old.more && devices.length >= MOST, error: null }));
        isFirst = false;
      } catch (error) {
        if (error.name !== 'AbortError') setFleet((old) => ({ ...old, error: error.message }));
      }
    };
    const wait = setTimeout(load, round || filters.q ? 200 : 0);
    const again = setInterval(load, RELOAD_MS);
    return () => { abort.abort(); clearTimeout(wait); clearInterval(again); };
  }, [filters.q, filters.family, filters.connection_status, round]);

  useEffect(() => {
    let timer;
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(() => setRound((old) => old + 1), 1000);
    };
    const heard = ['device_discovered', 'device_online', 'device_offline'];
    const end = live.subscribe(
      { kind: 'events' }, { event: (one) => heard.includes(one.type) && soon(), gap: soon },
    );
    return () => { clearTimeout(timer); end(); };
  }, [live]);

  return [fleet, () => setRound((old) => old + 1)];
}

// The newest value of each series of the devices in sight: asked once, then followed.
function useLatest(ids, live) {
  const latest = useRef(new Map());
  const [, redraw] = useState(0);
  const key = ids.join('\n');

  useEffect(() => {
    if (!ids.length) return undefined;
    let frame = 0;
    const take = (points) => {
      for (const point of points) merge(latest.current, point);
      frame ||= requestAnimationFrame(() => { frame = 0; redraw((old) => old + 1); });
    };
    const load = () => postLatest(ids).then((body) => take(body.latest)).catch(() => {});
    let end = () => {};
    const timer = setTimeout(() => {
      end = live.subscribe({ kind: 'points', devices: ids }, { points: take, gap: load });
      load();
    }, SETTLE_MS);
    return () => { clearTimeout(timer); end(); cancelAnimationFrame(frame); };
  }, [key, live]);

  return latest.current;
}

function merge(latest, point) {
  const at = millis(point.time);
  let device = latest.get(point.device_id);
  if (!device) latest.set(point.device_id, device = { at: 0, series: new Map() });
  const name = point.channel ? `${point.metric} ${point.channel}` : point.metric;
  const old = device.series.get(name);
  if (old && old.at > at) return;
  device.series.set(name, { name, at, value: point.value, unit: point.unit });
  device.at = Math.max(device.at, at);
}

// What describes a device comes before what describes its radio.
function foremost(device) {
  if (!device) return [];
  return [...device.series.values()]
    .sort((one, two) => one.name.startsWith('meta_') - two.name.startsWith('meta_')
      || (one.name < two.name ? -1 : 1))
    .slice(0, VALUES);
}

// Which rows are in sight. Rows have one height, so this is arithmetic.
function useWindow(box, rows) {
  const [span, setSpan] = useState([0, 30]);
  useLayoutEffect(() => {
    const node = box.current;
    if (!node) return undefined;
    const measure = () => {
      const height = parseFloat(getComputedStyle(node).getPropertyValue('--row'));
      const first = Math.max(0, Math.floor(node.scrollTop / height) - SPARE_ROWS);
      const last = Math.min(rows, Math.ceil((node.scrollTop + node.clientHeight) / height) + SPARE_ROWS);
      setSpan((old) => (old[0] === first && old[1] === last ? old : [first, last]));
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(node);
    node.addEventListener('scroll', measure, { passive: true });
    return () => { observer.disconnect(); node.removeEventListener('scroll', measure); };
  }, [rows]);
  return span;
}

function Row({ device, at, latest, chosen, now }) {
  const href = `#/devices/${encodeURIComponent(device.device_id)}`;
  const seen = Math.max(millis(device.last_seen) ?? 0, latest?.at ?? 0) || null;
  const name = device.device_name || device.device_id;
  return html`
    <tr aria-rowindex=${at + 2} class=${chosen ? 'chosen' : ''}
        onClick=${(event) => event.target.closest('a') || (location.hash = href)}>
      <td class="name">
        <a href=${href} aria-current=${chosen ? 'true' : null}>${name}</a>
        <small>${name === device.device_id ? device.location : device.device_id}</small>
      </td>
      <td class="family"><span class="tag">${device.family}</span></td>
      <td class="status"><${Presence} device=${device} /></td>
      <td class="seen" title=${moment(seen)}>${ago(seen, now)}</td>
      <td class="values">
        ${foremost(latest).map((one) => html`
          <span class="value" key=${one.name}>
            <small>${words(one.name)}</small>
            <b>${number(one.value)}</b>${one.unit && html`<span class="unit">${symbol(one.unit)}</span>`}
          </span>`)}
      </td>
    </tr>`;
}

export function Presence({ device }) {
  const { connection_status: presence, status } = device;
  const tone = { online: 'good', offline: 'bad' }[presence] ?? 'quiet';
  return html`
    <span class=${`presence ${tone}`}><i></i>${presence}</span>
    ${status !== 'active' && html`<span class="tag soft">${status}</span>`}`;
}

function Nothing({ isFiltered, clear }) {
  return html`
    <div class="empty">
      ${isFiltered ? html`
        <h2>No device matches</h2>
        <p>Nothing in the fleet has this name, family and status together.</p>
        <button type="button" onClick=${clear}>Show all devices</button>` : html`
        <h2>No device has spoken yet</h2>
        <p>Point a device at this machine’s MQTT port and it appears here with its first message.
          To see the page at work, start devices that do not exist:</p>
        <pre>millrace simulate meters --count 20 --rate 20</pre>`}
    </div>`;
}

function Choice({ label, options, value, onChange }) {
  return html`
    <select aria-label=${label} value=${value} onChange=${(event) => onChange(event.target.value)}>
      ${options.map(([key, text]) => html`<option key=${key} value=${key}>${text}</option>`)}
    </select>`;
}

const NO_FILTERS = { q: '', family: '', connection_status: '' };

export function Fleet({ live, chosen, now }) {
  const [filters, setFilters] = useState(NO_FILTERS);
  const [fleet, reload] = useFleet(filters, live);
  const box = useRef(null);
  const devices = fleet.devices ?? [];
  const [first, last] = useWindow(box, devices.length);
  const shown = useMemo(() => devices.slice(first, last), [devices, first, last]);
  const latest = useLatest(shown.map((device) => device.device_id), live);
  const change = (name) => (value) => setFilters((old) => ({ ...old, [name]: value }));
  const isFiltered = Object.values(filters).some(Boolean);

  return html`
    <section class="fleet" aria-label="Devices">
      <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
        <label class="search"><span class="hidden">Search by name or id</span>
          <input type="search" placeholder="Search name or id" value=${filters.q} maxlength="200"
                 autocomplete="off" spellcheck="false"
                 onInput=${(event) => change('q')(event.target.value.trim())} />
        </label>
        <${Choice} label="Family" options=${FAMILIES} value=${filters.family} onChange=${change('family')} />
        <${Choice} label="Status" options=${PRESENCE} value=${filters.connection_status}
                   onChange=${change('connection_status')} />
        <output>${fleet.devices && `${devices.length}${fleet.more ? '+' : ''} ${devices.length === 1 ? 'device' : 'devices'}`}</output>
      </form>
      ${fleet.error && html`
        <p class="banner bad" role="alert">${fleet.error}
          <button type="button" onClick=${reload}>Try again</button></p>`}
      <div class="scroll" ref=${box} tabindex="-1">
        <table aria-rowcount=${devices.length + 1}>
          <thead><tr>
            <th class="name">Device</th><th class="family">Family</th><th class="status">Status</th>
            <th class="seen">Last seen</th><th class="values">Last values</th>
          </tr></thead>
          <tbody>
            <tr class="spacer" aria-hidden="true"><td style=${{ height: `calc(var(--row) * ${first})` }}></td></tr>
            ${shown.map((device, at) => html`
              <${Row} key=${device.device_id} device=${device} at=${first + at} now=${now}
                      latest=${latest.get(device.device_id)} chosen=${device.device_id === chosen} />`)}
            <tr class="spacer" aria-hidden="true"><td style=${{ height: `calc(var(--row) * ${Math.max(0, devices.length - last)})` }}></td></tr>
          </tbody>
        </table>
        ${fleet.devices && !devices.length && html`
          <${Nothing} isFiltered=${isFiltered} clear=${() => setFilters(NO_FILTERS)} />`}
        ${!fleet.devices && !fleet.error && html`<p class="empty" aria-busy="true">Loading the fleet…</p>`}
      </div>
      ${fleet.more && html`<p class="note">The newest ${devices.length} devices are listed. Search to find the others.</p>`}
    </section>`;
}
