"""ResNet trunks (He et al. 2016) with the parameter names of torchvision, so that ImageNet weights load by name.

The stride of a stage sits on the 3x3 convolution of its first block ("v1.5"), as in torchvision, microsoft's and
mks0601's pose networks. TF-slim's published ImageNet weights were trained with it elsewhere; fine-tuning absorbs that.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from anypose.settings import Misuse

# depth: (block, number of blocks in each of the four stages)
STAGES = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the input added."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, norm: partial[nn.BatchNorm2d]) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_channels, width, stride)
        self.bn1 = norm(width)
        self.conv2 = _conv3x3(width, width)
        self.bn2 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the width, and the input added."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, norm: partial[nn.BatchNorm2d]) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = _conv3x3(width, width, stride)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = norm(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def _conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int, norm: partial[nn.BatchNorm2d]) -> nn.Sequential | None:
    """A 1x1 convolution where the block changes the shape of its input, else nothing."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), norm(out_channels))


class ResNet(nn.Module):
    """The trunk without pooling and classifier: (B, 3, H, W) to (B, C, H / 32, W / 32).

    C is `out_channels`: 512 for depths 18 and 34, 2048 above, at the usual width.

    Args:
        depth: 18, 34, 50, 101 or 152.
        bn_eps: added to the variance in every BatchNorm.
        bn_momentum: weight of the new batch in the running statistics (1 - TensorFlow's decay).
        width: channels of the first stage; 64 is He et al.'s, fewer are for small machines.
    """

    def __init__(self, depth: int, bn_eps: float, bn_momentum: float, width: int = 64) -> None:
        super().__init__()
        if depth not in STAGES:
            raise Misuse(f"A ResNet has depth {', '.join(map(str, STAGES))}, got model.depth={depth}.")
        kind, blocks = STAGES[depth]
        if width < 1:
            raise Misuse(f"A ResNet's first stage has 1 channel at least, got model.trunk_channels={width}.")
        block = Bottleneck if kind == "bottleneck" else BasicBlock
        norm = partial(nn.BatchNorm2d, eps=bn_eps, momentum=bn_momentum)
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = width
        for stage, count in enumerate(blocks):
            inner = width * 2**stage
            layers = []
            for index in range(count):
                layers.append(block(channels, inner, 2 if stage > 0 and index == 0 else 1, norm))
                channels = inner * block.expansion
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.out_channels = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        # Pooled first, which gives the same with a quarter of the work.
        x = self.relu(self.maxpool(self.bn1(self.conv1(image))))
        for number in (1, 2, 3, 4):
            x = getattr(self, f"layer{number}")(x)
        return x
