"""Inside an LLM: the package behind the six notebooks.

Importing it prints nothing, seeds nothing, picks no device and downloads nothing. Read it from the
ground floor up: `config`, `world`, `tokenizer`, `model`, `train`, `sample`, `sft`, `reward`,
`rlhf`, `stages`. The second of the two files, `run.c`, lies beside this one.
"""

__version__ = "0.1.0"
