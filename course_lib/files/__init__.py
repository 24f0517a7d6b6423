"""How a model gets to the disk and back: the two files, and other people's formats (notebook 01).

Start with the two files. `gguf` writes the parameters file, `run.c` is the run file, and `run_file`
compiles and calls it. `pretrained` reads and writes Hugging Face folders, so that `transformers`
can open our models and we can open some of theirs; `tensors` handles the safetensors in them.
"""
