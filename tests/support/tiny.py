"""A tiny random Llama with a real tokenizer and chat template, made in milliseconds without a tensor library."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import safetensors.numpy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BLOCKS, WIDTH, INNER, HEADS, KV_HEADS, VOCABULARY = 4, 32, 64, 4, 2, 259


def make_tiny_model(folder: Path, *, blocks: int = BLOCKS, template: str | None = TEMPLATE, seed: int = 0) -> Path:
    """Write a Llama of about 60,000 parameters over bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.Generator(np.random.PCG64(seed))
    kv = WIDTH * KV_HEADS // HEADS

    def matrix(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        made: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = random.standard_normal(shape) / np.sqrt(shape[-1])
        return made.astype(np.float32)

    tensors = {"model.embed_tokens.weight": matrix(VOCABULARY, WIDTH), "model.norm.weight": np.ones(WIDTH, np.float32)}
    for block in range(blocks):
        prefix = f"model.layers.{block}."
        tensors |= {
            f"{prefix}self_attn.q_proj.weight": matrix(WIDTH, WIDTH),
            f"{prefix}self_attn.k_proj.weight": matrix(kv, WIDTH),
            f"{prefix}self_attn.v_proj.weight": matrix(kv, WIDTH),
            f"{prefix}self_attn.o_proj.weight": matrix(WIDTH, WIDTH),
            f"{prefix}mlp.gate_proj.weight": matrix(INNER, WIDTH),
            f"{prefix}mlp.up_proj.weight": matrix(INNER, WIDTH),
            f"{prefix}mlp.down_proj.weight": matrix(WIDTH, INNER),
            f"{prefix}input_layernorm.weight": np.ones(WIDTH, np.float32),
            f"{prefix}post_attention_layernorm.weight": np.ones(WIDTH, np.float32),
        }
    safetensors.numpy.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": blocks,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "bos_token_id": 256,
        "eos_token_id": 257,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    _tokenizer().save(str(folder / "tokenizer.json"))
    special = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|pad|>"}
    extra = {"chat_template": template} if template else {}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **special, **extra})
    )
    return folder


def _tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>", "<|pad|>"])
    return tokenizer
