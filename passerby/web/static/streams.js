// The server's own sources: the newest moment of one of them, asked for again and again.

import { later, sleep } from "./dom.js";
import { ask, Link } from "./link.js";

const part = (name) => `streams/${encodeURIComponent(name)}`;

export class ServerStream {
  kind = "stream";

  constructor(app, name) {
    this.app = app;
    this.name = name;
    this.stopped = false;
    this.put = later(200, () => this.send());
    this.unsent = new Set();
  }

  async start() {
    this.link = new Link(`ws/${part(this.name)}`, () => {}, (state) => (this.connection = state));
    try {
      const scene = await ask(`${part(this.name)}/scene`);
      if (!this.stopped) this.app.takeScene(scene);
    } catch (error) {
      this.app.notice(`${this.name}: ${error.message}`, true);
    }
    if (this.app.state.heat) this.change("heat");
    this.run();
  }

  stop() {
    this.put.now();
    this.stopped = true;
    this.link.close();
    this.bitmap?.close();
  }

  change(what) {
    if (!["threshold", "model", "scene", "heat"].includes(what)) return;
    this.unsent.add(what);
    this.put();
  }

  /** Tell the server what was changed; what holds then is shown. */
  async send() {
    const { state } = this.app;
    const body = Object.fromEntries([...this.unsent].map((what) => [what, state[what]]));
    this.unsent.clear();
    const headers = { "Content-Type": "application/json" };
    try {
      const holds = await ask(part(this.name), { method: "PUT", body: JSON.stringify(body), headers });
      if (!this.stopped && this.unsent.size === 0) this.app.takeSettings(holds);
    } catch (error) {
      this.app.notice(`${this.name}: ${error.message}`, true);
    }
  }

  async run() {
    while (!this.stopped) {
      if (this.app.state.paused || document.hidden) {
        await sleep(100);
        continue;
      }
      try {
        await this.link.ready();
        const answer = this.app.ready(await this.link.ask("next", true));
        await this.take(answer);
      } catch (error) {
        if (this.stopped) return;
        if (error.ended) {
          this.link.close();
          this.app.ended();
          return;
        }
        if (error.told) this.app.notice(`${this.name}: ${error.message}`, true);
        await sleep((error.retry || 1) * 1000);
      }
    }
  }

  async take(answer) {
    const { picture, ...moment } = answer;
    const live = moment.state === "live";
    const bitmap = await createImageBitmap(new Blob([picture], { type: "image/jpeg" }));
    if (this.stopped) return bitmap.close();
    const before = this.bitmap;
    this.bitmap = bitmap;
    this.app.show(bitmap, { ...moment, delay: live ? moment.delay * 1000 : undefined }, live);
    before?.close();
  }
}
