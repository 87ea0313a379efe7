"""The plain way with MotionAGFormer: as its paper's figures are drawn, and as its authors' repository trains.

Features stay (B, T, J, C) and are transposed inside each operation; modules that do nothing (dropout of 0) are called;
degrees are divided out by products with diagonal matrices; all eight terms of the loss are computed, seven of them read
by `.item()`, although four have the weight 0; AdamW goes over the parameters one by one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BONES = ((1, 0), (2, 1), (3, 2), (4, 0), (5, 4), (6, 5), (7, 0), (8, 7), (9, 8), (10, 9))
BONES = (*BONES, (11, 8), (12, 11), (13, 12), (14, 8), (15, 14), (16, 15))


class Attention(nn.Module):
    """Over the joints of (B, T, J, C), or over its frames."""

    def __init__(self, channels: int, num_heads: int, temporal: bool) -> None:
        super().__init__()
        self.num_heads, self.temporal = num_heads, temporal
        self.scale = (channels // num_heads) ** -0.5
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.projection = nn.Linear(channels, channels)
        self.attention_dropout, self.dropout = nn.Dropout(0.0), nn.Dropout(0.0)

    def forward(self, x: Tensor) -> Tensor:
        B, T, J, C = x.shape
        query, key, value = self.qkv(x).reshape(B, T, J, 3, self.num_heads, -1).permute(3, 0, 4, 1, 2, 5)
        if self.temporal:
            query, key, value = query.transpose(2, 3), key.transpose(2, 3), value.transpose(2, 3)
        scores = ((query @ key.transpose(-2, -1)) * self.scale).softmax(dim=-1)
        x = self.attention_dropout(scores) @ value  # (B, H, T, J, d) or (B, H, J, T, d)
        x = x.permute(0, 3, 2, 1, 4) if self.temporal else x.permute(0, 2, 3, 1, 4)
        return self.dropout(self.projection(x.reshape(B, T, J, C)))


class Graph(nn.Module):
    """Over the joints, whose neighbours are given, or over the frames, whose neighbours are the most alike."""

    def __init__(self, channels: int, num_tokens: int, neighbours: int | None) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.own, self.others = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.norm = nn.BatchNorm1d(num_tokens)
        adjacency = torch.zeros(17, 17)
        for child, parent in BONES:
            adjacency[child, parent] = adjacency[parent, child] = 1
        self.register_buffer("bones", adjacency, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        B, T, J, C = x.shape
        if self.neighbours is None:
            x = x.reshape(B * T, J, C)
            adjacency = self.get_buffer("bones").repeat(B * T, 1, 1)
        else:
            x = x.transpose(1, 2).reshape(B * J, T, C)
            similarity = x @ x.transpose(1, 2)
            least = similarity.topk(self.neighbours, dim=-1).values[..., -1].unsqueeze(-1)
            adjacency = (similarity >= least).float()
        diagonal = torch.diag_embed(adjacency.sum(-1) ** -0.5)
        gathered = torch.bmm(diagonal.bmm(adjacency).bmm(diagonal), self.others(x))
        x = torch.relu(x + self.norm(gathered + self.own(x)))
        return x.reshape(B, T, J, C) if self.neighbours is None else x.reshape(B, J, T, C).transpose(1, 2)


class Mlp(nn.Module):
    """Two layers with GELU between them."""

    def __init__(self, channels: int, ratio: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(channels, ratio * channels), nn.Linear(ratio * channels, channels)
        self.activation, self.dropout = nn.GELU(), nn.Dropout(0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.second(self.dropout(self.activation(self.first(x)))))


class Block(nn.Module):
    """A mixer, then the MLP."""

    def __init__(self, channels: int, mixer: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.mixer, self.mlp, self.path = mixer, Mlp(channels, 4), nn.Identity()
        self.scale1 = nn.Parameter(1e-5 * torch.ones(channels))
        self.scale2 = nn.Parameter(1e-5 * torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.path(self.scale1.unsqueeze(0).unsqueeze(0) * self.mixer(self.norm1(x)))
        return x + self.path(self.scale2.unsqueeze(0).unsqueeze(0) * self.mlp(self.norm2(x)))


class Layer(nn.Module):
    """The two streams and their fusion."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__()
        self.attention_spatial = Block(channels, Attention(channels, 8, temporal=False))
        self.attention_temporal = Block(channels, Attention(channels, 8, temporal=True))
        self.graph_spatial = Block(channels, Graph(channels, 17, None))
        self.graph_temporal = Block(channels, Graph(channels, num_frames, 2))
        self.fusion = nn.Linear(2 * channels, 2)

    def forward(self, x: Tensor) -> Tensor:
        attention = self.attention_temporal(self.attention_spatial(x))
        graph = self.graph_temporal(self.graph_spatial(x))
        share = self.fusion(torch.cat((attention, graph), dim=-1)).softmax(dim=-1)
        return attention * share[..., 0:1] + graph * share[..., 1:2]


class AGFormer(nn.Module):
    """The network; its weights are told to ours by `benchmarks.cases.agformer.our_name`.

    Args:
        num_blocks, channels, num_frames: of the size.
        keypoint_channels: 2, or 3 with the scores.
    """

    def __init__(self, num_blocks: int, channels: int, num_frames: int, keypoint_channels: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(keypoint_channels, channels)
        self.position = nn.Parameter(torch.zeros(1, 17, channels))
        self.layers = nn.Sequential(*(Layer(channels, num_frames) for _ in range(num_blocks)))
        self.norm = nn.LayerNorm(channels)
        self.representation = nn.Sequential(nn.Linear(channels, 512), nn.Tanh())
        self.head = nn.Linear(512, 3)

    def forward(self, keypoints: Tensor) -> Tensor:
        """(B, T, 17, C) -> (B, T, 17, 3)."""
        return self.head(self.representation(self.norm(self.layers(self.embedding(keypoints) + self.position))))


def limbs(joints: Tensor) -> Tensor:
    """(..., 17, 3) -> (..., 16, 3)."""
    child, parent = zip(*BONES, strict=True)
    return joints[..., list(child), :] - joints[..., list(parent), :]


def angles(joints: Tensor) -> Tensor:
    """Between bones that follow each other: (..., 17, 3) -> (..., 15)."""
    bones = limbs(joints)
    unit = bones / bones.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    cosine = (unit[..., 1:, :] * unit[..., :-1, :]).sum(-1)
    return torch.acos(cosine.clamp(-1 + 1e-7, 1 - 1e-7))


def terms(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """All terms of the loss, each a mean."""
    scale = (predicted * target).sum((-2, -1), keepdim=True) / predicted.square().sum((-2, -1), keepdim=True)
    lengths, true_lengths = limbs(predicted).norm(dim=-1), limbs(target).norm(dim=-1)
    bent, true_bent = angles(predicted), angles(target)
    return {
        "position": (predicted - target).norm(dim=-1).mean(),
        "scaled": (scale * predicted - target).norm(dim=-1).mean(),
        "velocity": ((predicted[:, 1:] - predicted[:, :-1]) - (target[:, 1:] - target[:, :-1])).norm(dim=-1).mean(),
        "limbs vary": lengths.var(dim=1).mean(),
        "limbs": (lengths - true_lengths).abs().mean(),
        "angles": (bent - true_bent).abs().mean(),
        "angles' steps": ((bent[:, 1:] - bent[:, :-1]) - (true_bent[:, 1:] - true_bent[:, :-1])).abs().mean(),
    }


WEIGHTS = {"position": 1.0, "scaled": 0.5, "velocity": 20.0}


class AGFormerStep:
    """Forward, the terms, `.item()` of each, backward, AdamW."""

    def __init__(self, network: nn.Module, bf16: bool) -> None:
        self.network, self.bf16 = network.train(), bf16
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4, weight_decay=0.01)
        self.device_type = next(network.parameters()).device.type
        self.totals = dict.fromkeys((*terms(torch.rand(1, 2, 17, 3), torch.rand(1, 2, 17, 3)), "total"), 0.0)

    def loss(self, keypoints: Tensor, joints: Tensor) -> Tensor:
        """The weighted sum; its terms are added to `totals`."""
        with torch.autocast(self.device_type, torch.bfloat16, enabled=self.bf16):
            predicted = self.network(keypoints)
        found = terms(predicted.float(), joints)
        total = torch.stack([WEIGHTS.get(name, 0.0) * term for name, term in found.items()]).sum()
        for name, term in (*found.items(), ("total", total)):
            self.totals[name] += term.item() * len(keypoints)
        return total

    def __call__(self, keypoints: Tensor, joints: Tensor) -> None:
        self.optimizer.zero_grad()
        self.loss(keypoints, joints).backward()
        self.optimizer.step()
