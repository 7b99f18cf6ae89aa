"""The models of models.json: torchvision's, and LeNet and U-Net as they are known. Used by layers.py."""

import torch
import torchvision.models as tv
from lite import Lite0
from torch import nn
from torch.nn import functional as F


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = F.max_pool2d(torch.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))


class DoubleConv(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        layers = []
        for c in (a, b):
            layers += [nn.Conv2d(c, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        self.double_conv = nn.Sequential(*layers)

    def forward(self, x):
        return self.double_conv(x)


class Down(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(a, 2 * a))

    def forward(self, x):
        return self.maxpool_conv(x)


class Up(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.up, self.conv = nn.ConvTranspose2d(a, a // 2, 2, stride=2), DoubleConv(a, a // 2)

    def forward(self, x, by):
        x = self.up(x)
        h, w = by.size(2) - x.size(2), by.size(3) - x.size(3)
        return self.conv(torch.cat([by, F.pad(x, [w // 2, w - w // 2, h // 2, h - h // 2])], 1))


class OutConv(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.conv = nn.Conv2d(a, b, 1)

    def forward(self, x):
        return self.conv(x)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.inc = DoubleConv(3, 64)
        self.down1, self.down2, self.down3, self.down4 = Down(64), Down(128), Down(256), Down(512)
        self.up1, self.up2, self.up3, self.up4 = Up(1024), Up(512), Up(256), Up(128)
        self.outc = OutConv(64, 2)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x4 = self.down3(x3)
        y = self.up1(self.down4(x4), x4)
        return self.outc(self.up4(self.up3(self.up2(y, x3), x2), x1))


def models(case):
    yield case("lenet", LeNet(), [(2, 1, 32, 32)])
    yield case("alexnet", tv.alexnet(), [(1, 3, 96, 96)])
    yield case("vgg11", tv.vgg11(), [(1, 3, 32, 32)])
    yield case("vgg16_bn", tv.vgg16_bn(), [(1, 3, 32, 32)])
    yield case("resnet18", tv.resnet18(), [(2, 3, 64, 64)])
    yield case("resnet18 train", tv.resnet18(), [(4, 3, 64, 64)], training=True)
    yield case("resnet50", tv.resnet50(), [(1, 3, 64, 64)])
    yield case("mobilenet_v2", tv.mobilenet_v2(), [(1, 3, 64, 64)])
    yield case("efficientnet_b0", tv.efficientnet_b0(), [(1, 3, 64, 64)])
    yield case("efficientnet_lite0", Lite0(), [(1, 3, 65, 48)])
    yield case("unet", UNet(), [(1, 3, 36, 32)])
