"""The parts of MotionAGFormer: attention and graph convolution, each over joints or over time, and their fusion.

Mehraban et al., "MotionAGFormer: Enhancing 3D Human Pose Estimation with a Transformer-GCNFormer Network", WACV 2024,
section 3 and figure 2. Parts take and give (N, L, C): N sets of L tokens, a frame's joints or a joint's frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from anypose.skeleton import Skeleton


class Attention(nn.Module):
    """Multi-head self-attention (section 3.2): softmax(Q K^T / sqrt(d)) V, without a bias in Q, K and V."""

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.projection = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        N, L, C = tokens.shape
        query, key, value = self.qkv(tokens).view(N, L, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)  # (N, H, L, d)
        # torch's one operator for these lines takes no less time for sets so small, and old runtimes lack it.
        query = query / math.sqrt(C // self.num_heads)  # there are more scores than queries
        attended = (query @ key.transpose(-2, -1)).softmax(dim=-1) @ value
        return self.projection(attended.transpose(1, 2).reshape(N, L, C))


class GraphConvolution(nn.Module):
    """x + BN(A' x V + x U), then ReLU (section 3.3, equation 5), A' the adjacency with both sides' degrees divided out.

    Batch norm counts the L tokens as its channels, so L is fixed.

    Args:
        channels: C.
        num_tokens: L.
        adjacency: (N, L, C) tokens -> (..., L, L) of 0 and 1: a skeleton's bones, or who is alike.
    """

    def __init__(self, channels: int, num_tokens: int, adjacency: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.adjacency = adjacency
        self.own = nn.Linear(channels, channels)  # U
        self.neighbours = nn.Linear(channels, channels)  # V
        self.norm = nn.BatchNorm1d(num_tokens)
        for layer in (self.own, self.neighbours):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        others = self.neighbours(tokens)
        gathered = divide_degrees(self.adjacency(tokens)).to(others.dtype) @ others
        return torch.relu(tokens + self.norm(gathered + self.own(tokens)))


def divide_degrees(adjacency: Tensor) -> Tensor:
    """D^-1/2 A D^-1/2 of (..., L, L), D the degrees of the rows."""
    scale = adjacency.sum(-1).rsqrt()
    return scale.unsqueeze(-1) * adjacency * scale.unsqueeze(-2)


class Bones(nn.Module):
    """The joints that a bone of the skeleton connects. A joint is not its own neighbour.

    The adjacency is a buffer, kept with the weights: the authors' weights were trained with bones that some joints see
    in one direction alone.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        adjacency = torch.zeros(skeleton.num_joints, skeleton.num_joints)
        for child, parent in skeleton.bones:
            adjacency[child, parent] = adjacency[parent, child] = 1
        self.register_buffer("adjacency", adjacency)

    def forward(self, tokens: Tensor) -> Tensor:
        """Any tokens -> (J, J)."""
        return self.get_buffer("adjacency")


class Alike(nn.Module):
    """Of every frame the `count` frames whose features have the largest products with its own (section 3.3).

    Frames that tie with the last of them are neighbours, too, as in the authors' code; no gradient runs through the
    choice.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    @torch.no_grad()
    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, C) -> (N, T, T)."""
        products = tokens @ tokens.transpose(1, 2)
        least = products.topk(self.count, dim=-1).values[..., -1:]
        return (products >= least).to(torch.float32)


class Former(nn.Module):
    """A metaformer block: mixing of tokens, then an MLP for each, both after layer norm, scaled and added."""

    def __init__(self, channels: int, mlp_ratio: int, mixer: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.mixer = mixer
        self.mlp = nn.Sequential(
            nn.Linear(channels, mlp_ratio * channels), nn.GELU(), nn.Linear(mlp_ratio * channels, channels)
        )
        self.scale1 = nn.Parameter(torch.full((channels,), 1e-5))
        self.scale2 = nn.Parameter(torch.full((channels,), 1e-5))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        tokens = torch.addcmul(tokens, self.scale1, self.mixer(self.norm1(tokens)))
        return torch.addcmul(tokens, self.scale2, self.mlp(self.norm2(tokens)))


class AGFormerBlock(nn.Module):
    """Two streams, a transformer and a GCNFormer, each over joints and then over time, and their adaptive fusion."""

    def __init__(
        self, channels: int, *, num_frames: int, num_heads: int, mlp_ratio: int, neighbours: int, skeleton: Skeleton
    ) -> None:
        super().__init__()

        def former(mixer: nn.Module) -> Former:
            return Former(channels, mlp_ratio, mixer)

        self.attention_spatial = former(Attention(channels, num_heads))
        self.attention_temporal = former(Attention(channels, num_heads))
        self.graph_spatial = former(GraphConvolution(channels, skeleton.num_joints, Bones(skeleton)))
        self.graph_temporal = former(GraphConvolution(channels, num_frames, Alike(neighbours)))
        self.fusion = nn.Linear(2 * channels, 2)
        nn.init.zeros_(self.fusion.weight)
        nn.init.constant_(self.fusion.bias, 0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, J, C) -> (B, T, J, C)."""
        B, T, J, C = features.shape
        frames = features.reshape(B * T, J, C)

        def by_joint(tokens: Tensor) -> Tensor:
            """(B * T, J, C), the joints of each frame -> (B * J, T, C), the frames of each joint."""
            return tokens.view(B, T, J, C).transpose(1, 2).reshape(B * J, T, C)

        attention = self.attention_temporal(by_joint(self.attention_spatial(frames)))
        graph = self.graph_temporal(by_joint(self.graph_spatial(frames)))
        share = self.fusion(torch.cat([attention, graph], dim=-1)).softmax(dim=-1)  # equations 7 and 8
        fused = torch.addcmul(graph, share[..., :1], attention - graph)  # the shares add up to one
        return fused.view(B, J, T, C).transpose(1, 2)
