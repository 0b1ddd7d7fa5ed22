"""Chat templates are rendered as transformers renders them, character by character."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from runoff.data.template import FROZEN_CLOCK, render
from runoff.errors import ModelError

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "llama 2": (
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
        "{% set system = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system = false %}"
        "{% endif %}{% for m in loop_messages %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' }}"
        "{% if loop.first and system != false %}{{ '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' }}{% endif %}"
        "{{ m['content'].strip() + ' [/INST]' }}{% elif m['role'] == 'assistant' %}"
        "{{ ' ' + m['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
    ),
    "blocks on lines of their own": (
        "{%- for m in messages -%}\n    {%- if m.role == 'user' %}\n        [U] {{ m.content }}\n    {%- else %}\n"
        "    [A] {{ m.content | trim }}\n    {% endif %}\n{% endfor %}\n{% if add_generation_prompt %}\n[A]{% endif %}"
    ),
    "today's date": "{{ strftime_now('%d %B %Y') }} {% for m in messages %}{{ m.content }}{% endfor %}",
    "date if it can be told": (
        "{% if strftime_now is defined %}{% set d = strftime_now('%Y-%m-%d') %}{% else %}{% set d = '26 Jul 2024' %}"
        "{% endif %}Today: {{ d }}"
    ),
    "generation blocks": (
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ eos_token }}"
        "{% endgeneration %}\n{% else %}{{ m.content }}\n{% endif %}{% endfor %}"
    ),
    "a name set inside a generation block": (
        "{% set x = 'outer' %}{% generation %}{% set x = 'inner' %}{{ x }}{% endgeneration %}{{ x }}"
    ),
    "a generation block on lines of its own": (
        "{% for m in messages %}\n  {% generation %}\n  {{ m.content }}\n  {% endgeneration %}\n{% endfor %}"
    ),
    "loop controls": (
        "{% for m in messages %}{% if loop.index > 3 %}{% break %}{% endif %}{% if m.role == 'system' %}{% continue %}"
        "{% endif %}{{ loop.index }}:{{ m.content }};{% endfor %}"
    ),
    "tools as json": (
        "{% if tools is not none %}{{ tools | tojson }}|{{ tools | tojson(indent=2) }}|"
        "{{ tools[0] | tojson(separators=(',', ':'), sort_keys=true) if tools else 'none' }}"
        "{% else %}no tools{% endif %}"
    ),
    "tools if any": "{% if tools %}{% for t in tools %}{{ t.function.name }}{% endfor %}{% else %}no tools{% endif %}",
    "documents": "{{ documents is none }} {{ documents is defined }}",
    "namespace and macro": (
        "{% macro say(m) %}<{{ m.role }}>{{ m.content }}{% endmacro %}{% set ns = namespace(count=0, last='') %}"
        "{% for m in messages %}{% set ns.count = ns.count + 1 %}{% set ns.last = m.role %}{{ say(m) }}{% endfor %}"
        "{{ ns.count }} {{ ns.last }}"
    ),
    "reasoning": (
        "{% for m in messages %}{{ m.reasoning_content if m.reasoning_content is defined else '-' }}"
        "{{ m.thinking if m.thinking is defined else '-' }}{{ m.content }}{% endfor %}"
    ),
    "tool calls": (
        "{% for m in messages %}{% if 'content' in m %}{{ m.content }}{% endif %}{% if m.tool_calls %}"
        "{% for c in m.tool_calls %}{{ c.function.name }}({{ c.function.arguments | tojson }}){% endfor %}{% endif %}"
        "{{ m.get('name', 'nobody') }}{{ m | tojson }}{% endfor %}"
    ),
    "special tokens": "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ unk_token }}|{{ sep_token is defined }}",
    "filters and methods": (
        "{% for m in messages | reverse %}{{ m.role | upper | replace('U', 'ü') }} {{ m.content.split(' ')[-1] }} "
        "{{ m['content'] | length }} {{ m.items() | list | length }}{% endfor %}{{ messages[-1]['content'][:3] }}"
    ),
    "html is left alone": "{% for m in messages %}{{ m.content }} {{ m.content | tojson }}{% endfor %}<&>",
    "a last line break": "{{ messages[0].content }}\n",
}
TOOL = {
    "type": "function",
    "function": {"name": "timer", "description": "Bäcker's <timer>", "parameters": {"z": 1, "a": [True, None]}},
}
USER = {"role": "user", "content": "Hot & <steamy> 'crust', ü?  "}
CHATS: dict[str, list[dict[str, Any]]] = {
    "one turn": [USER, {"role": "assistant", "content": " Yes.\n"}],
    "system and two turns": [
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "assistant", "content": "Yes."},
        USER,
        {"role": "assistant", "content": "No."},
    ],
    "tool call": [
        USER,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"type": "function", "function": {"name": "timer", "arguments": {"minutes": 5}}}],
        },
        {"role": "tool", "name": "timer", "content": "ok"},
        {"role": "assistant", "content": "Done.", "tool_calls": None},
    ],
    "reasoning": [
        USER,
        {"role": "assistant", "reasoning": "hm", "content": "a"},
        {"role": "assistant", "thinking": "so", "content": "b"},
        {"role": "assistant", "reasoning_content": "thus", "thinking": "or", "content": "c"},
    ],
}
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}


class FrozenDatetime(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return FROZEN_CLOCK


@pytest.mark.parametrize("source", TEMPLATES.values(), ids=TEMPLATES)
def test_every_template_gives_transformers_text(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.utils import chat_template_utils as reference

    monkeypatch.setattr(reference, "datetime", FrozenDatetime)
    compared = 0
    for messages in CHATS.values():
        given = [{key: value for key, value in message.items() if value is not None} for message in messages]
        for tools in (None, [], [TOOL]):
            for prompt in (False, True):
                try:
                    rendered, _ = reference.render_jinja_template(
                        [given], tools=tools, chat_template=source, add_generation_prompt=prompt, **SPECIAL
                    )
                except Exception:
                    with pytest.raises(ModelError):
                        render(source, messages, add_generation_prompt=prompt, tools=tools, special_tokens=SPECIAL)
                    continue
                ours = render(source, messages, add_generation_prompt=prompt, tools=tools, special_tokens=SPECIAL)
                assert ours == rendered[0]
                compared += 1
    assert compared >= 6


def test_the_date_in_a_prompt_is_the_same_tomorrow() -> None:
    text = render("{{ strftime_now('%d %b %Y') }}", [USER], add_generation_prompt=True)
    assert text == "01 Jan 2025"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("{{ raise_exception('Roles must alternate') }}", "refuses these messages (Roles must alternate)."),
        ("{% for %}", "is not valid Jinja (line 1: Expected an expression, got 'end of statement block'). Get the "),
        ("{{ messages.append(1) }}", "refuses these messages ("),
        ("{{ ''.__class__.__mro__ }}", "refuses these messages ("),
        ("{{ 'a' + 1 }}", 'breaks on these messages (TypeError: can only concatenate str (not "int") to str).'),
        ("{{ 1 // 0 }}", "breaks on these messages (ZeroDivisionError: "),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "breaks on these messages (RecursionError: "),
    ],
)
def test_a_template_that_fails_does_so_in_one_sentence(source: str, sentence: str) -> None:
    with pytest.raises(ModelError) as caught:
        render(source, [USER], add_generation_prompt=False)
    assert str(caught.value).startswith(f"the model's chat template {sentence}")


def test_the_messages_that_come_in_are_left_as_they_were() -> None:
    messages = [{"role": "assistant", "content": None, "reasoning": "x"}]
    render("{{ messages[0].thinking }}", messages, add_generation_prompt=False)
    assert messages == [{"role": "assistant", "content": None, "reasoning": "x"}]
