"""A model folder's tokenizer and chat template, read with the `tokenizers` library alone.

Owns: text <-> token ids, the end tokens, the identity (hash) of tokenizer and template. Must not: load transformers:
`runoff check` has to answer within two seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runoff.data import template
from runoff.errors import ModelError
from runoff.files import read_json_object

if TYPE_CHECKING:
    from tokenizers import Tokenizer as RustTokenizer

__all__ = ["Tokenizer", "load_tokenizer"]


@dataclass(frozen=True)
class Tokenizer:
    """Encodes, decodes and renders chats for one model folder."""

    folder: Path
    chat_template: str | None
    special_tokens: Mapping[str, str]
    end_ids: frozenset[int]
    rust: RustTokenizer
    tool_template: str | None = None

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids; `special` adds what the tokenizer puts around a text (BOS), as for plain-text rows."""
        return self.rust.encode(text, add_special_tokens=special).ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many rendered texts, in parallel."""
        return [encoding.ids for encoding in self.rust.encode_batch_fast(list(texts), add_special_tokens=False)]

    @property
    def end_id(self) -> int | None:
        """Id of the token that ends a text."""
        token = self.special_tokens.get("eos_token")
        return self.rust.token_to_id(token) if token else None

    def decode(self, ids: Sequence[int]) -> str:
        """Text without special tokens."""
        return self.rust.decode(list(ids), skip_special_tokens=True)

    def render(
        self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool, tools: Sequence[Any] | None = None
    ) -> str:
        """The chat as the model sees it."""
        if self.chat_template is None:
            raise ModelError(
                f"{self.folder}: this model has no chat template, so chat rows can't be rendered. "
                "Use the instruction-tuned model, or rows with a text field."
            )
        return template.render(
            self.chat_template if tools is None or self.tool_template is None else self.tool_template,
            messages,
            add_generation_prompt=add_generation_prompt,
            tools=tools,
            special_tokens=self.special_tokens,
        )

    @cached_property
    def sha256(self) -> str:
        """Identity of tokenizer and template: equal hashes give equal ids."""
        digest = hashlib.sha256((self.folder / "tokenizer.json").read_bytes())
        digest.update((self.chat_template or "").encode())
        digest.update((self.tool_template or "").encode())
        return digest.hexdigest()


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read tokenizer.json, tokenizer_config.json, chat_template.jinja and generation_config.json.

    Raises:
        ModelError: a file is missing or broken.
    """
    from tokenizers import Tokenizer as RustTokenizer

    path = folder / "tokenizer.json"
    if not path.exists():
        raise ModelError(f"{folder}: has no tokenizer.json. Run: runoff model get NAME, and use the folder it prints.")
    try:
        rust = RustTokenizer.from_file(str(path))
    except Exception as error:  # the Rust side raises bare Exception
        raise ModelError(f"{path}: can't be read as a tokenizer ({error}). Get the model again.") from None
    rust.no_truncation()
    rust.no_padding()
    config = _json(folder / "tokenizer_config.json")
    named = {**config, **_json(folder / "special_tokens_map.json")}  # transformers' order, too
    special = {name: _token(named[name]) for name in _SPECIAL if named.get(name)}
    templates = _chat_templates(folder, config)
    end_ids = _end_ids(folder, rust, special)
    return Tokenizer(folder, templates.get("default"), special, end_ids, rust, templates.get("tool_use"))


_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def _json(path: Path) -> dict[str, Any]:
    return read_json_object(path, ModelError) if path.exists() else {}


def _token(value: Any) -> str:
    return str(value.get("content", "")) if isinstance(value, dict) else str(value)


def _chat_templates(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """`default`, and `tool_use` where the model has another one for rows with tools."""
    path = folder / "chat_template.jinja"
    try:
        if path.exists():
            return {"default": path.read_text("utf-8")}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: can't be read as UTF-8 text ({error}).") from None
    given = config.get("chat_template")
    entries = given if isinstance(given, list) else [{"name": "default", "template": given}]
    return {
        str(entry["name"]): entry["template"]
        for entry in entries
        if isinstance(entry, dict) and "name" in entry and isinstance(entry.get("template"), str)
    }


def _end_ids(folder: Path, rust: RustTokenizer, special: Mapping[str, str]) -> frozenset[int]:
    ids = {rust.token_to_id(special["eos_token"])} if "eos_token" in special else set()
    for name in ("generation_config.json", "config.json"):
        given = _json(folder / name).get("eos_token_id")
        ids |= set(given) if isinstance(given, list) else {given}
    return frozenset(found for found in ids if isinstance(found, int))
