"""A tokenizer that somebody else has published, behaving as our own.

The `tokenizers` library reads it: there are many kinds, and this course builds just one of them.
Which ids are control tokens is what the files say: they may come first, last or anywhere.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import tokenizers

from course_lib.machine.disk import write_text
from course_lib.text.tokenizer import ALPHABET, SPECIALS, Tokenizer


class ForeignTokenizer:
    """The tokenizer of a `tokenizer.json`, with as many of our methods as a model's user needs.

    `starts` and `ends` are ids that the model's own files say a text begins and ends with. The ids
    of <|im_start|> and <|im_end|> are None where it lacks them.
    """

    def __init__(
        self,
        tokenizer_json: str,
        tokenizer_config: dict,
        starts: Iterable[int] = (),
        ends: Iterable[int] = (),
    ) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json)
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"tokenizer.json can't be read: {error}") from error
        self._json = tokenizer_json
        self.tokenizer_config = tokenizer_config
        self._ids = self._tokenizer.get_vocab()  # added tokens are in it
        # The library numbers what the vocabulary lacks itself, even with ids that others have.
        for token in self.to_dict()["added_tokens"]:
            if self._ids[token["content"]] != token["id"]:
                raise ValueError(
                    f"tokenizer.json gives {token['content']!r} the id {token['id']}, but it is "
                    f"read as {self._ids[token['content']]}: put it into the vocabulary, too"
                )
        # Whoever trained with it may have left its row length in the file: that is no part of it.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocab_size = max(self._ids.values(), default=-1) + 1  # there may be gaps between ids
        # Byte-level tokenizers (GPT-2, Llama 3) write each byte as a letter of GPT-2's alphabet;
        # SentencePiece's (Llama 2) write characters, and bytes only where it knows no character.
        self._byte_level = "ByteLevel" in json.dumps(self.to_dict()["decoder"])

        names = {id: name for name, id in self._ids.items()}
        added = self._tokenizer.get_added_tokens_decoder()
        special = {id for id, token in added.items() if token.special}
        # `transformers` writes 1 and 2 for whoever names none: with another tokenizer, letters.
        starts, ends = ([id for id in ids if id in special] for ids in (starts, ends))
        bos, eos = self._named("bos_token"), self._named("eos_token")
        endoftext, self.im_start_id, self.im_end_id = (self._ids.get(name) for name in SPECIALS)
        # Which token parts documents? Ours and GPT-2's if there is one, else what begins or ends a
        # text: Llama's <s>, say.
        parting = [id for id in (endoftext, bos, *starts, eos, *ends) if id is not None]
        self.start_ids = parting[:1]
        endings = [id for id in (endoftext, eos, *ends, self.im_end_id) if id is not None]
        self.end_ids = list(dict.fromkeys(endings)) or self.start_ids
        pad = self._named("pad_token")
        self.pad_id = pad if pad is not None else next(iter(self.start_ids), None)

        self.chat_template = _default_template(tokenizer_config.get("chat_template"))
        has_tokens = None not in (self.im_start_id, self.im_end_id)
        self.chatml = has_tokens and "<|im_start|>" in (self.chat_template or "<|im_start|>")

        named = {*parting, *endings, self.pad_id, self.im_start_id, self.im_end_id} - {None}
        # Typed text never becomes a control token, also where the file doesn't call it special.
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.add_special_tokens([names[id] for id in sorted(named)])
        self._added = self._tokenizer.get_added_tokens_decoder()  # spelled as they are
        self.control_ids = frozenset(special | named)
        self._text_ids = frozenset(names) - self.control_ids

    def _named(self, role: str) -> int | None:
        """The id of what `tokenizer_config.json` calls "bos_token", say."""
        token = self.tokenizer_config.get(role)
        return self._ids.get(token["content"] if isinstance(token, dict) else token)

    @property
    def eot_id(self) -> int:
        """What parts documents."""
        if not self.start_ids:
            raise ValueError(
                "this tokenizer names no token that begins or ends a text: say which one it is, "
                "as bos_token or eos_token in tokenizer_config.json"
            )
        return self.start_ids[0]

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, none of them a control token."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`, control tokens spelled out."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def is_text(self, id: int) -> bool:
        """Whether `id` stands for text: not a control token, nor a row without a token."""
        return id in self._text_ids

    def token_bytes(self, id: int) -> bytes:
        """The bytes that `id` stands for."""
        token = self._tokenizer.id_to_token(int(id)) if id >= 0 else None
        if token is None:
            raise ValueError(f"there is no token {id}: ids run from 0 to {self.vocab_size - 1}")
        if id in self._added or (self._byte_level and not set(token) <= set(ALPHABET)):
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


AnyTokenizer = Tokenizer | ForeignTokenizer


def _default_template(found: str | list[dict] | None) -> str | None:
    """The chat template; of several with names, the one called "default"."""
    if isinstance(found, list):
        return next((each["template"] for each in found if each["name"] == "default"), None)
    return found


def library_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """What the library itself reads in `text`: there, a typed <|im_start|> is the control token.

    So does `transformers` by default, and so we don't: `Tokenizer.encode` reads plain text.
    """
    return tokenizers.Tokenizer.from_str(json.dumps(tokenizer.to_dict())).encode(text).ids
