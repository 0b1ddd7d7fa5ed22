"""The tokenizer of a GGUF file. Owns: tokenizer.json and tokenizer_config.json rebuilt from its metadata.

Must not: guess. GGUF names the rule by which text is cut into words before merging ("pre"), and a wrong rule gives ids
that the model was never trained on, without any error; so a name that we don't know is refused.

The rules are llama.cpp's (src/llama-vocab.cpp) as well as those of the tokenizers they were taken from. transformers'
own GGUF loader (5.23) has no rule for "smollm" and falls back to GPT-2's, which takes a run of spaces or newlines
before a digit apart: "\\n\\n1." becomes two newline tokens and not the one that SmolLM2 was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runoff.models.folder import write_json
from runoff.models.gguf_file import GgufFile

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.pre_tokenizers import PreTokenizer

__all__ = ["write_tokenizer"]

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{DIGITS}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4  # llama.cpp's types of tokens; the rest are ordinary
_ROLES = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


@dataclass(frozen=True)
class _Rule:
    """How text becomes words: `words` is "gpt-2" or a regular expression; what else goes with the name."""

    words: str
    single_digits: bool = False
    whole_words_first: bool = False  # a word that is a token is taken as it is, whatever the merges say
    starts_with_bos: bool = False  # unless the file says otherwise
    composed: bool = False  # accents are composed (NFC) first


_LLAMA3 = _Rule(_WORDS.replace("{DIGITS}", "{1,3}"), whole_words_first=True, starts_with_bos=True)
_RULES = {
    "gpt-2": _Rule("gpt-2"),
    "smollm": _Rule("gpt-2", single_digits=True),
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "qwen2": _Rule(_WORDS.replace("{DIGITS}", ""), composed=True),
}


@dataclass(frozen=True)
class _Vocabulary:
    tokens: list[str]
    types: list[int]
    merges: list[tuple[str, str]]
    roles: dict[str, str]  # "eos_token" -> its text


def write_tokenizer(file: GgufFile, folder: Path, context: int) -> None:
    """Write both files into the folder."""
    rule = _read_rule(file)
    vocabulary = _read_vocabulary(file)
    tokenizer = _build(file, rule, vocabulary)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_json(folder / "tokenizer_config.json", _tokenizer_config(file, vocabulary, context))


def _read_rule(file: GgufFile) -> _Rule:
    if (model := file.get("tokenizer.ggml.model", str)) != "gpt2":
        raise file.problem(f'its tokenizer is of the kind "{model}", and Runoff rebuilds only "gpt2" (byte-level BPE)')
    name = file.find("tokenizer.ggml.pre", str) or "default"
    if name not in _RULES:
        raise file.problem(f'its tokenizer cuts words by the rule "{name}", and Runoff knows {", ".join(_RULES)}')
    return _RULES[name]


def _read_vocabulary(file: GgufFile) -> _Vocabulary:
    tokens: list[str] = file.get("tokenizer.ggml.tokens", list)
    types: list[int] = file.find("tokenizer.ggml.token_type", list) or [1] * len(tokens)
    merges: list[str] = file.get("tokenizer.ggml.merges", list)
    if len(types) != len(tokens):
        raise file.problem(f"its tokenizer has {len(tokens)} tokens, but types for {len(types)}")
    if len(set(tokens)) != len(tokens):
        raise file.problem("its tokenizer has the same token twice")
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    return _Vocabulary(tokens, types, pairs, _read_roles(file, tokens))


def _read_roles(file: GgufFile, tokens: list[str]) -> dict[str, str]:
    ids = {role: file.find(f"tokenizer.ggml.{name}_token_id", int) for role, name in _ROLES.items()}
    for role, token_id in ids.items():
        if token_id is not None and not 0 <= token_id < len(tokens):
            raise file.problem(f"its {role} is number {token_id} of only {len(tokens)} tokens")
    return {role: tokens[token_id] for role, token_id in ids.items() if token_id is not None}


def _build(file: GgufFile, rule: _Rule, vocabulary: _Vocabulary) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, normalizers
    from tokenizers.models import BPE

    ids = {token: token_id for token_id, token in enumerate(vocabulary.tokens)}
    try:
        model = BPE(vocab=ids, merges=vocabulary.merges, ignore_merges=rule.whole_words_first)
    except Exception as error:  # the package raises bare Exception, for a merge whose result is no token
        raise file.problem("its tokenizer's merges don't fit its tokens") from error
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = _pre_tokenizer(rule)
    tokenizer.decoder = decoders.ByteLevel()
    if rule.composed:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_tokens(_added_tokens(vocabulary))
    _add_ends(file, rule, vocabulary, tokenizer)
    return tokenizer


def _pre_tokenizer(rule: _Rule) -> PreTokenizer:
    from tokenizers import Regex, pre_tokenizers

    gpt2 = rule.words == "gpt-2"
    steps: list[PreTokenizer] = []
    if rule.single_digits:
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    if not gpt2:
        steps.append(pre_tokenizers.Split(Regex(rule.words), behavior="isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=gpt2))
    return pre_tokenizers.Sequence(steps)


def _added_tokens(vocabulary: _Vocabulary) -> list[AddedToken]:
    """The tokens that are found whole in any text, in the order of their ids."""
    from tokenizers import AddedToken

    named = set(vocabulary.roles.values())
    added = []
    for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True):
        special = kind in (_UNKNOWN, _CONTROL) or token in named
        if special or kind == _USER_DEFINED:
            added.append(AddedToken(token, special=special, normalized=False))
    return added


def _add_ends(file: GgufFile, rule: _Rule, vocabulary: _Vocabulary, tokenizer: Tokenizer) -> None:
    """Let plain encoding put the beginning and the end of the text, if this model wants them."""
    from tokenizers.processors import TemplateProcessing

    wants_bos = file.find("tokenizer.ggml.add_bos_token", bool)
    bos = vocabulary.roles.get("bos_token") if (rule.starts_with_bos if wants_bos is None else wants_bos) else None
    eos = vocabulary.roles.get("eos_token") if file.find("tokenizer.ggml.add_eos_token", bool) else None
    if bos is None and eos is None:
        return

    def template(*texts: str) -> list[str]:
        pieces = [(bos, text, eos) for text in texts]
        return [f"{piece}:{number}" for number, three in enumerate(pieces) for piece in three if piece is not None]

    tokenizer.post_processor = TemplateProcessing(
        single=template("$A"),
        pair=template("$A", "$B"),
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in {bos, eos} if token is not None],
    )


def _tokenizer_config(file: GgufFile, vocabulary: _Vocabulary, context: int) -> dict[str, Any]:
    """What transformers and mlx-lm read beside tokenizer.json; the class is the one that takes that file as it is."""
    content: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **vocabulary.roles,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    if template := file.find("tokenizer.chat_template", str):
        content["chat_template"] = template
    return content
