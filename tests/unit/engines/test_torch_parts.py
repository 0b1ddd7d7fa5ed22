"""Each part of the lean pass, and the head in blocks, against torch's own functions and its automatic gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from torch import Tensor

torch = pytest.importorskip("torch")

from runoff.engines.torch.attention import QUERIES, attend, attend_backward  # noqa: E402
from runoff.engines.torch.head import PlainHead, summed_nats, token_nats  # noqa: E402
from runoff.engines.torch.layers import Norm, gated, gated_backward  # noqa: E402


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gradients(function: Callable[..., Tensor], inputs: list[Tensor], of_y: Tensor) -> list[object]:
    leaves = [one.clone().requires_grad_() for one in inputs]
    return list(torch.autograd.grad(function(*leaves), leaves, of_y))


def close(found: Tensor, expected: object, bound: float = 1e-5) -> bool:
    assert isinstance(expected, torch.Tensor)
    return bool(torch.linalg.vector_norm(found - expected) <= bound * torch.linalg.vector_norm(expected))


def plain_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """torch's own, head by head: a group's heads lie side by side at each position of q."""
    kv_heads, tokens, width = k.shape
    heads = q.view(kv_heads, tokens, -1, width).transpose(1, 2).flatten(0, 1)
    repeats = len(heads) // kv_heads
    wide = [one.repeat_interleave(repeats, 0) for one in (k, v)]
    out = torch.nn.functional.scaled_dot_product_attention(
        heads[None], *[w[None] for w in wide], is_causal=True, scale=1
    )
    folded: Tensor = out[0].view(kv_heads, repeats, tokens, width).transpose(1, 2).flatten(1, 2)
    return folded


@pytest.mark.parametrize("tokens", [1, 7, QUERIES, QUERIES + 1, 2 * QUERIES + 30])
@pytest.mark.parametrize("group", [1, 3])
def test_attention_is_torchs_own(tokens: int, group: int) -> None:
    q, k, v = normal(2, tokens * group, 8), normal(2, tokens, 8, seed=1), normal(2, tokens, 8, seed=2)
    out, kept = attend(q, k, v, keep=True)
    assert close(out, plain_attention(q, k, v))
    assert kept is not None
    of_out = normal(*out.shape, seed=3)
    of_q, of_k_and_v = attend_backward(kept, of_out)
    for found, expected in zip(
        [of_q, *of_k_and_v.chunk(2)], gradients(plain_attention, [q, k, v], of_out), strict=True
    ):
        assert torch.allclose(found, expected, atol=2e-5)
    alone, nothing = attend(q, k, v, keep=False)
    assert torch.equal(alone, out)
    assert nothing is None


@pytest.mark.parametrize(("before", "own"), [(1, 1), (9, 4), (QUERIES, 7), (30, QUERIES + 5)])
def test_attention_after_earlier_positions_is_that_of_the_whole_row(before: int, own: int) -> None:
    """The same output for the positions that ask, and the same gradients where only theirs are given."""
    group, tokens = 3, before + own
    q, k, v = normal(2, tokens * group, 8), normal(2, tokens, 8, seed=1), normal(2, tokens, 8, seed=2)
    out, kept = attend(q[:, before * group :], k, v, keep=True, before=before)
    assert torch.allclose(out, plain_attention(q, k, v)[:, before * group :], atol=1e-5)
    assert kept is not None
    of_out = normal(2, tokens * group, 8, seed=3)
    of_out[:, : before * group] = 0
    of_q, of_k_and_v = attend_backward(kept, of_out[:, before * group :])
    expected = gradients(plain_attention, [q, k, v], of_out)
    assert isinstance(expected[0], torch.Tensor)
    for found, wanted in zip(
        [of_q, *of_k_and_v.chunk(2)], [expected[0][:, before * group :], *expected[1:]], strict=True
    ):
        assert torch.allclose(found, wanted, atol=2e-5)


def test_attention_in_bfloat16_has_float32_scores() -> None:
    """Scores near 60 lie 0.25 apart in bfloat16, which would move each chance by up to 13 %."""
    tokens, width = 40, 16
    q, k = 4 * normal(1, tokens, width), normal(1, tokens, width, seed=1).bfloat16().float()
    q = q.bfloat16().float()
    v = normal(1, tokens, width, seed=2)
    out, _ = attend(q, k, v.bfloat16(), keep=False)
    expected = plain_attention(q, k, v.bfloat16().float())
    assert close(out.float(), expected, 6e-3)
    assert torch.backends.mkldnn.matmul.fp32_precision == "none"


@pytest.mark.parametrize("shape", [(5, 16), (5, 3, 16)])
def test_norm_and_its_gradient(shape: tuple[int, ...]) -> None:
    x, weight, of_y = 3 * normal(*shape), 1 + normal(*shape[1:], seed=1), normal(*shape, seed=2)

    def plain(x: Tensor) -> Tensor:
        found: Tensor = torch.nn.functional.rms_norm(x, (16,), eps=1e-3) * weight
        return found

    norm = Norm(weight, 1e-3)
    y, inverse = norm.forward(x)
    assert close(y, plain(x))
    assert close(norm.backward(x, inverse, of_y), gradients(plain, [x], of_y)[0])


def test_gated_unit_and_its_gradient() -> None:
    gate_up, of_y = normal(5, 24), normal(5, 12, seed=1)

    def plain(gate_up: Tensor) -> Tensor:
        found: Tensor = torch.nn.functional.silu(gate_up[:, :12]) * gate_up[:, 12:]
        return found

    y, lit = gated(gate_up)
    assert close(y, plain(gate_up))
    assert close(gated_backward(gate_up, lit, of_y), gradients(plain, [gate_up], of_y)[0])


@pytest.mark.parametrize("vocabulary", [7, 1024, 2500])
@pytest.mark.parametrize("size", [1.0, 40.0])
def test_head_in_blocks_is_the_whole_cross_entropy(vocabulary: int, size: float) -> None:
    """Large logits too: a later block may hold one so high that what was summed before vanishes."""
    hidden, weight = size * normal(600, 16), normal(vocabulary, 16, seed=1)
    targets = torch.arange(600) * 37 % vocabulary
    head = PlainHead(weight)
    wide = hidden.double().requires_grad_()
    expected = torch.nn.functional.cross_entropy(wide @ weight.double().T, targets, reduction="none")
    (of_hidden,) = torch.autograd.grad(expected.sum(), wide)
    assert torch.allclose(token_nats(hidden, head, targets).double(), expected, rtol=1e-5, atol=1e-4)
    leaf = hidden.clone().requires_grad_()
    nats = summed_nats(leaf, head, targets)
    nats.backward()
    assert nats.item() == pytest.approx(expected.sum().item(), rel=1e-5)
    assert leaf.grad is not None
    assert close(leaf.grad.double(), of_hidden, 1e-5)


def test_head_without_targets() -> None:
    head, nothing = PlainHead(normal(7, 16)), torch.zeros(0, dtype=torch.long)
    assert token_nats(normal(0, 16), head, nothing).shape == (0,)
    assert summed_nats(normal(0, 16).requires_grad_(), head, nothing).item() == 0.0


def test_head_says_so_where_a_state_is_no_number() -> None:
    """Nothing else does: the sum of a row that overflows is done again, one that is no number stays none."""
    hidden = normal(3, 16)
    hidden[1] = float("nan")
    nats = token_nats(hidden, PlainHead(normal(7, 16)), torch.arange(3))
    assert nats.isnan().tolist() == [False, True, False]


def test_head_adds_up_what_one_targets_logit_can_not_hold() -> None:
    """One logit 200 above the target's: e^200 is no float32."""
    weight = torch.tensor([[0.0], [1.0], [-1.0]])
    hidden = torch.tensor([[200.0], [1.0]]).requires_grad_()
    nats = summed_nats(hidden, PlainHead(weight), torch.tensor([0, 0]))
    expected = 200 + torch.logsumexp(torch.tensor([0.0, 1.0, -1.0]), 0).item()
    assert nats.item() == pytest.approx(expected, rel=1e-6)
    nats.backward()
    assert hidden.grad is not None
    assert hidden.grad[0].item() == pytest.approx(1.0)
