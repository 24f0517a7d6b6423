"""The page that needs no Python: models, the program that runs them and the truth.

`engine_wasm.js` runs GGUF files in the browser, through run.c as WebAssembly. `truth.js` knows what
the world writes next, `sampler.js` draws as run.c draws. What is seen are the notebooks' explorer
and chat, out of `widgets`; `talk.js` plays Python's part of the chat. `main.js` brings models one
by one, a person's own among them, `tabs.js` parts the two views, and `link.js` keeps what is seen
in the address. It starts with `alone.js` where all lies in one file, and with `served.js` where a
server gives the parts. `page` writes either HTML file.
"""
