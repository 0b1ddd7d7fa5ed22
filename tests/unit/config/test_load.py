"""From YAML and --set to a Config: places, contradictions, and every problem at once."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from runoff.config import Config, load_config, parse_config
from runoff.errors import ConfigError


def problems(text: str, *options: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, options)
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


def origins(config: Config) -> dict[str, str]:
    return {key: str(origin) for key, origin in config.origins.items()}


def test_values_know_their_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "run4.yaml"
    path.write_text("# a comment\nmodel: m\n\nlora_parameters:\n  rank: 4\n  dropout: 0.1\niters: 30\n")
    config = load_config(path)
    assert config.settings.lora_parameters.rank == 4
    assert config.settings.lora_parameters.scale == 20.0
    assert origins(config) == {
        "model": "run4.yaml:2",
        "lora_parameters.rank": "run4.yaml:5",
        "lora_parameters.dropout": "run4.yaml:6",
        "iters": "run4.yaml:7",
    }
    assert str(config.origin("seed")) == "default"
    assert config.text == path.read_text()
    assert config.path == path


def test_an_empty_file_is_all_defaults() -> None:
    for text in ("", "# nothing\n", "---\n", "{}"):
        assert parse_config(text).settings == parse_config("seed: 0").settings


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- iters: 5\n- seed: 1", "config: is a list, but must be settings, one `key: value` a line."),
        ("hello", "config: is a single value ('hello'), but must be settings, one `key: value` a line."),
        (
            "iters: 5\n  seed: 1",
            "config:2: not valid YAML (no key can begin here; it is indented too far, or the line before "
            "lacks a space after its colon).",
        ),
        ("iters: 5\n\tseed: 1", "config:2: not valid YAML (a tab can't stand there: use spaces)."),
        (
            "iters: 5\niters: 6",
            "config:2: not valid YAML (iters stands twice, and mlx-lm would take the last in silence; keep one).",
        ),
        ("a: *b", "config:1: not valid YAML (found undefined alias 'b')."),
        ("d: 2001-99-99", "config: not valid YAML (month must be in 1..12)."),
        ("iters: &a {x: *a}", "config: a value contains itself (&anchor and *alias). Write it out."),
        ("\0", "config: not valid YAML (unacceptable character #x0000: special characters are not allowed)."),
    ],
)
def test_a_file_that_is_no_settings(text: str, sentence: str) -> None:
    assert problems(text) == [sentence]


def test_a_yaml_that_is_a_list_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- model: x\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == "list.yaml: is a list, but must be settings, one `key: value` a line."


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, sentence in (
        (tmp_path / "none.yaml", "no such file. Write a YAML such as those in examples/."),
        (tmp_path, "can't be read (Is a directory)."),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert str(caught.value) == f"{path}: {sentence}"
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"model: caf\xe9\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: not UTF-8 text (byte 10). Save the file as UTF-8."


@pytest.mark.parametrize(
    ("key", "rest"),
    [
        ("learning_rte", "; did you mean learning_rate?"),
        ("rankk", "; did you mean lora_parameters.rank?"),
        ("keys", "; did you mean lora_parameters.keys?"),
        ("warmup", "; did you mean lr_schedule.warmup?"),
        ("patience", "; did you mean early_stopping.patience?"),
        ("zzz", "."),
        ("iters.", "; did you mean iters?"),
        ("1", "."),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(key: str, rest: str) -> None:
    (said,) = problems(f"seed: 1\n{key}: 3")
    assert said == f"config:2: unknown key {key}{rest} mlx-lm would ignore it without a word."


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ("lora_parameters: {rank: 4, dropuot: 0.1}", "lora_parameters.dropuot", "lora_parameters.dropout"),
        ("lr_schedule:\n  warmpu: 3", "lr_schedule.warmpu", "lr_schedule.warmup"),
        ("early_stopping: {patince: 3}", "early_stopping.patince", "early_stopping.patience"),
        ("optimizer_config: {adma: {eps: 1}}", "optimizer_config.adma.eps", "optimizer_config.adam"),
        ("hf_dataset: {train_splt: x}", "hf_dataset.train_splt", "hf_dataset.train_split"),
    ],
)
def test_an_unknown_key_inside_a_section_is_named_too(text: str, key: str, near: str) -> None:
    assert any(f": unknown key {key}; did you mean {near}?" in said for said in problems(text))


def test_every_problem_is_reported_at_once_with_its_own_line() -> None:
    said = problems("iters: many\nlearning_rat: 1\nlora_parameters:\n  rank: 0\nwarmup_steps: 5\nbatch_size: 0\n")
    assert [problem.split(" ")[0] for problem in said] == [
        "config:2:",
        "config:5:",
        "config:4:",
        "config:1:",
        "config:6:",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("batch_size: 0", "config:1: batch_size is 0, but must be at least 1."),
        (
            "early_stopping: 3",
            "config:1: early_stopping is 3, but must be a section of `key: value` lines.",
        ),
        ("iters: 1.5", "config:1: iters is 1.5, but must be a whole number."),
        ("learning_rate: .nan", "config:1: learning_rate is nan, but must be a finite number."),
        ("learning_rate: [1]", "config:1: learning_rate is [1], but must be a number."),
        (
            "learning_rate: 'fast'",
            "config:1: learning_rate is 'fast', but must be a number.",
        ),
        (
            "optimizer: adafactor\nlearning_rate: 1e-4",
            "config:2: learning_rate is given, but adafactor makes a rate of its own unless its relative_step is "
            "false. Remove the line, or write optimizer_config: {adafactor: {relative_step: false}}.",
        ),
        (
            "optimizer: muon\noptimizer_config: {muon: {ns_steps: 0}}",
            "config:2: optimizer_config.muon.ns_steps is 0, but must be a whole number of 1 to 100.",
        ),
        (
            "optimizer: lion",
            "config:1: optimizer is 'lion', but must be 'adam', 'adamw', 'sgd', 'adafactor' or 'muon'.",
        ),
        ("fine_tune_type: half", "config:1: fine_tune_type is 'half', but must be 'lora', 'dora' or 'full'."),
        ("lora_parameters:\n  dropout: 1", "config:2: lora_parameters.dropout is 1, but must be less than 1."),
        ("lr_schedule:\n  name: cosine_decay", "config:2: lr_schedule.arguments is missing."),
        ("train: false", "config:1: train is false, so nothing would be trained. Remove the line."),
        (
            "iters: 5\nepochs: 2",
            "config:1: iters and config:2: epochs both set the length of the run. Keep one of the two.",
        ),
        (
            "optimizer_config:\n  adamw:\n    eps: 1.0e-6",
            "config:3: optimizer_config.adamw is given, but the optimizer is adam.",
        ),
        (
            "optimizer_config:\n  adam: {weight_decay: 0.1}",
            "config:2: optimizer_config.adam.weight_decay is unknown; adam takes betas, bias_correction, eps.",
        ),
        (
            "optimizer_config:\n  adam:\n    betas: 0.9",
            "config:3: optimizer_config.adam.betas is 0.9, but must be two numbers of at least 0 and below 1.",
        ),
        (
            "optimizer_config: {adam: {eps: '1e-8'}}",
            "config:1: optimizer_config.adam.eps is '1e-8', but must be a number of at least 0 (it was read as text; "
            "write numbers without quotes).",
        ),
        (
            "optimizer: sgd\noptimizer_config: {sgd: {nesterov: true}}",
            "config:2: optimizer_config.sgd.nesterov needs a momentum above 0 and a dampening of 0, as in MLX.",
        ),
    ],
)
def test_a_value_that_cannot_be(text: str, sentence: str) -> None:
    assert problems(text) == [sentence]


def test_long_values_are_shortened_in_sentences() -> None:
    (said,) = problems(f"iters: {'x' * 500}")
    assert len(said) < 220
    (said,) = problems("learning_rate: 0x" + "f" * 5000)
    assert "is a number of thousands of digits, but" in said


def test_optimizers_are_recognised_in_any_case_as_in_mlx_lm() -> None:
    assert parse_config("optimizer: AdamW").settings.optimizer == "adamw"


def test_mlx_lms_own_example_of_optimizer_sections_is_taken() -> None:
    text = "optimizer: adamw\noptimizer_config:\n  adam: {}\n  adamw: {weight_decay: 0.02}\n  muon: {}\n  sgd:\n"
    config = parse_config(text)
    assert config.settings.optimizer_config["adamw"] == {"weight_decay": 0.02}
    assert config.origins["optimizer_config.adamw.weight_decay"].place == "config:4"


def test_early_stopping_can_be_switched_on_with_its_defaults() -> None:
    config = parse_config("early_stopping: true")
    assert config.settings.early_stopping is not None
    assert config.settings.early_stopping.patience == 3
    assert str(config.origin("early_stopping.patience")) == "config:1"
    assert parse_config("early_stopping: false").settings.early_stopping is None


def test_a_value_of_null_is_the_default() -> None:
    config = parse_config("iters:\nlr_schedule:\nlora_parameters:\n  rank:\n")
    assert config.settings.iters == 1000
    assert config.settings.lora_parameters.rank == 8
    assert str(config.origin("iters")) == "default"


def test_merged_keys_have_a_place() -> None:
    (said,) = problems("x: &base {iters: 5}\n<<: *base\n")
    assert said.startswith("config:1: unknown key x")
    config = parse_config("lora_parameters:\n  <<: {rank: 3}\n  dropout: 0.1")
    assert (config.settings.lora_parameters.rank, config.settings.lora_parameters.dropout) == (3, 0.1)


def test_options_win_over_the_file_and_say_so() -> None:
    config = parse_config("iters: 5\nlora_parameters: {rank: 4, scale: 2}", ["iters=7", "lora_parameters.rank=16"])
    assert (config.settings.iters, config.settings.lora_parameters.rank) == (7, 16)
    assert config.settings.lora_parameters.scale == 2
    assert origins(config)["iters"] == "--set iters"
    assert origins(config)["lora_parameters.rank"] == "--set lora_parameters.rank"
    assert origins(config)["lora_parameters.scale"] == "config:2"


def test_an_option_for_a_whole_section_replaces_it_aloud() -> None:
    config = parse_config("lora_parameters: {rank: 4, scale: 2}", ["lora_parameters={rank: 16}"])
    assert (config.settings.lora_parameters.rank, config.settings.lora_parameters.scale) == (16, 20)
    assert [str(note) for note in config.notes] == [
        "config:1: lora_parameters.rank: not used: --set lora_parameters replaces it",
        "config:1: lora_parameters.scale: not used: --set lora_parameters replaces it",
    ]


def test_an_option_can_switch_a_section_off() -> None:
    text = "lr_schedule: {name: cosine_decay, arguments: [1.0e-3, 10]}\nearly_stopping: true"
    config = parse_config(text, ["lr_schedule=null", "early_stopping=false"])
    assert config.settings.lr_schedule is None
    assert config.settings.early_stopping is None


def test_an_option_in_a_foreign_spelling_wins_too() -> None:
    config = parse_config("lora_parameters: {rank: 8}", ["lora_rank=16"])
    assert config.settings.lora_parameters.rank == 16
    config = parse_config("lora_rank: 8\nlora_alpha: 16", ["lora_parameters.rank=4"])
    assert (config.settings.lora_parameters.rank, config.settings.lora_parameters.scale) == (4, 4.0)


@pytest.mark.parametrize("option", ["iters", "=5", "iters=", " =5", "iters= "])
def test_an_option_that_is_no_pair(option: str) -> None:
    assert problems("", option) == [f"--set {option}: write it as key=value, e.g. --set learning_rate=2e-4."]


@pytest.mark.parametrize("value", ["a: b: c", "[", "2001-99-99", "&a [*a]", "1\n---\n2", "\0"])
def test_an_option_whose_value_is_no_yaml(value: str) -> None:
    assert problems("", f"iters={value}") == [f"--set iters={value}: the value can't be read as YAML."]


def test_an_unknown_option_is_named() -> None:
    assert problems("", "learning_rte=1") == [
        "--set learning_rte: unknown key learning_rte; did you mean learning_rate? mlx-lm would ignore it without a "
        "word."
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "iters: 1000000000000000000000\n",
            "iters is 1000000000000000000000, but must be at most 10000000",
        ),
        ("epochs: 1.0e+300\n", "epochs is 1e+300, but must be at most 100000"),
        ("seed: 99999999999999999999\n", "seed is 99999999999999999999, but must be less than 18446744073709551616"),
        ("lora_parameters:\n\trank: 8\n", "config:2: not valid YAML (a tab can't stand there: use spaces)"),
    ],
)
def test_lengths_beyond_counting_and_tabs_are_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        parse_config(text)


def test_a_file_too_large_for_settings_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(ConfigError, match="too many for settings"):
        load_config(path)


@pytest.mark.parametrize("line", ["iters: true", "learning_rate: false", "lora_parameters: {rank: true}"])
def test_true_is_no_number(line: str) -> None:
    (problem,) = problems(line)
    assert problem.endswith(", but must be a number.")
    assert parse_config("mask_prompt: true\ngrad_checkpoint: false\nlr_schedule: null").settings.mask_prompt


def test_aliases_that_multiply_are_refused_at_once() -> None:
    bomb = "a: &a [1]\n" + "".join(
        f"{here}: &{here} [{', '.join([f'*{before}'] * 9)}]\n" for before, here in itertools.pairwise("abcdefghijk")
    )
    assert problems(bomb) == ["config: has more than 20 aliases (*name). Write the values out."]
    assert problems("x: &x {rank: 8, scale: 1.0, dropout: 0.0}\nlora_parameters: *x") == [
        "config:1: unknown key x. mlx-lm would ignore it without a word."
    ]


def test_nesting_without_end_is_one_sentence() -> None:
    assert problems("a: " + "[" * 5000) == ["config: is nested too deeply for settings. Is it the right file?"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}", "null"])
def test_a_file_without_settings_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == (f"{path}: holds no settings. Write at least model and data, one `key: value` a line.")


@pytest.mark.parametrize("text", ["lora_parameters: [rank, 4]", "lr_schedule: cosine"])
def test_a_section_that_is_something_else_is_told_in_plain_words(text: str) -> None:
    with pytest.raises(ConfigError, match="but must be a section of `key: value` lines"):
        parse_config(text)


def test_a_tag_is_named_and_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("seed: 1\niters: !foo 5\n")
    assert str(caught.value) == "config:2: iters has the tag !foo, which settings can't have. Write the plain value."
