"""A text becomes tokens, rows and batches (notebooks 02 and 03).

Read `tokenizer` first: byte-level BPE from scratch. Then `rows` (documents to batches) and `chat`
(conversations to token ids). Real text doesn't fit into a list and isn't clean: `sources` reads it,
`clean` throws out what nobody should learn from, `shards` keeps its tokens on the disk. `foreign`
reads other people's tokenizers.
"""
