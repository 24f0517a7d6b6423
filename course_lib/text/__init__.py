"""A text becomes tokens, rows and batches.

Read `tokenizer` first: byte-level BPE from scratch. Then `rows` (documents to batches) and `chat`
(conversations to token ids). `sources`, `clean` and `shards` do the same for real text, which is
too much for one list; `foreign` reads other people's tokenizers.
"""
