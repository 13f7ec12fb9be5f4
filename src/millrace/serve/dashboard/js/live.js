// The live stream: one WebSocket, many subscriptions. When the connection breaks it comes back by
// itself and resumes each subscription where it stood, so nothing is missed and nothing repeats.
import { postTicket } from './api.js';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const SILENCE_MS = 45_000; // the server pings every 20 s

export class Live {
  constructor(onState) {
    this.onState = onState;
    this.subscriptions = new Map();
    this.count = 0;
    this.wait = FIRST_WAIT_MS;
    this.socket = null;
    this.heard = 0;
    this.connect();
    setInterval(() => this.check(), 5000);
    window.addEventListener('online', () => this.hurry());
    document.addEventListener('visibilitychange', () => document.hidden || this.hurry());
  }

  // handlers: points(list), event(one), gap(). Returns a function that ends the subscription.
  subscribe(what, handlers) {
    const id = `s${this.count += 1}`;
    this.subscriptions.set(id, { what, handlers, position: null });
    this.ask(id);
    return () => {
      this.subscriptions.delete(id);
      this.send({ op: 'unsubscribe', id });
    };
  }

  async connect() {
    clearTimeout(this.timer);
    this.timer = null;
    try {
      const { ticket } = await postTicket();
      const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
      const socket = new WebSocket(
        `${scheme}://${location.host}/api/live?ticket=${ticket}`, 'millrace.v1',
      );
      this.socket = socket;
      this.heard = Date.now();
      socket.onopen = () => this.opened();
      socket.onmessage = (message) => this.take(JSON.parse(message.data));
      socket.onclose = () => this.lost();
    } catch {
      this.lost();
    }
  }

  opened() {
    this.wait = FIRST_WAIT_MS;
    this.onState('live');
    for (const id of this.subscriptions.keys()) this.ask(id);
  }

  lost() {
    this.socket = null;
    if (this.timer) return;
    this.onState('waiting');
    this.timer = setTimeout(() => this.connect(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
  }

  hurry() {
    if (!this.timer) return;
    this.wait = FIRST_WAIT_MS;
    this.connect();
  }

  check() {
    if (this.socket && Date.now() - this.heard > SILENCE_MS) this.socket.close();
  }

  ask(id) {
    const { what, position } = this.subscriptions.get(id);
    this.send({ op: 'subscribe', id, ...what, ...(position === null ? {} : { since: position }) });
  }

  send(frame) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(frame));
  }

  take(frame) {
    this.heard = Date.now();
    if (frame.type === 'ping') return this.send({ op: 'pong' });
    const subscription = this.subscriptions.get(frame.id);
    if (!subscription) return undefined;
    const { handlers } = subscription;
    if (frame.type === 'gap') {
      subscription.position = frame.to;
      return handlers.gap?.();
    }
    if (frame.position !== undefined) subscription.position = frame.position;
    if (frame.type === 'points') return handlers.points?.(frame.points);
    if (frame.type === 'event') return handlers.event?.(frame.event);
    return undefined;
  }
}
