// Small helpers for the document. Text from outside (names of streams, files, lines) becomes text nodes, never markup.

export const $ = (id) => document.getElementById(id);

/** An element: properties are set, `aria-` and `data-` ones as attributes; strings among the children become text. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "for" || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** The function, called once when nobody has asked for it for so many milliseconds; `.now()` calls it if it is due. */
export function later(milliseconds, call) {
  let timer = null;
  const ask = () => {
    clearTimeout(timer);
    timer = setTimeout(ask.now, milliseconds);
  };
  ask.now = () => {
    if (timer === null) return;
    clearTimeout(timer);
    timer = null;
    call();
  };
  return ask;
}

/** Have the browser save a file. */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
