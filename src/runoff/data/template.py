"""Chat templates: messages to text exactly as transformers renders them, without loading it.

Owns: the Jinja environment and the frozen clock. Must not: know tokens. transformers' own renderer
(transformers/utils/chat_template_utils.py) is the reference; a test holds the two equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runoff.errors import ModelError

__all__ = ["FROZEN_CLOCK", "render"]

FROZEN_CLOCK = datetime(2025, 1, 1)
"""What templates that print today's date are told, so that a prompt is the same tomorrow."""


class _Generation(Extension):
    """Accepts `{% generation %}` blocks and renders their inside."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's interface)

    def parse(self, parser: Any) -> nodes.Node | list[nodes.Node]:
        """Return the block's body unchanged."""
        next(parser.stream)
        body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return body


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


def _raise(message: str) -> str:
    raise TemplateError(message)


@lru_cache(maxsize=16)
def _compile(source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = FROZEN_CLOCK.strftime
    return environment.from_string(source)


def render(
    source: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool,
    tools: Sequence[Any] | None = None,
    special_tokens: Mapping[str, str] | None = None,
) -> str:
    """The chat as one text.

    Raises:
        ModelError: the template refuses these messages, or is broken.
    """
    try:
        return _compile(source).render(
            messages=[dict(message) for message in messages],
            tools=list(tools) if tools else None,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **(special_tokens or {}),
        )
    except TemplateError as error:
        raise ModelError(f"the model's chat template refuses these messages ({error}).") from None
