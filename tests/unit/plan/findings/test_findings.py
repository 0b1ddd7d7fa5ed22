"""Each finding appears where it is true and only there: the clean case has none, each change brings its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tests.support.tiny import TEMPLATE
from tests.unit.plan.findings.case import Case, row

from runoff.comparison.statistics import minimum_clusters_for
from runoff.plan import Facts, check_data
from runoff.plan.findings import FINDINGS
from runoff.plan.findings.sources import FEWEST_SOURCES
from runoff.plan.row_facts import RowFacts

Change = Callable[[Case], Any]


def settings(**given: str) -> Change:
    return lambda case: case.give({key.replace("__", "."): value for key, value in given.items()})


def cosine(length: int, *, warmup: int = 0, rate: str = "1.0e-4") -> Change:
    return settings(lr_schedule=f"{{name: cosine_decay, arguments: [{rate}, {length}], warmup: {warmup}}}")


def keys(names: str) -> Change:
    return settings(lora_parameters=f"{{rank: 4, scale: 2.0, dropout: 0.0, keys: [{names}]}}")


def answer(number: int, text: str) -> Change:
    def change(case: Case) -> None:
        case.rows["train"][number]["messages"][1]["content"] = text

    return change


def turns(number: int, *messages: dict[str, Any]) -> Change:
    """These messages, and then the answer that was there."""

    def change(case: Case) -> None:
        case.rows["train"][number]["messages"][:-1] = messages

    return change


def repeated_key(case: Case) -> None:
    whole = json.dumps(row(300, "video 60"))
    case.raw["train"] = whole.replace("{", '{"messages": [], ', 1) + "\n"


def rows_of(split: str, *records: dict[str, Any]) -> Change:
    return lambda case: case.rows.setdefault(split, []).extend(records)


def machine(**facts: Any) -> Change:
    def change(case: Case) -> None:
        case.machine = replace(case.machine, **facts)

    return change


def template(text: str | None) -> Change:
    return lambda case: setattr(case, "template", text)


def tool(name: str, **given: str) -> Change:
    def change(case: Case) -> None:
        case.tool = name
        case.give(given)

    return change


def both(*changes: Change) -> Change:
    return lambda case: [change(case) for change in changes]


def long_row(number: int, *, prompt: bool = False) -> Change:
    def change(case: Case) -> None:
        case.rows["train"][number]["messages"][0 if prompt else 1]["content"] = "word " * 200

    return change


def without_sources(*numbers: int) -> Change:
    def change(case: Case) -> None:
        for split, records in case.rows.items():
            for number, record in enumerate(records):
                if not numbers or (split == "train" and number in numbers):
                    record.pop("source", None)

    return change


def as_text(case: Case) -> None:
    for split, records in case.rows.items():
        texts = [" ".join(m["content"] for m in record["messages"]) for record in records]
        case.rows[split] = [{"text": text, "source": r["source"]} for text, r in zip(texts, records, strict=True)]


QUESTION = {"role": "user", "content": "Why?"}
NEAR = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"


def near(*places: tuple[str, int]) -> Change:
    def change(case: Case) -> None:
        for at, (split, number) in enumerate(places):
            case.rows[split][number]["messages"][1]["content"] = f"{NEAR} {at}"
            case.rows[split][number]["messages"][0]["content"] = "one"

    return change


def same(first: tuple[str, int], second: tuple[str, int]) -> Change:
    def change(case: Case) -> None:
        case.rows[second[0]][second[1]]["messages"] = case.rows[first[0]][first[1]]["messages"]

    return change


def quantized(case: Case) -> None:
    case.model_settings = {"quantization": {"group_size": 32, "bits": 4}}


SYSTEM = "<|im_start|>system\nYou are kind.<|im_end|>\n" + TEMPLATE
DATED = "<|im_start|>system\nToday is {{ strftime_now('%d %B %Y') }}.<|im_end|>\n" + TEMPLATE
THINKING = TEMPLATE.replace(
    "{{ m['content'] }}", "{% if m['role'] == 'assistant' %}<think>\n</think>\n{% endif %}{{ m['content'] }}"
)
SHIFTING = TEMPLATE.replace("{{ m['role'] }}\n", "{{ m['role'] }}{% if loop.last %}!{% endif %}\n", 1)
ENDLESS = TEMPLATE.replace("{{ m['content'] }}<|im_end|>", "{{ m['content'] }}[end]")

CASES: dict[str, tuple[Change, str]] = {
    "S101": (settings(iterz="5"), "did you mean iters?"),
    "S102": (settings(packing="true"), "packing"),
    "S103": (settings(lora_alpha="16"), "4.0"),
    "S104": (settings(batch_size="zero"), "'zero'"),
    "S105": (settings(lora_layers="2"), "read as num_layers"),
    "S106": (settings(wandb="mine"), "not used"),
    "S107": (settings(seed="010"), "8 to mlx-lm (YAML 1.1)"),
    "S108": (settings(lora_parameters="{rank: 4, scale: 2.0}"), "gives no dropout"),
    "S109": (settings(lora_parameters="{rank: 4, dropout: 0.0}"), "alpha 80"),
    "S110": (keys("self_attn.qkv"), "self_attn.qkv matches no layer"),
    "S111": (keys("q_proj"), "q_proj is a short name for self_attn.q_proj"),
    "S112": (settings(num_layers="9"), "num_layers is 9, but the model has 4 blocks"),
    "S113": (settings(num_layers="0"), "adapts all 4 blocks"),
    "S114": (cosine(200, rate="1.0e-3"), "not used: lr_schedule starts from 0.001"),
    "S115": (settings(max_seq_length="8192"), "the model's context is 4,096 tokens"),
    "S116": (settings(learning_rate="0"), "The learning rate is 0"),
    "S117": (settings(early_stopping="{patience: 2}"), "waits for 2 validations"),
    "S118": (
        settings(lr_schedule="{name: exponential_decay, arguments: [1.0e-4, 1000.0]}"),
        "grows beyond all numbers within 200 updates",
    ),
    "S119": (settings(fine_tune_type="full", learning_rate="1.0e-5"), "lora_parameters has no effect"),
    "S120": (settings(fine_tune_type="full"), "The learning rate 0.0001 is one for LoRA"),
    "S121": (both(settings(fine_tune_type="full"), quantized), "The weights of model are quantized"),
    "S122": (
        settings(fine_tune_type="dora", lora_parameters="{rank: 4, scale: 2.0, dropout: 0.1}"),
        "DoRA with dropout 0.1 is computed as PEFT does it",
    ),
    "C201": (settings(grad_accumulation_steps="40"), "400 iterations make 10 optimizer updates of 80 rows"),
    "C202": (settings(iters="410"), "20.50 epochs; 1, 2 and 3 epochs are 20, 40 and 60"),
    "C203": (settings(iters="12", grad_accumulation_steps="1"), "16 of 40 training rows are never seen"),
    "C204": (settings(iters="401", batch_size="1"), "200 updates of 2 iterations and a last one of 1"),
    "C205": (cosine(400), "takes 400 updates, but the run has 200"),
    "C206": (cosine(200, warmup=300), "warm-up takes 300 updates and the run has 200"),
    "C207": (cosine(189, warmup=10), "The first of 200 updates has the learning rate 0"),
    "C208": (settings(save_every="400"), "save_every is 400 and the run has 400 iterations"),
    "C209": (settings(steps_per_eval="2"), "201 validations of 12 rows are about 6"),
    "C210": (settings(val_batches="3"), "scores 6 of 12 rows"),
    "C211": (settings(batch_size="20"), "has 12 rows, fewer than batch_size 20"),
    "C212": (settings(steps_per_eval="400"), "steps_per_eval is 400"),
    "D301": (
        lambda case: case.raw.update(train="{not json\n"),
        "not JSON (Expecting property name enclosed in double quotes, column 2)",
    ),
    "D302": (rows_of("train", {"messages": [QUESTION], "source": "x"}), "the last message is the user's"),
    "D303": (rows_of("train", {"text": "plain", "source": "x"}), "40 chat rows, 1 text row"),
    "D304": (long_row(3), "1 of 40 training rows are longer than 512 tokens and lose"),
    "D305": (both(long_row(3, prompt=True), settings(mask_prompt="true")), "1 training row of 40 has no target token"),
    "D306": (lambda case: case.rows.pop("valid"), "There is no valid.jsonl"),
    "D307": (answer(4, "  "), "1 answer is empty (train row 5)"),
    "D308": (answer(4, "Yes."), "1 answer is one word (train row 5)"),
    "D309": (template(None), "has no chat template"),
    "D310": (template(SYSTEM), 'adds "system You are kind."'),
    "D311": (template(DATED), '"01 January 2025"'),
    "D312": (template(THINKING), "a thinking block into the answer"),
    "D313": (template(SHIFTING), "The prompt of 40 of 40 training rows"),
    "D314": (template(ENDLESS), "40 of 40 training rows do not end in an end token"),
    "D315": (both(as_text, settings(mask_prompt="true")), "40 train rows are plain text"),
    "D316": (settings(test="true"), "there is no test.jsonl"),
    "D317": (lambda case: case.rows.pop("train"), "There are no training rows; the folder holds valid"),
    "D318": (template("{{ raise_exception('no such role') }}"), "no such role"),
    "D319": (rows_of("val", row(200, "video 50")), "This file is not read; valid.jsonl is."),
    "D321": (same(("train", 0), ("train", 9)), "train row 10 = 1"),
    "D322": (same(("train", 0), ("valid", 9)), "valid row 10 = train row 1"),
    "D323": (near(("train", 2), ("train", 3)), "train row 4 and 3"),
    "D324": (near(("train", 2), ("valid", 3)), "valid row 4 and train row 3"),
    "D325": (rows_of("valid", row(200, "video 1")), "1 of the 4 sources of valid is in train too (video 1)"),
    "D326": (without_sources(), "None of 52 rows names its source"),
    "D327": (without_sources(1, 2), "2 of 40 rows name no source"),
    "D328": (
        rows_of("test", *(row(number, f"video {number}") for number in range(200, 205))),
        "5 rows of test are from 5",
    ),
    "D329": (
        lambda case: case.rows["train"][4]["messages"].pop(0),
        "1 row is a chat without a user message (train row 5)",
    ),
    "D330": (turns(4, QUESTION, QUESTION), "1 row has two user messages in a row (train row 5)"),
    "D331": (turns(4, QUESTION | {"role": "human"}, QUESTION), "1 row has a message of the role human (train row 5)"),
    "D332": (repeated_key, "1 row has the key messages twice in one object (train row 41)"),
    "D333": (
        lambda case: case.rows["valid"][3].update(system="Be kind."),
        "has a field system that is not read (valid",
    ),
    "D334": (
        lambda case: case.rows.update(valid=[{"text": "So it is.", "source": "x"}]),
        "The valid rows are plain text",
    ),
    "D335": (turns(4, QUESTION | {"content": " "}), "1 row has an empty user message (train row 5)."),
    "M401": (machine(memory_bytes=10**6), "the machine has 1.0 MB"),
    "M402": (machine(free_disk_bytes=1000), "4 checkpoints take"),
    "M403": (
        machine(adapter_folder="adapters", adapter_files=("adapters.safetensors",)),
        "adapters holds 1 adapter file",
    ),
    "M404": (settings(fine_tune_type="full"), "full trains 18,560 parameters: 0.5 MB of memory beside the base, and"),
    "T501": (tool("mlx-lm@0.28.3", train="false"), "neither train nor test is true"),
    "T502": (tool("mlx-lm@0.28.3", train="true", lora_dropout="0.0", epochs="3"), "ignores epochs: 3; iters 400 holds"),
    "T503": (
        tool("mlx-lm@0.28.3", train="true", use_dora="false"),
        "ignores use_dora: false; fine_tune_type lora holds",
    ),
    "T504": (
        tool("mlx-lm@0.28.3", train="true", grad_accumulation_steps="16"),
        "400 iterations make 25 optimizer updates",
    ),
    "T505": (tool("mlx-lm@0.28.3", train="true", val_batches="3"), "validates on 6 rows of 12"),
}


def codes(case: Case, folder: Path) -> set[str]:
    return {finding.code for finding in case.look(folder).findings}


def test_the_clean_case_has_no_finding(tmp_path: Path) -> None:
    looked = Case().look(tmp_path)
    assert [str(finding) for finding in looked.findings] == []
    assert [checks.codes[0][0] for checks in looked.not_made] == ["T"]


def test_every_check_has_a_case() -> None:
    assert [check.code for check in FINDINGS] == list(CASES)


@pytest.mark.parametrize("code", CASES)
def test_each_finding_appears_with_its_numbers(code: str, tmp_path: Path) -> None:
    change, fragment = CASES[code]
    case = Case()
    change(case)
    found = [finding for finding in case.look(tmp_path).findings if finding.code == code]
    assert found, "the finding is missing"
    assert any(fragment in finding.what for finding in found), [finding.what for finding in found]
    assert all(finding.place and finding.why for finding in found)


def test_what_cant_be_known_is_listed_and_not_passed_over(tmp_path: Path) -> None:
    case = Case(with_model=False)
    looked = case.look(tmp_path)
    missing = {code for checks in looked.not_made if checks.why == "the model is not here" for code in checks.codes}
    assert {"S112", "D304", "D310", "M401"} <= missing
    assert not {"C201", "C202", "D307", "D325"} & missing


def test_full_fine_tuning_has_no_finding_about_ranks_scales_and_layers(tmp_path: Path) -> None:
    """Only what it takes is said, however much of lora_parameters is left out or null."""
    case = Case()
    case.give({"fine_tune_type": "full", "learning_rate": "1.0e-5", "lora_parameters": "null"})
    assert codes(case, tmp_path) == {"M404"}


def test_counts_need_no_tokenizer(tmp_path: Path) -> None:
    facts: Facts = Case(with_model=False).facts(tmp_path)
    assert facts.length.epochs == 20  # type: ignore[union-attr]
    assert facts.pace.optimizer_updates == 200  # type: ignore[union-attr]


@pytest.mark.parametrize(("iters", "found"), [("4", False), ("16", True)])
def test_validations_that_are_as_rare_as_can_be_are_not_called_dear(tmp_path: Path, iters: str, found: bool) -> None:
    case = Case()
    case.give({"iters": iters, "steps_per_eval": "4"})
    assert ("C209" in codes(case, tmp_path)) is found


def test_a_careful_configuration_has_no_finding_either(tmp_path: Path) -> None:
    """The features that findings look at, used rightly: none of them is enough to bring a finding."""
    case = Case()
    case.give(
        {
            "lr_schedule": "{name: cosine_decay, arguments: [1.0e-4, 189], warmup: 10, warmup_init: 1.0e-5}",
            "learning_rate": "1.0e-4",
            "lora_parameters": "{rank: 4, scale: 2.0, dropout: 0.1, keys: [self_attn.q_proj, mlp.up_proj]}",
            "early_stopping": "{patience: 3}",
            "steps_per_eval": "80",
            "val_batches": "-1",
            "mask_prompt": "true",
            "test": "true",
            "epochs": "20",
        }
    )
    del case.settings["iters"]
    case.rows["test"] = [row(number, f"video {number // 4}") for number in range(200, 224)]
    assert [str(finding) for finding in case.look(tmp_path).findings] == []


def test_a_file_that_the_tool_carries_out_has_no_finding_of_it(tmp_path: Path) -> None:
    case = Case(tool="mlx-lm@0.28.3")
    case.give({"train": "true", "num_layers": "4"})
    assert [str(finding) for finding in case.look(tmp_path).findings if finding.code[0] == "T"] == []


SCHEDULE_KEYS = ("arguments", "warmup", "warmup_init")
PASTED = {**{key: f"lr_schedule.{key}" for key in SCHEDULE_KEYS}, "keys": "lora_parameters.keys"}
NOT_SETTINGS = {"D306", "D309", "D310", "D319", "D321", "D322", *(f"D{code}" for code in range(324, 336))}


@pytest.mark.parametrize("code", [code for code in CASES if code[0] in "SCD" and code not in NOT_SETTINGS])
def test_a_fix_that_is_pasted_takes_the_finding_away(code: str, tmp_path: Path) -> None:
    case = Case()
    CASES[code][0](case)
    (tmp_path / "before").mkdir()
    found = next(finding for finding in case.look(tmp_path / "before").findings if finding.code == code)
    if not found.fix:  # some have none
        return
    pasted = YAML(typ="safe").load(found.fix)
    (tmp_path / "after").mkdir()
    overrides = tuple(f"{PASTED.get(key, key)}={json.dumps(value)}" for key, value in pasted.items())
    case.overrides = overrides
    if "epochs" in pasted:
        del case.settings["iters"]
    if code == "S101":
        del case.settings["iterz"]
    assert code not in {finding.code for finding in case.look(tmp_path / "after").findings}, found.fix


def test_a_split_under_another_name_is_renamed_where_there_is_none(tmp_path: Path) -> None:
    case = Case()
    case.rows["validation"] = case.rows.pop("valid")
    found = {finding.code: finding for finding in case.look(tmp_path).findings}
    assert found["D319"].place == str(tmp_path / "data" / "validation.jsonl")
    assert found["D319"].fix == f"mv {tmp_path}/data/validation.jsonl {tmp_path}/data/valid.jsonl"


@pytest.mark.parametrize("name", ["VALID.jsonl", "valid.json", "valid.csv", "Validation.jsonl", "valid.jsonl.gz"])
def test_a_split_of_another_case_or_ending_is_named(name: str, tmp_path: Path) -> None:
    case = Case()
    rows = case.rows.pop("valid")
    facts = case.facts(tmp_path)
    assert isinstance(facts.rows, RowFacts)
    path = tmp_path / "data" / name
    path.write_text(json.dumps(rows))
    found = [one for one in check_data(tmp_path / "data").looked.findings if one.code == "D319"]
    assert [one.place for one in found] == [str(path)]
    assert "valid.jsonl" in found[0].fix
    (tmp_path / "data" / "valid.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = [one for one in check_data(tmp_path / "data").looked.findings if one.code == "D319"]
    assert [one.fix for one in found] == ["remove it, or add its rows to valid.jsonl"]


def test_odd_rows_are_placed_at_their_line_and_grouped_by_what_is_odd(tmp_path: Path) -> None:
    case = Case()
    for number, role in ((6, "human"), (2, "bot"), (9, "human")):
        turns(number, QUESTION | {"role": role}, QUESTION)(case)
    found = [one for one in case.look(tmp_path).findings if one.code == "D331"]
    assert [(one.place, one.what) for one in found] == [
        (f"{tmp_path}/data/train.jsonl:3", "1 row has a message of the role bot (train row 3)."),
        (f"{tmp_path}/data/train.jsonl:7", "2 rows have a message of the role human (train row 7, train row 10)."),
    ]


def test_tool_calls_and_their_replies_are_no_odd_turns(tmp_path: Path) -> None:
    case = Case()
    called: dict[str, Any] = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "f", "arguments": {}}}],
    }
    reply = {"role": "tool", "content": "3"}
    turns(4, {"role": "system", "content": "x"}, QUESTION, called, reply, reply)(case)
    assert {"D329", "D330", "D331"} & codes(case, tmp_path) == set()


def test_a_word_for_false_is_mended_to_false_and_not_to_text(tmp_path: Path) -> None:
    case = Case()
    case.give({"mask_prompt": "no"})
    assert [finding.fix for finding in case.look(tmp_path).findings if finding.code == "S107"] == ["mask_prompt: false"]


@pytest.mark.parametrize("named", [True, False])
def test_a_test_set_of_few_sources_is_told_before_the_comparison_is(tmp_path: Path, named: bool) -> None:
    """Rows that name no source count one by one, as they do in a comparison."""
    case = Case()
    case.rows["test"] = [row(number, f"video {number // 2}") for number in range(200, 210)]
    if not named:
        without_sources()(case)
    found = [finding for finding in case.look(tmp_path).findings if finding.code == "D328"]
    assert [finding.fix for finding in found] == ["rows of 1 more source or more in test"] * named
    assert minimum_clusters_for() == FEWEST_SOURCES


@pytest.mark.parametrize(
    ("key", "value", "fixes"),
    [
        ("iters", "1:30", ["iters: 90"]),  # text in quotes would be refused again
        ("optimizer", "off", [""]),
        ("mask_prompt", '"no"', ["mask_prompt: false"]),
        ("grad_checkpoint", "y", []),  # true to both
        ("iters", '"1e3"', []),  # refused, and said there
        ("seed", '"7"', ["seed: 7"]),
    ],
)
def test_the_fix_of_a_value_of_two_readings_is_one_that_can_be_used(
    key: str, value: str, fixes: list[str], tmp_path: Path
) -> None:
    case = Case()
    case.give({key: value})
    assert [finding.fix for finding in case.look(tmp_path).findings if finding.code == "S107"] == fixes


def test_an_empty_section_of_lora_parameters_lacks_everything(tmp_path: Path) -> None:
    case = Case(tool="mlx-lm")
    case.give({"lora_parameters": "{}", "train": "true"})
    found = {finding.code: finding.what for finding in case.look(tmp_path).findings}
    assert found["S108"] == "lora_parameters gives no rank and no scale and no dropout."
    assert "lora_parameters lacks rank and dropout and scale: a KeyError" in found["T501"]
