// Writing to the page what has changed there, and nothing else: a browser works out style and layout
// anew for whatever is written, the same text too. And the moment when a frame is on the screen.

const written = new WeakMap(); // element -> {name: what stands there}

/** Gives `element` a property, an attribute (a dash or "role" in its name) or a --custom property of
    its style. Whoever puts something here never writes it in another way. */
export function put(element, name, value) {
  let known = written.get(element);
  if (!known) written.set(element, (known = {}));
  if (known[name] === value) return;
  known[name] = value;
  if (name.startsWith("--")) element.style.setProperty(name, value);
  else if (name.includes("-") || name === "role") element.setAttribute(name, value);
  else element[name] = value;
}

/** Gives `element` a class or takes it away. */
export function mark(element, className, on) {
  if (element.classList.contains(className) !== on) element.classList.toggle(className, on);
}

/** As many elements of `create(i)` in `box` as there are items, each brought up to date: an element
    that stays keeps the keyboard's focus. */
export function fill(box, items, create, update) {
  while (box.children.length > items.length) box.lastChild.remove();
  items.forEach((item, i) => {
    if (i === box.children.length) box.append(create(i));
    update(box.children[i], item, i);
  });
}

/** A promise for the moment after the next frame: what has been written by now is painted. A page that
    nobody sees has no frames, so there it is kept soon. */
export const painted = () => new Promise((done) => {
  const late = setTimeout(done, 100);
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      clearTimeout(late);
      port1.close();
      done();
    };
    port2.postMessage(null); // the task after the one in which the frame is drawn
  });
});

/** Must whatever moves stand still? */
export const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
