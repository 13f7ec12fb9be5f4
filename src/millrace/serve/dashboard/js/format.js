// Numbers and instants as people read them.

const small = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });
const decimals = [3, 2, 1, 0].map((digits) => new Intl.NumberFormat(undefined, { maximumFractionDigits: digits }));
const compact = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false,
});
const date = new Intl.DateTimeFormat(undefined, {
  year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit',
  second: '2-digit', hour12: false,
});

export function number(value) {
  if (value === null || value === undefined) return '–';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e12)) return value.toExponential(3);
  if (size < 1) return small.format(value);
  return decimals[size < 100 ? 0 : size < 1e4 ? 1 : size < 1e6 ? 2 : 3].format(value);
}

export function count(value) {
  if (value === null || value === undefined) return '–';
  return value < 1e5 ? whole.format(value) : compact.format(value);
}

export function rate(value) {
  if (value === null || value === undefined) return '–';
  return value < 10 ? value.toFixed(1) : count(value);
}

// Units of the page: milliseconds. The API writes up to nine fraction digits; three are shown.
export function millis(text) {
  return text ? Date.parse(text) : null;
}

export function timeOfDay(ms) {
  return clock.format(ms);
}

export function moment(ms) {
  return ms === null ? '–' : date.format(ms);
}

export function ago(ms, now) {
  if (ms === null) return 'never';
  const seconds = Math.round((now - ms) / 1000);
  if (seconds < -5) return 'in the future';
  if (seconds < 2) return 'now';
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} d ago`;
}

// Devices and registries write units in UCUM; people read these.
const UNITS = { Cel: '°C', degF: '°F', '[degF]': '°F', deg: '°', Ohm: 'Ω', m3: 'm³', 'm3/h': 'm³/h' };

export function symbol(unit) {
  return unit ? UNITS[unit] ?? unit : '';
}

// metric_names_like_this -> metric names like this
export function words(name) {
  return name.replaceAll('_', ' ');
}
