"""A tokenizer that somebody else has published, behaving as our own.

The `tokenizers` library reads it: there are many kinds, and this course builds just one of them.
"""

import json
import re
from pathlib import Path

import tokenizers

from course_lib.machine.disk import write_text
from course_lib.text.tokenizer import ALPHABET


class ForeignTokenizer:
    """The tokenizer of a `tokenizer.json`, with as many of our methods as a model's user needs.

    The ids of control tokens that it lacks are None.
    """

    def __init__(self, tokenizer_json: str, tokenizer_config: dict) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json)
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"tokenizer.json can't be read: {error}") from error
        self._tokenizer.encode_special_tokens = True  # typed text never becomes a control token
        self._json = tokenizer_json
        self.tokenizer_config = tokenizer_config
        self.vocab_size = self._tokenizer.get_vocab_size()
        self._added = self._tokenizer.get_added_tokens_decoder()  # spelled as they are
        # Byte-level tokenizers (GPT-2, Llama 3) write each byte as a letter of GPT-2's alphabet;
        # SentencePiece's (Llama 2) write characters, and bytes only where it knows no character.
        self._byte_level = "ByteLevel" in json.dumps(self.to_dict()["decoder"])
        # Which token parts documents? Ours and GPT-2's if there is one, else what begins or ends a
        # text: Llama's <s>, say.
        named = [tokenizer_config.get(name) for name in ("bos_token", "eos_token")]
        named = [token["content"] if isinstance(token, dict) else token for token in named]
        boundaries = [self._id(token) for token in ("<|endoftext|>", *named) if token]
        self.eot_id = next((id for id in boundaries if id is not None), None)
        self.im_start_id, self.im_end_id = self._id("<|im_start|>"), self._id("<|im_end|>")

    def _id(self, token: str) -> int | None:
        return self._tokenizer.token_to_id(token)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, none of them a control token."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`, control tokens spelled out."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def token_bytes(self, id: int) -> bytes:
        """The bytes that `id` stands for."""
        token = self._tokenizer.id_to_token(int(id)) if id >= 0 else None
        if token is None:
            raise ValueError(f"there is no token {id}: ids run from 0 to {self.vocab_size - 1}")
        if id in self._added:
            return token.encode()
        if self._byte_level:
            return bytes(ALPHABET.index(char) for char in token)
        if re.fullmatch("<0x[0-9A-F]{2}>", token):  # SentencePiece's spelling of a lone byte
            return bytes.fromhex(token[3:5])
        return token.replace("▁", " ").encode()

    def to_dict(self) -> dict:
        """The contents of its `tokenizer.json`."""
        return json.loads(self._json)

    def save(self, path: str | Path) -> None:
        """Writes `tokenizer.json` as it came."""
        write_text(path, self._json)
