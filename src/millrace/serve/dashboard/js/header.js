// The header: is it live, how much is flowing, is anything wrong.
import { html, useEffect, useRef, useState } from './view.js';
import { getHealth, getStats } from './api.js';
import { count, rate } from './format.js';

const EVERY_MS = 2000;
const SAMPLES = 60;

const STATES = {
  connecting: ['waiting', 'Connecting', 'Opening the live stream'],
  live: ['good', 'Live', 'Values arrive as they are stored'],
  waiting: ['waiting', 'Reconnecting', 'The live stream is interrupted; it resumes where it stopped'],
};

// Polls health and counts; messages a second come from the difference of two answers.
function useVitals() {
  const [vitals, setVitals] = useState({ rates: [] });
  const last = useRef(null);
  useEffect(() => {
    let timer;
    let isOver = false;
    const look = async () => {
      try {
        const [health, stats] = await Promise.all([getHealth(), getStats()]);
        const messages = health.details?.messages;
        const sum = messages ? Object.values(messages).reduce((one, two) => one + two, 0) : null;
        const at = performance.now();
        const before = last.current;
        last.current = sum === null ? null : { sum, at };
        setVitals((old) => ({
          status: health.status,
          connectivity: health.details?.connectivity ?? {},
          devices: stats.total_devices,
          letters: messages?.dead_letter ?? null,
          rates: before && sum !== null
            ? [...old.rates, Math.max(0, (sum - before.sum) / ((at - before.at) / 1000))].slice(-SAMPLES)
            : old.rates,
        }));
      } catch (error) {
        last.current = null;
        setVitals((old) => ({ ...old, status: 'unreachable' }));
      }
      if (!isOver) timer = setTimeout(look, EVERY_MS);
    };
    look();
    return () => { isOver = true; clearTimeout(timer); };
  }, []);
  return vitals;
}

function Sparkline({ values }) {
  if (values.length < 2) return null;
  const top = Math.max(...values, 1);
  const points = values.map((value, at) => (
    `${(at * 96 / (values.length - 1)).toFixed(1)},${(21 - value / top * 19).toFixed(1)}`
  ));
  return html`
    <svg class="sparkline" viewBox="0 0 96 22" aria-hidden="true">
      <polyline points=${points.join(' ')} />
    </svg>`;
}

function Trouble({ vitals }) {
  const { status, connectivity = {} } = vitals;
  if (status === 'unreachable') {
    return html`<p class="banner bad" role="alert">
      Millrace does not answer. What is shown may be old; the page tries again every two seconds.
    </p>`;
  }
  const down = Object.entries(connectivity).filter(([, one]) => one.status !== 'healthy');
  if (!down.length || !['degraded', 'unhealthy'].includes(status)) return null;
  const names = down.map(([name]) => name).join(', ');
  return html`<p class=${`banner ${status === 'unhealthy' ? 'bad' : 'waiting'}`} role="alert">
    ${status === 'unhealthy' ? 'Out of order' : 'Degraded'}: ${names} did not answer the last probe.
    Messages wait in the log until it does.
  </p>`;
}

export function Header({ connection }) {
  const vitals = useVitals();
  const [tone, label, explained] = STATES[connection];
  const current = vitals.rates.at(-1);
  return html`
    <header>
      <a class="brand" href="#/" aria-label="Millrace, all devices">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <path d="M3 11c4.300 0 4.300 4 8.700 4s4.300-4 8.600-4 4.400 4 8.700 4" />
          <path class="second" d="M3 20c4.300 0 4.300 4 8.700 4s4.300-4 8.600-4 4.400 4 8.700 4" />
        </svg>
        <span>Millrace</span>
      </a>
      <dl class="vitals">
        <div class="flow">
          <dt>Messages</dt>
          <dd><b>${rate(current)}</b><span class="unit">/s</span></dd>
          <${Sparkline} values=${vitals.rates} />
        </div>
        <div><dt>Devices</dt><dd><b>${count(vitals.devices)}</b></dd></div>
        <div title="Messages that could not become readings. They are kept and can be handed in again.">
          <dt>Dead letters</dt>
          <dd class=${vitals.letters ? 'notable' : ''}><b>${count(vitals.letters)}</b></dd>
        </div>
      </dl>
      <p class=${`pill ${tone}`} role="status" title=${explained}><i></i>${label}</p>
    </header>
    <${Trouble} vitals=${vitals} />`;
}
