"""docs/adapters.md: the two formats, conversion, and the refusals as the code has them. Must not: say them twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runoff.engines.adapters.refusals import MLX_REFUSALS, PEFT_REFUSALS, TENSOR_REFUSALS, Refusal

__all__ = ["adapter_document"]

_TEXT = """\
# Adapters

Made from the code by `python docs/generate.py`; do not edit.

A run's `adapter/` folder is what its engine's own library loads as it is: an MLX run's works in `mlx_lm.generate
--adapter-path`, `mlx_lm.fuse` and `mlx_lm.server`, a torch run's in `PeftModel.from_pretrained`. `runoff evaluate`
reads both, on either engine.

## Converting

```sh
runoff adapter convert runs/run3/adapter run3-peft --to peft
runoff adapter convert outputs/checkpoint-200 run4-mlx --to mlx --base models/smollm3
runoff adapter convert adapters/0000400_adapters.safetensors run5-peft --to peft
```

The source is a folder of either format, or one file in it (mlx-lm's numbered checkpoints). The base is the one that its
`adapter_config.json` names, or `--base`; its layers are held against the adapter's. The new folder is whole or absent.
The logits of the two folders, each in its own library, are equal to 1e-5 in float32. Converting there and back gives
the same numbers to the bit where neither ranks nor scales differ between layers.

| | mlx-lm | PEFT |
|---|---|---|
| file | `adapters.safetensors` | `adapter_model.safetensors` |
| name | `model.layers.4.self_attn.q_proj.lora_a` | `base_model.model.model.layers.4.self_attn.q_proj.lora_A.weight` |
| A | (in, rank) | (rank, in) |
| B | `lora_b` (rank, out) | `lora_B.weight` (out, rank) |
| DoRA's magnitudes | `m` | `lora_magnitude_vector` |
| strength | `scale` | `lora_alpha` / `r`; with `use_rslora` `lora_alpha` / sqrt(`r`) |
| which blocks | the last `num_layers` | `layers_to_transform` |
| which layers | `keys`, named inside a block | `target_modules` |

- mlx-lm has one rank and one scale for all layers. Where PEFT has several (`rank_pattern`, `alpha_pattern`, rsLoRA with
  either), the largest of each is taken; smaller matrices are padded with zeros, and B is multiplied by what a smaller
  scale is of the largest. No product changes.
- An adapter on single layers stays one: PEFT gets their full names; in mlx-lm, whose `keys` hold for every block, the
  layers in between are there and do nothing.
- The numbers are written in float32, whatever they were in.
- A base that is quantized keeps its quantization; the adapter does not know of it. `mlx_lm.fuse` on a quantized base
  rounds the sum to the base's bits again, and small changes vanish: fuse with `--dequantize`, or keep the adapter
  apart.

## Whole weights

A run with `fine_tune_type: full` keeps the trained parameters of its blocks, on either engine in mlx-lm's form: an
`adapters.safetensors` with names such as `model.layers.29.mlp.up_proj.weight`, in the type that the base computes in,
and an `adapter_config.json` with `fine_tune_type: full`. `mlx_lm.generate --adapter-path`, `mlx_lm.fuse` and
`mlx_lm.server` take the folder as it is. transformers has the same names, so there two lines do:

```python
from safetensors.torch import load_file

model.load_state_dict(load_file("runs/run5/adapter/adapters.safetensors"), strict=False)
```

`runoff adapter convert` refuses such a folder, since there is nothing to convert: PEFT has no adapter of that kind. Its
`modules_to_save` would hold the blocks, but only beside low-rank matrices on some other layer, which PEFT insists on.
Such a file is read back whole, with nan, other shapes, and tensors outside of the blocks refused by name.

## What is refused

By name, in one sentence, with exit code 2 and nothing written. `runoff evaluate` and `resume_adapter_file` refuse the
same, since a part of such an adapter would be taken for the whole.
"""

_ALSO = """
Settings that the folder's own tensors contradict are refused too: another rank than `r` or `rank_pattern` say, DoRA
without magnitudes or the other way round, an alpha that is no number. PEFT stops at the first; it would load the rest
as another adapter than was trained.

Conversion alone refuses DoRA with a dropout above 0 (PEFT's drops the base's input too, so it would train on as another
run; running it is the same), and adapters on the language part of a larger model, which the libraries name differently.
"""


def adapter_document() -> str:
    """The whole page."""
    sections = (
        ("PEFT's `adapter_config.json`", PEFT_REFUSALS),
        ("mlx-lm's `adapter_config.json`", MLX_REFUSALS),
        ("Tensors of either", TENSOR_REFUSALS),
    )
    lines = [line for title, refusals in sections for line in _table(title, refusals)]
    return "\n".join([_TEXT.rstrip(), *lines, _ALSO.rstrip()]) + "\n"


def _table(title: str, refusals: Iterable[Refusal]) -> Iterator[str]:
    yield from ("", f"### {title}", "", "| what | why, and what to do |", "|---|---|")
    for refusal in refusals:
        yield f"| `{refusal.name}` | {refusal.because}. |"
