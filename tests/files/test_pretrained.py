"""Directories that transformers reads and writes; saves that are killed, corrupt or foreign."""

import os
from dataclasses import replace

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: it asks the network otherwise

import json

import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from course_lib.config import ModelConfig
from course_lib.files.pretrained import (
    WEIGHTS,
    config_from_hf,
    hf_config,
    load_pretrained,
    save_pretrained,
)
from course_lib.model.transformer import Transformer
from course_lib.text.chat import encode_dialogue, encode_prompt
from course_lib.text.foreign import ForeignTokenizer
from course_lib.text.tokenizer import Tokenizer
from tests.tiny import sharpen, sharpened

TEXT = "the cat sat on the mat. the dog sat on the cat? 12 34 äö " * 30
TOKENIZER = Tokenizer.train(TEXT, 280)
TINY = ModelConfig(
    vocab_size=280, context_length=32, dim=32, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=48
)
VARIANTS = {
    "grouped, tied": TINY,
    "grouped, untied": replace(TINY, tied_embeddings=False),
    "multi-head, tied, base 500000": replace(TINY, n_kv_heads=4, rope_theta=500_000.0),
    "one key head, untied, base 500000": replace(
        TINY, n_kv_heads=1, tied_embeddings=False, rope_theta=500_000.0, norm_eps=1e-3
    ),
}
IDS = torch.randint(280, (2, 32), generator=torch.Generator().manual_seed(0))


def edit_json(path, **changes):
    found = json.loads(path.read_text())
    found.update(changes)
    path.write_text(json.dumps({k: v for k, v in found.items() if v is not ...}))


def files_of(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


@pytest.fixture
def saved(tmp_path):
    save_pretrained(tmp_path / "model", sharpened(TINY), TOKENIZER)
    return tmp_path / "model"


def test_a_tokenizer_is_known_by_what_its_file_says(saved):
    path = saved / "tokenizer.json"
    as_saved = path.read_bytes()
    indented = json.dumps(json.loads(as_saved), indent=1).encode()
    for raw in (as_saved.replace(b"\n", b"\r\n"), indented):  # by Git for Windows, by an editor
        path.write_bytes(raw)
        assert load_pretrained(saved)[1] == TOKENIZER

    Tokenizer.train(TEXT[::-1], 280).save(path)
    with pytest.raises(ValueError, match="another"):
        load_pretrained(saved)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_transformers_loads_what_we_saved(variant, tmp_path):
    model = sharpened(VARIANTS[variant])
    save_pretrained(tmp_path, model)

    twin, report = LlamaForCausalLM.from_pretrained(tmp_path, output_loading_info=True)

    assert not any(report.values()), report
    torch.testing.assert_close(twin(IDS).logits, model(IDS), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rope", ["rope_theta", "rope_parameters"])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_we_load_what_transformers_saved(variant, rope, tmp_path):
    settings = hf_config(VARIANTS[variant])
    torch.manual_seed(0)
    twin = LlamaForCausalLM(LlamaConfig(**settings)).eval()
    sharpen(twin)
    twin.save_pretrained(tmp_path)
    unwanted = {"rope_theta": "rope_parameters", "rope_parameters": "rope_theta"}[rope]
    edit_json(tmp_path / "config.json", **{rope: settings[rope], unwanted: ...})

    model, tokenizer = load_pretrained(tmp_path)

    assert tokenizer is None
    assert model.config == VARIANTS[variant]
    torch.testing.assert_close(model(IDS), twin(IDS).logits, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_we_load_shards(tmp_path):
    twin = LlamaForCausalLM(LlamaConfig(**hf_config(TINY))).eval()
    twin.save_pretrained(tmp_path, max_shard_size="20KB")

    model, _ = load_pretrained(tmp_path)

    assert not (tmp_path / WEIGHTS).exists()
    torch.testing.assert_close(model(IDS), twin(IDS).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saved_model_comes_back_bit_for_bit(variant, tmp_path):
    model = sharpened(VARIANTS[variant])
    save_pretrained(tmp_path, model, TOKENIZER)

    again, tokenizer = load_pretrained(tmp_path)

    assert again.config == model.config and tokenizer == TOKENIZER
    assert torch.equal(again(IDS), model(IDS))


def test_sixteen_bit_weights_take_half_the_room_and_come_back_rounded(tmp_path):
    model = sharpened(TINY)
    save_pretrained(tmp_path / "whole", model)
    save_pretrained(tmp_path / "half", model, dtype=torch.bfloat16)

    again, _ = load_pretrained(tmp_path / "half")

    sizes = [(tmp_path / name / WEIGHTS).stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.55 * sizes[1]
    rounded = model.norm.weight.bfloat16().float()
    assert torch.equal(again.norm.weight, rounded) and rounded[0] != model.norm.weight[0]


def test_transformers_reads_the_same_ids_and_the_same_chat(saved):
    theirs = AutoTokenizer.from_pretrained(saved)
    text = "the cat sat on the dog 12 ä? <|im_end|>"
    messages = [
        {"role": "user", "content": "the cat?"},
        {"role": "assistant", "content": "sat on the mat."},
    ]
    ids, mask = encode_dialogue(TOKENIZER, messages)

    chat = theirs.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True, tokenize=True
    )
    prompt = theirs.apply_chat_template(messages[:1], add_generation_prompt=True)["input_ids"]

    assert chat["input_ids"] == ids and prompt == encode_prompt(TOKENIZER, messages[:1])
    assert [bool(m) for m in chat["assistant_masks"]] == mask
    assert theirs(text, split_special_tokens=True)["input_ids"] == TOKENIZER.encode(text)
    assert theirs.decode(TOKENIZER.encode(text)) == text
    assert [theirs.bos_token_id, theirs.eos_token_id] == [TOKENIZER.eot_id, TOKENIZER.im_end_id]
    assert theirs.pad_token_id == TOKENIZER.eot_id


@torch.no_grad()
def test_transformers_generates_until_our_ends(saved):
    model = sharpened(TINY)
    model.embed_tokens.weight[TOKENIZER.im_end_id] += 10 * model.hidden(IDS[:1])[0, -1]
    save_pretrained(saved, model, TOKENIZER)

    twin = LlamaForCausalLM.from_pretrained(saved)
    ids = twin.generate(IDS[:1, :4], max_new_tokens=20, do_sample=False)

    ends = {TOKENIZER.eot_id, TOKENIZER.im_end_id}
    assert set(twin.generation_config.eos_token_id) == ends
    assert ids.shape[1] == 24 or ids[0, -1].item() in ends


def foreign_tokenizer_json(**changes):
    return json.dumps({**TOKENIZER.to_dict(), **changes})


def test_a_foreign_tokenizer_behaves_as_ours():
    digits_first = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            TOKENIZER.to_dict()["pre_tokenizer"],
        ],
    }
    text = foreign_tokenizer_json(pre_tokenizer=digits_first)
    foreign = ForeignTokenizer(text, {"eos_token": {"content": "<|im_end|>"}})
    sentence = "the cat <|im_end|> äö 12"

    ids = foreign.encode(sentence)

    assert foreign.vocab_size == 280 and foreign.decode(ids) == sentence
    assert b"".join(foreign.token_bytes(id) for id in ids) == sentence.encode()
    assert not set(ids) & {foreign.eot_id, foreign.im_start_id, foreign.im_end_id}
    assert (foreign.eot_id, foreign.im_end_id) == (TOKENIZER.eot_id, TOKENIZER.im_end_id)
    assert foreign.token_bytes(foreign.im_end_id) == b"<|im_end|>"
    with pytest.raises(ValueError, match="no token 280"):
        foreign.token_bytes(280)


def test_an_added_word_of_a_foreign_tokenizer_is_spelled_as_it_is():
    added = TOKENIZER.to_dict()["added_tokens"]
    word = {**added[0], "id": 280, "content": "two words", "special": False}

    foreign = ForeignTokenizer(foreign_tokenizer_json(added_tokens=[*added, word]), {})

    assert foreign.vocab_size == 281
    assert foreign.token_bytes(280) == b"two words"
    assert foreign.decode(foreign.encode("cat two words")) == "cat two words"


def test_a_foreign_tokenizer_is_saved_as_it_came(saved, tmp_path):
    edited = foreign_tokenizer_json(normalizer={"type": "NFC"})
    foreign = ForeignTokenizer(edited, {"bos_token": "<|endoftext|>", "padding_side": "left"})
    save_pretrained(tmp_path / "again", sharpened(TINY), foreign)

    _, loaded = load_pretrained(tmp_path / "again")

    assert isinstance(loaded, ForeignTokenizer)
    assert loaded.to_dict() == json.loads(edited)
    assert loaded.tokenizer_config == foreign.tokenizer_config


def test_a_sentencepiece_like_tokenizer_gives_its_bytes():
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2, "<0xC3>": 3, "<0xA4>": 4, "▁": 5, "a": 6, "▁a": 7}
    model = tokenizers.models.BPE(vocab, [("▁", "a")], byte_fallback=True, unk_token="<unk>")
    source = tokenizers.Tokenizer(model)
    source.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    source.add_special_tokens(["<s>", "</s>"])

    foreign = ForeignTokenizer(source.to_str(), {"bos_token": "<s>", "eos_token": "</s>"})

    ids = foreign.encode("a aä")
    assert b"".join(foreign.token_bytes(id) for id in ids) == " a aä".encode()
    assert foreign.eot_id == 1 and foreign.im_end_id is None


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", range(5))
def test_a_save_killed_at_any_rename_leaves_the_old_model(saved, monkeypatch, at):
    replace, calls = os.replace, []

    def replace_until_killed(*paths):
        if len(calls) == at:
            raise Killed
        calls.append(paths)
        replace(*paths)

    monkeypatch.setattr(os, "replace", replace_until_killed)
    with pytest.raises(Killed):
        save_pretrained(saved, sharpened(TINY, seed=2), TOKENIZER)

    model, _ = load_pretrained(saved)
    assert torch.equal(model(IDS), sharpened(TINY, seed=1)(IDS))
    assert not (saved / ".saving").exists()


def test_a_save_killed_while_writing_leaves_the_old_model(saved, monkeypatch):
    before = files_of(saved)

    def write_half(tensors, path, metadata):
        path.write_bytes(b"half")
        raise Killed

    monkeypatch.setattr("course_lib.files.tensors.save_file", write_half)
    with pytest.raises(Killed):
        save_pretrained(saved, sharpened(replace(TINY, dim=64)), TOKENIZER)

    assert files_of(saved) == before


def test_the_remains_of_a_killed_save_do_no_harm(saved):
    (saved / ".saving").mkdir()
    (saved / ".saving" / "config.json").write_text("{")

    load_pretrained(saved)
    save_pretrained(saved, sharpened(TINY, seed=2), TOKENIZER)

    assert torch.equal(load_pretrained(saved)[0](IDS), sharpened(TINY, seed=2)(IDS))
    assert not (saved / ".saving").exists()


def test_a_mixture_of_two_saves_is_refused(saved, tmp_path):
    save_pretrained(tmp_path / "other", Transformer(TINY), Tokenizer.train(TEXT[::-1], 280))
    edit_json(saved / "config.json", rope_theta=500.0, rope_parameters=...)
    with pytest.raises(ValueError, match=r"another configuration .*\(rope_theta\)"):
        load_pretrained(saved)

    (tmp_path / "other" / WEIGHTS).write_bytes((saved / WEIGHTS).read_bytes())
    with pytest.raises(ValueError, match="another tokenizer"):
        load_pretrained(tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, "model_type must be 'llama', config.json says 'gpt2'"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_scaling 'llama3'"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling 'linear'"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "rope_scaling 'yarn'"),
        ({"attention_bias": True}, "attention_bias must be False"),
        ({"hidden_act": "gelu"}, "hidden_act must be 'silu'"),
        ({"quantization_config": {"bits": 4}}, "quantization_config must be None"),
        ({"head_dim": 16}, "head_dim must be hidden_size / num_attention_heads = 8"),
        ({"hidden_size": ...}, "config.json lacks 'hidden_size'"),
        ({"vocab_size": "280"}, "vocab_size must be a whole number"),
        ({"num_key_value_heads": 3}, "can't share 3"),
    ],
)
def test_a_config_that_our_model_lacks_is_refused_by_name(changes, message):
    found = {**hf_config(TINY), **changes}

    with pytest.raises(ValueError, match=message):
        config_from_hf({k: v for k, v in found.items() if v is not ...})


def test_missing_settings_have_the_defaults_of_transformers():
    optional = ("rope_theta", "rope_parameters", "rms_norm_eps", "num_key_value_heads")
    found = {k: v for k, v in hf_config(TINY).items() if k not in (*optional, "head_dim")}

    config, theirs = config_from_hf(found), LlamaConfig(**found)

    assert config.n_kv_heads == theirs.num_key_value_heads == 4
    assert config.norm_eps == theirs.rms_norm_eps
    assert config.rope_theta == theirs.rope_parameters["rope_theta"]
    untied = {k: v for k, v in found.items() if k != "tie_word_embeddings"}
    untied_config, theirs = config_from_hf(untied), LlamaConfig(**untied)
    assert untied_config.tied_embeddings == theirs.tie_word_embeddings


@pytest.mark.parametrize("damage", ["cut", "garbled", "empty"])
@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json"])
def test_a_damaged_file_is_refused_and_left_alone(saved, name, damage):
    whole = (saved / name).read_bytes()
    damaged = {"cut": whole[: len(whole) // 2], "garbled": b"\xff" * 99, "empty": b""}[damage]
    (saved / name).write_bytes(damaged)

    with pytest.raises(ValueError, match=name.split(".")[0]):
        load_pretrained(saved)
    assert (saved / name).read_bytes() == damaged


def test_weights_of_another_shape_or_architecture_are_refused(saved):
    tensors = load_file(saved / WEIGHTS)
    norm = tensors.pop("model.norm.weight")

    save_file({**tensors, "model.norm.weight": norm[:16].clone()}, saved / WEIGHTS)
    with pytest.raises(ValueError, match=r"model.norm.weight must be \(32,\), got \(16,\)"):
        load_pretrained(saved)
    save_file(tensors, saved / WEIGHTS)
    with pytest.raises(ValueError, match=r"lacks \['model.norm.weight'\]"):
        load_pretrained(saved)
    save_file({**tensors, "transformer.wte": norm}, saved / WEIGHTS)
    with pytest.raises(ValueError, match=r"lacks \['model.norm.weight'\] .* \['transformer.wte'\]"):
        load_pretrained(saved)


def test_a_hub_id_is_fetched_and_a_path_is_not(saved, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda id, **kwargs: asked.append(id) or str(saved)
    )

    model, _ = load_pretrained("owner/model-1.5B")
    monkeypatch.chdir(saved.parent)
    with pytest.raises(FileNotFoundError, match="model/base"):
        load_pretrained("model/base")

    assert asked == ["owner/model-1.5B"] and model.config == TINY


def test_what_is_not_there_is_named(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match="not a Hub id"):
        load_pretrained(tmp_path / "nowhere")
    (saved / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match=WEIGHTS):
        load_pretrained(saved)


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="280 ids, the model's table 270 rows"):
        save_pretrained(tmp_path, Transformer(replace(TINY, vocab_size=270)), TOKENIZER)
    assert not (tmp_path / "config.json").exists()


@torch.no_grad()
def test_a_second_table_that_differs_is_used_as_transformers_does(saved):
    tensors = load_file(saved / WEIGHTS)
    table = tensors["model.embed_tokens.weight"]

    save_file({**tensors, "lm_head.weight": table.flip(0)}, saved / WEIGHTS)
    with pytest.warns(UserWarning, match="share a table .* two different ones: both are used"):
        model, _ = load_pretrained(saved)
    twin = LlamaForCausalLM.from_pretrained(saved)

    assert not model.config.tied_embeddings
    torch.testing.assert_close(model(IDS), twin(IDS).logits, atol=1e-4, rtol=1e-4)

    save_pretrained(saved.parent / "again", model)
    assert torch.equal(load_pretrained(saved.parent / "again")[0](IDS), model(IDS))


@pytest.mark.parametrize("stored", ["both, equal", "under the other name"])
@torch.no_grad()
def test_a_shared_table_may_be_stored_twice_or_as_the_output(saved, stored):
    tensors = load_file(saved / WEIGHTS)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    if stored == "under the other name":
        del tensors["model.embed_tokens.weight"]
    save_file(tensors, saved / WEIGHTS)

    model, _ = load_pretrained(saved)

    assert model.config.tied_embeddings and torch.equal(model(IDS), sharpened(TINY)(IDS))


def test_two_tables_of_which_one_is_missing_are_refused(saved):
    edit_json(saved / "config.json", tie_word_embeddings=False)
    save_file(load_file(saved / WEIGHTS), saved / WEIGHTS)  # without what they were saved with

    with pytest.raises(ValueError, match=r"a table each .* no lm_head.weight"):
        load_pretrained(saved)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float8_e5m2])
def test_weights_that_are_no_numbers_are_refused(saved, broken, dtype):
    tensors = load_file(saved / WEIGHTS)
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = broken
    save_file({name: tensor.to(dtype) for name, tensor in tensors.items()}, saved / WEIGHTS)

    with pytest.raises(ValueError, match=r"not all numbers of model.layers.1.mlp.up_proj.weight"):
        load_pretrained(saved)


@pytest.mark.parametrize(
    "metadata",
    [{"config": "llama.yaml"}, {"config": "[1]"}, {"config": '{"lr": 1}'}, {"tokenizer": "mine"}],
)
def test_what_others_note_beside_weights_does_no_harm(saved, metadata):
    save_file(load_file(saved / WEIGHTS), saved / WEIGHTS, metadata)

    assert torch.equal(load_pretrained(saved)[0](IDS), sharpened(TINY)(IDS))


def test_tokens_without_a_row_of_the_table_are_refused_with_a_way_out(saved):
    theirs = AutoTokenizer.from_pretrained(saved)
    theirs.add_special_tokens({"pad_token": "[PAD]"})
    theirs.save_pretrained(saved)
    save_file(load_file(saved / WEIGHTS), saved / WEIGHTS)

    with pytest.raises(ValueError, match=r"281 ids, .* 280 rows: .*resize_token_embeddings"):
        load_pretrained(saved)


def foreign_folder(folder, tokenizer, **configs):
    """A model saved with a foreign tokenizer; then some of its JSON files are changed."""
    save_pretrained(folder, sharpened(TINY), tokenizer)
    save_file(load_file(folder / WEIGHTS), folder / WEIGHTS)
    for name, changes in configs.items():
        edit_json(folder / f"{name}.json", **changes)
    return folder


def test_a_chat_template_in_a_file_of_its_own_is_read_and_kept(tmp_path):
    foreign = ForeignTokenizer(foreign_tokenizer_json(normalizer={"type": "NFC"}), {})
    folder = foreign_folder(tmp_path / "model", foreign, tokenizer_config={"chat_template": "old"})
    llama = "[INST] {{ messages[0]['content'] }} [/INST]"
    (folder / "chat_template.jinja").write_text(llama)

    model, loaded = load_pretrained(folder)
    save_pretrained(tmp_path / "again", model, loaded)
    again = load_pretrained(tmp_path / "again")[1]

    assert loaded.chat_template == again.chat_template == llama
    with pytest.raises(ValueError, match="doesn't chat in ChatML"):
        encode_prompt(loaded, [{"role": "user", "content": "the cat?"}])


def test_what_begins_and_ends_a_text_is_taken_from_the_files_that_say_it(tmp_path):
    added = [dict(TOKENIZER.to_dict()["added_tokens"][0], id=277 + i, content=name)
             for i, name in enumerate(("<s>", "</s>", "<end>"))]  # fmt: skip
    foreign = ForeignTokenizer(foreign_tokenizer_json(added_tokens=added), {})
    named = {"bos_token_id": 277, "eos_token_id": [278, 279]}
    folder = foreign_folder(tmp_path / "model", foreign, generation_config=named)

    model, loaded = load_pretrained(folder)
    save_pretrained(tmp_path / "again", model, loaded)

    assert (loaded.start_ids, loaded.end_ids) == ([277], [278, 279])
    saved = json.loads((tmp_path / "again" / "generation_config.json").read_text())
    assert saved["bos_token_id"] == 277 and saved["eos_token_id"] == [278, 279]

    edit_json(folder / "generation_config.json", bos_token_id=None, eos_token_id=None)
    # what transformers writes for whoever names none: here they are letters
    edit_json(folder / "config.json", bos_token_id=1, eos_token_id=2)
    assert load_pretrained(folder)[1].end_ids == []
