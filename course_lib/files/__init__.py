"""The two files, and others that models are kept in.

`gguf` writes the parameters file, `run.c` is the run file, `run_file` compiles and calls it.
`pretrained` reads and writes Hugging Face directories, `tensors` the safetensors in them.
"""
