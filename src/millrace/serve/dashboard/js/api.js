// The HTTP API: one function per question, errors that say what happened and what to do.

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { headers: { Accept: 'application/json' }, ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('Millrace does not answer. It may be restarting; this page tries again.', 0);
  }
  const body = await answer.json().catch(() => ({}));
  // An unhealthy system answers /health with 503 and still says what is wrong.
  if (!answer.ok && !(path === '/health' && body.details)) {
    throw new ApiError(body.detail || `The request failed with status ${answer.status}.`, answer.status);
  }
  return body;
}

function query(path, parameters) {
  const text = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) {
      if (one !== '' && one !== null && one !== undefined) text.append(name, one);
    }
  }
  return `${path}?${text}`;
}

function post(path, body) {
  return ask(path, {
    method: 'POST',
    headers: { Accept: 'application/json', 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
}

const device = (id) => `/api/devices/${encodeURIComponent(id)}`;

export const getHealth = () => ask('/health');
export const getStats = () => ask('/api/stats');
export const getDevice = (id) => ask(device(id));
export const getEvents = (id) => ask(query(`${device(id)}/events`, { limit: 20 }));
export const postTicket = () => ask('/api/live/ticket', { method: 'POST' });
export const postLatest = (ids) => post('/api/latest', { device_ids: ids });

// Yields pages until there is no next one or `most` rows have come.
export async function* devicePages(filters, most, signal) {
  let cursor = null;
  let seen = 0;
  do {
    const page = await ask(query('/api/devices', { ...filters, limit: 1000, cursor }), { signal });
    seen += page.devices.length;
    cursor = page.next;
    yield { devices: page.devices, more: cursor !== null && seen >= most };
  } while (cursor !== null && seen < most);
}

export async function allSeries(id) {
  const found = [];
  let cursor = null;
  do {
    const page = await ask(query(`${device(id)}/series`, { limit: 1000, cursor }));
    found.push(...page.series);
    cursor = page.next;
  } while (cursor !== null);
  return found;
}

export async function rawPoints(id, series, start, signal) {
  const body = await ask(query(`${device(id)}/metrics`, {
    metric: series.metric, channel: series.channel, start, limit: 10000, order: 'desc',
  }), { signal });
  return body.metrics.reverse().filter((point) => point.channel === series.channel);
}

export async function windows(id, series, start, every, signal) {
  const body = await ask(query(`${device(id)}/aggregates`, {
    metric: series.metric, start, every, fn: ['mean', 'min', 'max'],
  }), { signal });
  const mine = body.aggregates.find((one) => one.channel === series.channel);
  return mine ? mine.points : [];
}

export const exportUrl = (id, series, start) => query('/api/export/points', {
  device_id: id, metric: series.metric, start, format: 'csv',
});
