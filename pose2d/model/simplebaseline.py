"""SimpleBaseline (Xiao, Wu, Wei 2018): a ResNet, three transposed convolutions, one heatmap a keypoint.

python train.py model=simplebaseline
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn

from anypose.settings import Misuse, check_range
from anypose.shapes import IO, check_shape
from pose2d.network.resnet import ResNet

STRIDE = 4  # input pixels from one heatmap cell to the next


class SimpleBaseline(ResNet):
    """(B, 3, H, W) normalised images to (B, K, H / 4, W / 4) heatmaps.

    It *is* a ResNet with a head, as microsoft's is, so that its state_dict has microsoft's names: `conv1` ...
    `layer4`, `deconv_layers.{0,3,6}` (convolutions), `.{1,4,7}` (BatchNorms), `final_layer`.

    Args:
        depth: of the trunk: 18, 34, 50, 101 or 152.
        num_keypoints: K.
        height, width: of the input [px], multiples of 32.
        trunk_channels, deconv_channels: of the trunk's first stage and of the transposed convolutions; 64 and 256 are
            published, fewer are for small machines.
        bn_eps, bn_momentum: of every BatchNorm, in PyTorch's terms.
        head_init: "normal" draws the head's weights from N(0, 0.001) (microsoft); "tf" draws the transposed
            convolutions from a normal of deviation 0.01 cut at two deviations and the last layer from
            He's fan-in rule (mks0601).
    """

    def __init__(
        self,
        depth: int,
        num_keypoints: int,
        height: int,
        width: int,
        trunk_channels: int,
        deconv_channels: int,
        bn_eps: float,
        bn_momentum: float,
        head_init: Literal["normal", "tf"],
    ) -> None:
        super().__init__(depth, bn_eps, bn_momentum, trunk_channels)
        check_range("model", 1, math.inf, num_keypoints=num_keypoints)
        check_range("model", 0, math.inf, without_low=True, bn_eps=bn_eps)
        check_range("model", 0, 1, bn_momentum=bn_momentum)
        if deconv_channels < 1:
            raise Misuse(f"model.deconv_channels must be at least 1, got {deconv_channels}.")
        if height % 32 or width % 32 or min(height, width) < 32:
            raise Misuse(
                f"A ResNet divides its input by 32: model.height and model.width must be multiples of 32, "
                f"got {height} and {width}."
            )
        if head_init not in ("normal", "tf"):
            raise Misuse(f"model.head_init must be normal or tf, got {head_init}.")
        layers: list[nn.Module] = []
        channels = self.out_channels
        for _ in range(3):
            layers += [
                nn.ConvTranspose2d(channels, deconv_channels, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(deconv_channels, eps=bn_eps, momentum=bn_momentum),
                nn.ReLU(inplace=True),
            ]
            channels = deconv_channels
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(deconv_channels, num_keypoints, 1)
        self._init_head(head_init)
        self.num_keypoints = num_keypoints
        self.heatmap_size = (height // STRIDE, width // STRIDE)
        self.io = IO(
            inputs={"image": ("B", 3, height, width)},
            outputs={"heatmaps": ("B", num_keypoints, height // STRIDE, width // STRIDE)},
        )

    def _init_head(self, head_init: str) -> None:
        for layer in self.deconv_layers:
            if isinstance(layer, nn.ConvTranspose2d):
                if head_init == "tf":
                    nn.init.trunc_normal_(layer.weight, std=0.01, a=-0.02, b=0.02)
                else:
                    nn.init.normal_(layer.weight, std=0.001)
        if head_init == "tf":
            nn.init.kaiming_normal_(self.final_layer.weight)
        else:
            nn.init.normal_(self.final_layer.weight, std=0.001)
        bias = self.final_layer.bias
        assert bias is not None
        nn.init.zeros_(bias)

    def forward(self, image: Tensor) -> Tensor:
        check_shape(image, self.io.inputs["image"], "image")
        return self.final_layer(self.deconv_layers(super().forward(image)))
