"""EfficientNet-Lite0 in PyTorch, with the names of the published weights. Used by models.py."""

from torch import nn
from torch.nn import functional as F

STAGES = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4)]
STAGES += [(6, 3, 1, 320, 1)]


class Same(nn.Conv2d):
    """Padded as TensorFlow pads."""

    def __init__(self, a, b, kernel, stride=1, groups=1):
        super().__init__(a, b, kernel, stride, groups=groups, bias=False)

    def forward(self, x):
        sides = []
        for n in (x.shape[3], x.shape[2]):
            total = max((-(-n // self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - n, 0)
            sides += [total // 2, total - total // 2]
        return super().forward(F.pad(x, sides))


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    def __init__(self, a, b, expansion, kernel, stride):
        super().__init__()
        hidden = a * expansion
        if expansion != 1:
            self._expand_conv, self._bn0 = Same(a, hidden, 1), norm(hidden)
        self._depthwise_conv, self._bn1 = Same(hidden, hidden, kernel, stride, hidden), norm(hidden)
        self._project_conv, self._bn2 = Same(hidden, b, 1), norm(b)
        self.expands, self.skips = expansion != 1, a == b and stride == 1

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return y + x if self.skips else y


class Lite0(nn.Module):
    def __init__(self):
        super().__init__()
        self._conv_stem, self._bn0 = Same(3, 32, 3, 2), norm(32)
        blocks, a = [], 32
        for expansion, kernel, stride, b, count in STAGES:
            for i in range(count):
                blocks.append(Block(a, b, expansion, kernel, stride if i == 0 else 1))
                a = b
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = Same(320, 1280, 1), norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def forward(self, x):
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return self._fc(F.relu6(self._bn1(self._conv_head(x))).mean((2, 3)))
