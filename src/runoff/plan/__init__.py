"""What will happen: facts, arithmetic and findings, before any engine is loaded."""

from runoff.plan.adapter import AdapterSpec, FullSpec, LoraSpec, Slot, adapter_spec, layout
from runoff.plan.checked import Checked, check_config, check_data
from runoff.plan.counts import Counts, Length, Pace, validation_points
from runoff.plan.data_facts import DataFacts, EncodedDataset, SplitFacts, data_facts, encode_dataset
from runoff.plan.draft import Draft, Facts
from runoff.plan.effective import Effective
from runoff.plan.findings import FINDINGS, Finding
from runoff.plan.machine import MachineFacts, machine_facts
from runoff.plan.model_facts import BlockTensor, LinearLayer, ModelFacts, read_model_facts
from runoff.plan.plan import Plan, make_plan
from runoff.plan.schedule import learning_rate
from runoff.plan.tensors import TensorInfo, read_header
from runoff.plan.unknown import Unknown

__all__ = [
    "FINDINGS",
    "AdapterSpec",
    "BlockTensor",
    "Checked",
    "Counts",
    "DataFacts",
    "Draft",
    "Effective",
    "EncodedDataset",
    "Facts",
    "Finding",
    "FullSpec",
    "Length",
    "LinearLayer",
    "LoraSpec",
    "MachineFacts",
    "ModelFacts",
    "Pace",
    "Plan",
    "Slot",
    "SplitFacts",
    "TensorInfo",
    "Unknown",
    "adapter_spec",
    "check_config",
    "check_data",
    "data_facts",
    "encode_dataset",
    "layout",
    "learning_rate",
    "machine_facts",
    "make_plan",
    "read_header",
    "read_model_facts",
    "validation_points",
]
