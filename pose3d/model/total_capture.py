"""The network of Monocular Total Capture (Xiang et al. 2019): joint heatmaps and 3D part orientation fields.

A VGG-19 front, then a first stage and `num_stages - 1` refinements, each with a branch for the fields (L1) and one for
the heatmaps (L2) that both see the last stage's two outputs and the front's features (Cao et al. 2017, section 2).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from anypose.settings import Misuse
from anypose.shapes import IO
from pose3d.capture.fields import enlarge
from pose3d.capture.layout import get_layout

_FRONT = (
    ("conv1_1", 64), ("conv1_2", 64), ("pool", 0),
    ("conv2_1", 128), ("conv2_2", 128), ("pool", 0),
    ("conv3_1", 256), ("conv3_2", 256), ("conv3_3", 256), ("conv3_4", 256), ("pool", 0),
    ("conv4_1", 512), ("conv4_2", 512), ("conv4_3_CPM", 256), ("conv4_4_CPM", 128),
)  # fmt: skip


class TotalCapture(nn.Module):
    """Images in, one heatmap and one orientation field tensor per stage out.

    Module names are the TF1 graph's (`conv4_3_CPM`, `Mconv1_stage2_L1`), so that conversion is a transpose.

    Args:
        part: "body" (20 joints, 23 limbs) or "hand" (21 joints, 20 limbs).
        num_stages: outputs; 6 in the paper, 1 is a front with one head.
        width: factor on every hidden channel count, rounded to multiples of 8; 1.0 is the published network.
        norm: "none" as published, or "batch": a BatchNorm after every hidden convolution (`conv1_1_norm`, ...), with
            which a small network learns from scratch in minutes; a departure.
        init: "xavier" as published, which halves the signal with every ReLU and so needs ImageNet's weights in front;
            or "he", from which the network learns without them.
        enlarged: give maps as large as the image, by TF1's bicubic enlargement, as the original does; in an exported
            file that is 64 times the output to copy.
    """

    export_sizes: ClassVar = {"H": 368, "W": 368}

    def __init__(self, part: str, num_stages: int, width: float, norm: str, init: str, enlarged: bool) -> None:
        super().__init__()
        if num_stages < 1 or width <= 0:
            raise Misuse(f"total_capture needs num_stages >= 1 and width > 0, got {num_stages} and {width}.")
        if init not in ("he", "xavier"):
            raise Misuse(f"model.init must be he or xavier, got {init}.")
        if norm not in ("none", "batch"):
            raise Misuse(f"model.norm must be none or batch, got {norm}.")
        self.layout = get_layout(part)
        self.num_stages = num_stages
        self.norm = norm
        self.enlarged = enlarged
        self.stride = 1 if enlarged else 8
        size = ("H", "W") if enlarged else ("h", "w")
        self.io = IO(
            inputs={"image": ("B", 3, "H", "W")},
            outputs={
                "heatmaps": ("B", "S", self.layout.num_heatmaps, *size),
                "fields": ("B", "S", self.layout.num_fields, *size),
            },
        )

        def hidden(channels: int) -> int:
            return max(8, round(channels * width / 8) * 8)

        # Statistics of the training people [m], for lifting; they ship with the weights.
        self.register_buffer("limb_lengths", torch.tensor(self.layout.limb_lengths))

        channels = 3
        for name, size in _FRONT:
            if name != "pool":
                self._add_layer(name, channels, hidden(size), 3, norm)
                channels = hidden(size)
        features = channels
        outputs = {"L1": self.layout.num_fields, "L2": self.layout.num_heatmaps}
        for stage in range(1, num_stages + 1):
            for branch, size in outputs.items():
                plan = [(3, 128)] * 3 + [(1, 512), (1, 0)] if stage == 1 else [(7, 128)] * 5 + [(1, 128), (1, 0)]
                channels = features if stage == 1 else features + sum(outputs.values())
                for index, (kernel, wide) in enumerate(plan, start=1):
                    out = hidden(wide) if wide else size
                    self._add_layer(_layer_name(stage, branch, index), channels, out, kernel, norm if wide else "none")
                    channels = out
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if init == "xavier":
                    nn.init.xavier_uniform_(module.weight)
                elif module.out_channels in outputs.values():
                    nn.init.normal_(module.weight, std=1e-3)  # maps are empty nearly everywhere
                else:
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.constant_(module.bias, 1e-4)  # type: ignore[arg-type]

    def _add_layer(self, name: str, channels: int, out: int, kernel: int, norm: str) -> None:
        self.add_module(name, nn.Conv2d(channels, out, kernel, padding=kernel // 2))
        if norm == "batch":
            self.add_module(f"{name}_norm", nn.BatchNorm2d(out))

    def _layer(self, name: str, x: Tensor) -> Tensor:
        x = self.get_submodule(name)(x)
        return self.get_submodule(f"{name}_norm")(x) if self.norm == "batch" else x

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Predict every stage.

        Args:
            image: (B, 3, H, W) RGB, x / 255 - 0.5; H and W multiples of 8.

        Returns:
            (B, S, J + 1, H / 8, W / 8) heatmaps, the background last, and
            (B, S, 3 L, H / 8, W / 8) orientation fields, channel 3 limb + axis; H and W whole where `enlarged`.
        """
        features = image
        for name, _ in _FRONT:
            pooled = name == "pool"
            features = F.max_pool2d(features, 2) if pooled else F.relu(self._layer(name, features))
        fields = self._branch(features, 1, "L1")
        heatmaps = self._branch(features, 1, "L2")
        all_fields, all_heatmaps = [fields], [heatmaps]
        for stage in range(2, self.num_stages + 1):
            seen = torch.cat((fields, heatmaps, features), dim=1)
            fields = self._branch(seen, stage, "L1")
            heatmaps = self._branch(seen, stage, "L2")
            all_fields.append(fields)
            all_heatmaps.append(heatmaps)
        outputs = torch.stack(all_heatmaps, dim=1), torch.stack(all_fields, dim=1)
        return (enlarge(outputs[0]), enlarge(outputs[1])) if self.enlarged else outputs

    def _branch(self, x: Tensor, stage: int, branch: str) -> Tensor:
        last = 5 if stage == 1 else 7
        for index in range(1, last + 1):
            name = _layer_name(stage, branch, index)
            x = F.relu(self._layer(name, x)) if index < last else self.get_submodule(name)(x)
        return x


def _layer_name(stage: int, branch: str, index: int) -> str:
    return f"conv5_{index}_CPM_{branch}" if stage == 1 else f"Mconv{index}_stage{stage}_{branch}"
