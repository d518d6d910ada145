// The server: requests that wait when it is busy, and WebSockets that come back.

import { sleep } from "./dom.js";

const BACKOFF = [500, 10_000]; // milliseconds before the first new attempt, and at most
const PATIENCE = 30; // attempts while the server says that it is busy

/** An address of the server's, beside the page. */
export const address = (path) => new URL(path, document.baseURI).href;

/**
 * fetch, as JSON. While the server is busy (503, 429) it is asked again after the seconds that it names; `waiting` is
 * told them. Throws an Error with one line.
 */
export async function ask(path, options = {}, waiting = () => {}) {
  for (let attempt = 1; ; attempt++) {
    let answer;
    try {
      answer = await fetch(address(path), { cache: "no-store", ...options });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("the server does not answer");
    }
    if ([429, 503].includes(answer.status) && attempt < PATIENCE) {
      const seconds = Number(answer.headers.get("Retry-After")) || 1;
      waiting(seconds);
      await sleep(seconds * 1000);
      continue;
    }
    const body = await answer.json().catch(() => ({}));
    if (answer.status === 401) throw new Error("the server wants its token: open the address that it printed");
    if (!answer.ok) throw new Error(body.error ?? `the server answers ${answer.status}`);
    return body;
  }
}

/** An answer {"error": ...} of a WebSocket; retry: seconds, 0 where the server is not busy; ended: for good. */
export class Refusal extends Error {
  constructor({ error, busy, retry, ended }) {
    super(error);
    this.retry = busy ? (retry ?? 1) : 0;
    this.ended = ended === true;
    this.told = true; // by the server, so that it is more than a lost connection
  }
}

/** No answer came; `state` tells it, and the way back is under way. */
class Lost extends Error {
  lost = true;
  message = "the connection is lost";
}

/**
 * A WebSocket on which every question has one answer, in order. Lost, it is opened again with back-off and jitter.
 * greet   called when it is open, before anything else is asked
 * state   called with "open" or "lost"
 */
export class Link {
  constructor(path, greet = () => {}, state = () => {}) {
    this.url = address(path).replace(/^http/, "ws");
    this.greet = greet;
    this.state = state;
    this.pending = [];
    this.waiting = [];
    this.attempts = 0;
    this.closed = false;
    this.open();
  }

  open() {
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      this.greet(this);
      this.state("open");
      this.waiting.splice(0).forEach(({ done }) => done());
    };
    socket.onmessage = ({ data }) => this.take(data);
    socket.onclose = () => this.lost();
  }

  take(data) {
    this.attempts = 0;
    const first = this.pending[0];
    if (typeof data !== "string") {
      if (first?.text) this.settle({ ...first.text, picture: data });
      return;
    }
    const answer = JSON.parse(data);
    if (!first) return;
    if (answer.error !== undefined) this.pending.shift().fail(new Refusal(answer));
    else if (first.binary) first.text = answer;
    else this.settle(answer);
  }

  settle(answer) {
    this.pending.shift().done(answer);
  }

  lost() {
    this.pending.splice(0).forEach(({ fail }) => fail(new Lost()));
    if (this.closed) return;
    this.state("lost");
    const wait = Math.min(BACKOFF[1], BACKOFF[0] * 2 ** this.attempts++) * (0.7 + 0.6 * Math.random());
    this.timer = setTimeout(() => this.open(), wait);
  }

  /** Resolves when questions can be asked: at once where it is open. */
  ready() {
    if (this.socket.readyState === WebSocket.OPEN) return Promise.resolve();
    return new Promise((done, fail) => this.waiting.push({ done, fail }));
  }

  /** Those who wait for `ready` shall do something else. */
  giveUp() {
    this.waiting.splice(0).forEach(({ fail }) => fail(new Lost()));
  }

  /** Send text (an object becomes JSON) or bytes; the answer, with `.picture` where bytes follow it (`binary`). */
  ask(message, binary = false) {
    if (this.socket.readyState !== WebSocket.OPEN) return Promise.reject(new Lost());
    const plain = typeof message === "string" || message instanceof ArrayBuffer || ArrayBuffer.isView(message);
    this.socket.send(plain ? message : JSON.stringify(message));
    return new Promise((done, fail) => this.pending.push({ done, fail, binary }));
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.giveUp();
    const socket = this.socket; // browsers call it an error to close one that is not open yet
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket.close();
  }
}
