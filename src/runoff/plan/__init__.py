"""What will happen: facts, arithmetic and findings, before any engine is loaded."""

from runoff.plan.adapter import AdapterSpec, Slot, adapter_spec, layout
from runoff.plan.data_facts import DataFacts, EncodedDataset, SplitFacts, data_facts, encode_dataset
from runoff.plan.findings import FINDINGS, Finding
from runoff.plan.model_facts import LinearLayer, ModelFacts, read_model_facts
from runoff.plan.plan import Counts, Draft, Effective, Plan, make_plan, validation_points
from runoff.plan.schedule import learning_rate
from runoff.plan.tensors import TensorInfo, read_header

__all__ = [
    "FINDINGS",
    "AdapterSpec",
    "Counts",
    "DataFacts",
    "Draft",
    "Effective",
    "EncodedDataset",
    "Finding",
    "LinearLayer",
    "ModelFacts",
    "Plan",
    "Slot",
    "SplitFacts",
    "TensorInfo",
    "adapter_spec",
    "data_facts",
    "encode_dataset",
    "layout",
    "learning_rate",
    "make_plan",
    "read_header",
    "read_model_facts",
    "validation_points",
]
