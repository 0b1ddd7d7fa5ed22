"""Chat templates: messages to text exactly as transformers renders them, without loading it.

Owns: the Jinja environment and the frozen clock. Must not: know tokens. transformers' own renderer
(transformers/utils/chat_template_utils.py) is the reference; a test holds the two equal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runoff.errors import ModelError

__all__ = ["FROZEN_CLOCK", "render"]

FROZEN_CLOCK = datetime(2025, 1, 1)
"""What templates that print today's date are told, so that a prompt is the same tomorrow."""


class _Generation(Extension):
    """Accepts `{% generation %}` blocks and renders their inside, which is a scope of its own as in transformers."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's interface)

    def parse(self, parser: Any) -> nodes.Node | list[nodes.Node]:
        """Return the block's body as a call block."""
        line = next(parser.stream).lineno
        body: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("inside"), [], [], body).set_lineno(line)

    @staticmethod
    def inside(caller: Callable[[], str]) -> str:
        """The block's text."""
        return caller()


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


def _message(given: Mapping[str, Any]) -> dict[str, Any]:
    """As templates get it: no field that is null, and the reasoning under all of its names."""
    message = {key: value for key, value in given.items() if value is not None}
    reasoning = next(
        (message[name] for name in ("reasoning_content", "thinking", "reasoning") if name in message), None
    )
    return message if reasoning is None else {"thinking": reasoning, **message, "reasoning_content": reasoning}


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
        template = _compile(source)
    except TemplateError as error:
        line = f"line {error.lineno}: " if isinstance(error, TemplateSyntaxError) else ""
        raise ModelError(
            f"the model's chat template is not valid Jinja ({line}{error}). Get the model again."
        ) from None
    try:
        return template.render(
            messages=[_message(message) for message in messages],
            tools=None if tools is None else list(tools),
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **(special_tokens or {}),
        )
    except TemplateError as error:
        raise ModelError(f"the model's chat template refuses these messages ({error}).") from None
    except Exception as error:  # the template is a program of the model's makers: it may fail in any way
        reason = f"{type(error).__name__}: {error}"
        raise ModelError(f"the model's chat template breaks on these messages ({reason}).") from None
