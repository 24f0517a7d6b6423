// The page as a folder on a server: it fetches program, truth and models one by one.
import { start, unpacked } from "./main.js";

start(async (element) => {
  const { file } = element.dataset;
  if (!file) return unpacked(element);
  const answer = await fetch(file).catch(() => ({ ok: false }));
  if (answer.ok) return new Uint8Array(await answer.arrayBuffer());
  throw new Error(location.protocol === "file:"
    ? "this page must come from a server. From a disk, open the file inside-an-llm.html."
    : `the server doesn't give ${file}. Reload the page, or ask who runs it.`);
});
