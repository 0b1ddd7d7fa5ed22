"""What can be set: every key of the YAML, its type, default and meaning, once.

Owns: the schema that the loader, `--help`, the generated option table and the editors' JSON Schema read. The keys and
defaults are mlx-lm's (mlx_lm/lora.py CONFIG_DEFAULTS, 0.32) where mlx-lm has them; the rest is marked `Runoff only`.
Must not: read files or know where a value came from.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["RUNOFF_ONLY", "EarlyStopping", "LoraParameters", "LrSchedule", "Settings"]

MAX_ITERATIONS = 10_000_000
"""Far beyond a LoRA run, and few enough to be counted one by one."""
RUNOFF_ONLY = frozenset({"engine", "dtype", "epochs", "max_grad_norm", "early_stopping", "on_bad_loss", "trunk_cache"})


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class LoraParameters(_Frozen):
    """The adapter's shape; given in part, the rest keeps these defaults (mlx-lm fails with a KeyError there)."""

    rank: int = Field(8, ge=1, description="Rank r of the two adapter matrices of each adapted layer.")
    scale: float = Field(20.0, description="Factor on the adapter's output. PEFT's alpha is scale x rank.")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="Share of the adapter's inputs dropped while training.")
    keys: tuple[str, ...] | None = Field(
        None, description="Layers to adapt, named inside a block (`self_attn.q_proj`). Default: every linear layer."
    )

    @field_validator("keys")
    @classmethod
    def _some_keys(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value == ():
            raise ValueError("a list of at least one layer (leave it out for every linear layer)")
        return value


class LrSchedule(_Frozen):
    """A learning rate that moves with the optimizer updates (not with the iterations), as in mlx-lm."""

    name: Literal["cosine_decay", "linear_schedule", "exponential_decay", "step_decay"] = Field(
        description="A schedule of mlx.optimizers."
    )
    arguments: tuple[float, ...] = Field(
        description="In order, with lengths in optimizer updates: cosine_decay [start, length, end (0)]; "
        "linear_schedule [start, end, length]; exponential_decay [start, factor for each update]; "
        "step_decay [start, factor, length between two]."
    )
    warmup: int = Field(0, ge=0, description="Optimizer updates of linear warm-up before the schedule starts.")
    warmup_init: float = Field(0.0, ge=0.0, description="Learning rate of the very first update of the warm-up.")


class EarlyStopping(_Frozen):
    """Stop when the whole valid set's loss has stopped falling."""

    patience: int = Field(3, ge=1, description="Validations in a row without improvement before the run ends.")
    min_improvement: float = Field(0.0, ge=0.0, description="Nats per target token that count as an improvement.")


class Settings(_Frozen):
    """One training run, as it takes effect. Field order is the order of the option table."""

    model: str = Field(
        "smollm2-135m", description="Base model: a folder, a Hugging Face id, a .gguf file, or an embedded name."
    )
    data: str = Field(
        "data", description="Folder with train.jsonl, valid.jsonl and test.jsonl, or a Hugging Face dataset id."
    )
    hf_dataset: dict[str, Any] | None = Field(
        None, description="Hugging Face dataset with its splits and features, as in mlx-lm."
    )
    prompt_feature: str = Field("prompt", description="Name of the prompt field in prompt-and-completion rows.")
    completion_feature: str = Field("completion", description="Name of the completion field.")
    chat_feature: str = Field("messages", description="Name of the field that holds a chat's messages.")
    text_feature: str = Field("text", description="Name of the field of plain-text rows.")
    mask_prompt: bool = Field(False, description="Train on the last assistant message alone; false: on the prompt too.")
    max_seq_length: int = Field(2048, ge=2, description="Tokens kept of a row; longer rows lose their end.")

    fine_tune_type: Literal["lora", "dora", "full"] = Field(
        "lora",
        description="Kind of adapter; full: the blocks' own weights and norms are trained, and kept beside the base.",
    )
    num_layers: int = Field(16, ge=-1, description="Blocks adapted, counted from the last. 0 and -1: all.")
    lora_parameters: LoraParameters = Field(default_factory=LoraParameters, description="The adapter's shape.")
    resume_adapter_file: str | None = Field(
        None, description="File of adapter weights to start from (not a resume: see --resume)."
    )

    iters: int = Field(
        1000, ge=1, le=MAX_ITERATIONS, description="Iterations: micro-batches of batch_size rows, forward and backward."
    )
    epochs: float | None = Field(
        None, gt=0, le=100_000, description="Passes over the training rows; sets iters. Fractions allowed."
    )
    batch_size: int = Field(4, ge=1, description="Rows in one micro-batch.")
    grad_accumulation_steps: int = Field(
        1, ge=1, description="Micro-batches (iterations) that make one optimizer update."
    )
    optimizer: Literal["adam", "adamw", "sgd", "adafactor", "muon"] = Field(
        "adam", description="Optimizer; MLX's arithmetic on every engine."
    )
    optimizer_config: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Arguments by optimizer, e.g. {adamw: {weight_decay: 0.01, bias_correction: true}}.",
    )
    learning_rate: float = Field(1e-5, ge=0, description="Learning rate; the schedule's own where lr_schedule is set.")
    lr_schedule: LrSchedule | None = Field(
        None, description="How the learning rate moves with the optimizer updates; see below."
    )
    max_grad_norm: float | None = Field(
        None, gt=0, description="Largest norm of the gradient; a larger one is scaled down to it before the update."
    )
    seed: int = Field(
        0, ge=0, lt=2**64, description="Seed of the adapter's start, the order of the rows and the dropout."
    )

    steps_per_report: int = Field(10, ge=1, description="Iterations between two reports of the training loss.")
    steps_per_eval: int = Field(200, ge=1, description="Iterations between two validations.")
    val_batches: int = Field(
        -1, ge=-1, description="Validation batches; -1: the whole valid set; 0: none. A part is drawn once and kept."
    )
    save_every: int = Field(100, ge=1, description="Iterations between two resumable checkpoints.")
    early_stopping: EarlyStopping | None = Field(
        None, description="Stop when validation stops improving: true, or a section as below."
    )
    on_bad_loss: Literal["stop", "skip"] = Field(
        "stop",
        description="At an update whose loss is not a number, or that is a spike: stop, or leave the update out.",
    )
    test: bool = Field(False, description="Score the test set after training (else `runoff evaluate`).")
    train: bool = Field(True, description="mlx-lm's switch; `runoff train` wants it true or absent.")

    engine: Literal["auto", "torch", "mlx"] = Field(
        "auto",
        description="Tensor library; auto: MLX on Apple silicon and for bases in MLX's quantization, else torch.",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Type of the base weights; auto: bfloat16 where the processor multiplies it, else float32."
    )
    trunk_cache: Literal["auto", "memory", "disk", "off"] = Field(
        "auto",
        description="Keep the states below the lowest adapted block; auto: in a file that runs share, if it fits.",
    )
    grad_checkpoint: bool = Field(
        False, description="Recompute the adapted blocks in the backward pass: less memory, slower."
    )

    @field_validator("optimizer", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        """`AdamW` is `adamw`, as in mlx-lm."""
        return value.lower() if isinstance(value, str) else value

    @field_validator("early_stopping", mode="before")
    @classmethod
    def _on_or_off(cls, value: object) -> object:
        """`early_stopping: true` means the defaults, `false` none."""
        if isinstance(value, bool):
            return {} if value else None
        return value
