import copy

import pytest
import torch
from torch import nn

from anypose.kernels.dropout import Dropout
from anypose.kernels.rectified import norm_relu_dropout


def layers(channels=33, p=0.25, momentum=0.1):
    norm, dropout = nn.BatchNorm1d(channels, momentum=momentum), Dropout(p)
    nn.init.uniform_(norm.weight, -1.5, 1.5)
    nn.init.normal_(norm.bias)
    return norm, dropout


def run(function, rows, norm, dropout):
    """Outputs, gradients and batch norm's buffers, always with the same mask."""
    rows, norm = rows.clone().requires_grad_(), copy.deepcopy(norm)
    torch.manual_seed(3)
    outputs = function(rows, norm, dropout)
    (outputs.float() * torch.linspace(-1, 1, outputs.numel()).view_as(outputs)).sum().backward()
    return outputs, rows.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()


def one_after_the_other(rows, norm, dropout):
    return dropout(torch.relu(norm(rows)))


@pytest.mark.parametrize("p", [0.25, 0.5])
@pytest.mark.parametrize("momentum", [0.1, 0.01, None])
def test_it_is_batch_norm_relu_and_dropout_forward_and_backward(p, momentum):
    torch.manual_seed(0)
    rows = 3 * torch.randn(70, 33) + 1
    norm, dropout = layers(p=p, momentum=momentum)
    ours, plain = (run(f, rows, norm, dropout) for f in (norm_relu_dropout, one_after_the_other))
    assert len(ours) == len(plain) == 7
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_bf16_rows_keep_fp32_statistics():
    torch.manual_seed(0)
    norm, dropout = layers()
    rows = torch.randn(512, 33)
    exact = run(norm_relu_dropout, rows, norm, dropout)
    rounded = run(norm_relu_dropout, rows.bfloat16(), norm, dropout)
    assert rounded[0].dtype == rounded[1].dtype == torch.bfloat16
    assert rounded[4].dtype == torch.float32
    for index in (0, 4, 5):
        torch.testing.assert_close(rounded[index].float(), exact[index], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("mode", ["eval", "no dropout", "frozen norm"])
def test_out_of_training_nothing_is_special(mode):
    norm, dropout = layers(p=0.0 if mode == "no dropout" else 0.25)
    if mode == "eval":
        norm.eval()
        dropout.eval()
    if mode == "frozen norm":
        norm.eval()
    rows = torch.randn(40, 33)
    for mine, theirs in zip(
        run(norm_relu_dropout, rows, norm, dropout), run(one_after_the_other, rows, norm, dropout), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_one_row_is_batch_norm_s_to_refuse():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm_relu_dropout(torch.randn(1, 33), *layers())
