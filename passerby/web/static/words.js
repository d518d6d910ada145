// What the page says about itself.

const OLD = 3000; // milliseconds without a result after which what is shown counts as stale

/** The banner over the picture: {words, calm}, "" for none; calm: nothing is wrong. since: ms without news. */
export function bannerOf({ session, last, over, state }, since) {
  if (!session || session.kind === "pictures" || !last) return { words: "", calm: true };
  if (over) return { words: "ENDED", calm: true };
  if (state.paused) return { words: "PAUSED", calm: true };
  if (last.state && !["live", "ended"].includes(last.state)) {
    const age = (last.age ?? 0) + since / 1000;
    return { words: `${last.state.toUpperCase()} ${Math.round(age)} s`, calm: false };
  }
  if (since <= OLD) return { words: "", calm: true };
  const why = session.connection === "lost" ? ": no server" : "";
  return { words: `STALE ${Math.round(since / 1000)} s${why}`, calm: false };
}

/** Where pictures go. browser: they are looked at here; alone: nothing is sent; kind: of the session. */
export function where(browser, alone, kind) {
  if (kind === "stream") return "The server looks at its own sources; this is for your pictures and your camera.";
  if (!browser) return "Pictures go to this server.";
  if (alone || kind === "pictures") return "Pictures stay on this machine.";
  return "Pictures stay on this machine; boxes go to the server, which counts.";
}

/** Why there are no identities. */
export function silence(alone) {
  return alone
    ? "Nothing is sent: no identities, no totals, no counts of lines and zones."
    : "The server is not reached: boxes without identities and counts.";
}

/** The name, without ending, of a file to save a result in. */
export function fileName(result) {
  const name = result?.source ?? result?.stream ?? "";
  return name.replace(/^.*[\\/]/, "").replace(/\.\w{2,4}$/, "").replace(/[^\w.-]+/g, "_").slice(0, 60) || "passerby";
}
