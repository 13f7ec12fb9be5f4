// The page: a header that says how things are, the fleet, and one device beside it.
import { html, render, useEffect, useMemo, useState } from './view.js';
import { Live } from './live.js';
import { Header } from './header.js';
import { Fleet } from './fleet.js';
import { Device } from './device.js';

function chosenDevice() {
  const found = location.hash.match(/^#\/devices\/(.+)$/);
  try {
    return found ? decodeURIComponent(found[1]) : null;
  } catch {
    return null;
  }
}

function useClock(everyMs) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, []);
  return now;
}

function App() {
  const [connection, setConnection] = useState('connecting');
  const [deviceId, setDeviceId] = useState(chosenDevice);
  const live = useMemo(() => new Live(setConnection), []);
  const now = useClock(1000);

  useEffect(() => {
    const follow = () => setDeviceId(chosenDevice());
    window.addEventListener('hashchange', follow);
    return () => window.removeEventListener('hashchange', follow);
  }, []);

  useEffect(() => {
    const leave = (event) => {
      const isTyping = event.target.matches?.('input, select');
      if (event.key === 'Escape' && deviceId && !isTyping) location.hash = '#/';
    };
    window.addEventListener('keydown', leave);
    return () => window.removeEventListener('keydown', leave);
  }, [deviceId]);

  return html`
    <${Header} connection=${connection} />
    <main class=${deviceId ? 'split' : ''}>
      <${Fleet} live=${live} chosen=${deviceId} now=${now} />
      ${deviceId && html`<${Device} key=${deviceId} id=${deviceId} live=${live} now=${now} />`}
    </main>`;
}

render(html`<${App} />`, document.getElementById('app'));
