"""LeNet on MNIST: the twin of convolution/feature_maps.rs."""
import gzip
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(int(sys.argv[2]))


def read(name, skip):
    with gzip.open(f"{sys.argv[1]}/mnist/{name}-ubyte.gz") as file:
        return torch.from_numpy(np.frombuffer(file.read(), np.uint8, offset=skip).copy())


def images(name, count):
    x = read(f"{name}-images-idx3", 16).reshape(-1, 1, 28, 28)[:count] / 255
    return F.pad(x, (2, 2, 2, 2)), read(f"{name}-labels-idx1", 8)[:count].long()


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(self.conv1(x).relu(), 2)
        x = F.max_pool2d(self.conv2(x).relu(), 2).flatten(1)
        return self.fc3(self.fc2(self.fc1(x).relu()).relu())


(x, y), (x_test, y_test) = images("train", 30_000), images("t10k", 5000)
net = LeNet()
assert sum(p.numel() for p in net.parameters()) == 61_706
adam = torch.optim.Adam(net.parameters(), 2e-3)
for _ in range(2):
    for some in torch.randperm(30_000).split(100):
        loss = F.cross_entropy(net(x[some]), y[some])
        adam.zero_grad()
        loss.backward()
        adam.step()
with torch.no_grad():
    right = sum((net(u).argmax(1) == v).sum().item() for u, v in zip(x_test.split(1000), y_test.split(1000)))
    digit = x_test[:1]
    first = net.conv1(digit).relu()
    second = net.conv2(F.max_pool2d(first, 2)).relu()
print("maps that answer:", (second.amax((2, 3)) > 0.1).sum().item())
print("result:", right / 5000)
