// The network in this browser: a worker that is started when it is first needed, and asked one thing at a time.

import { address } from "./link.js";

const THREADS = 4; // more bring a small network little

/**
 * Threads that the worker may use: several only where the page is isolated from others (COOP, COEP). Half of what the
 * machine has: they wait by spinning, and lose much where something else, the browser itself too, needs a core.
 */
export function threads() {
  return globalThis.crossOriginIsolated ? Math.min(THREADS, Math.ceil((navigator.hardwareConcurrency || 1) / 2)) : 1;
}

export class Local {
  constructor(used = threads()) {
    this.threads = used;
    this.worker = null;
    this.asked = new Map();
    this.number = 0;
    this.loaded = null; // the model's name, and a promise of what was loaded
  }

  /** Fetch and open a model: {spec, threads, ms}. At once where it is open already. */
  load(model) {
    if (this.loaded?.model !== model) {
      const promise = this.ask({ kind: "load", model });
      this.loaded = { model, promise };
      promise.catch(() => (this.loaded = null));
    }
    return this.loaded.promise;
  }

  /** Look at an ImageBitmap (which is given away) or a Blob; scores under `floor` are left out. */
  async look(model, picture, floor, heat) {
    await this.load(model);
    const give = picture instanceof ImageBitmap ? [picture] : [];
    return this.ask({ kind: "look", model, picture, floor, heat }, give);
  }

  ask({ model, ...message }, give = []) {
    this.worker ??= this.start();
    const id = ++this.number;
    const url = address(`models/${encodeURIComponent(model)}.onnx`);
    this.worker.postMessage({ id, url, threads: this.threads, ...message }, give);
    return new Promise((done, fail) => this.asked.set(id, { done, fail }));
  }

  start() {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => {
      const { done, fail } = this.asked.get(data.id);
      this.asked.delete(data.id);
      if (data.error === undefined) done(data);
      else fail(new Error(data.error));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      for (const { fail } of this.asked.values()) fail(new Error("the network cannot be started in this browser"));
      this.asked.clear();
      this.worker = this.loaded = null;
      worker.terminate();
    };
    return worker;
  }
}
