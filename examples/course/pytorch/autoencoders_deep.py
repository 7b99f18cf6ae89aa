"""A deep autoencoder with a code of two numbers beside two principal components: the twin of autoencoders/deep.rs."""
import gzip
import sys

import numpy as np
import torch
from torch import nn

torch.manual_seed(int(sys.argv[2]))


def images(name, count):
    with gzip.open(f"{sys.argv[1]}/mnist/{name}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(16 + count * 784), np.uint8, offset=16).copy()
    x = torch.from_numpy(pixels).reshape(-1, 1, 28, 28) / 255
    return nn.functional.avg_pool2d(x, 2).flatten(1)


def layers(*sizes):
    parts = [part for a, b in zip(sizes, sizes[1:]) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*parts[:-1])


x, unseen = images("train", 20_000), images("t10k", 1000)
down, up = layers(196, 128, 64, 2), layers(2, 64, 128, 196)
adam = torch.optim.Adam([*down.parameters(), *up.parameters()], 0.002)
for _ in range(3000):
    some = x[torch.randint(len(x), (128,))]
    loss = nn.functional.binary_cross_entropy_with_logits(up(down(some)), some)
    adam.zero_grad()
    loss.backward()
    adam.step()
mean = x[:2000].mean(0)
components = torch.linalg.svd(x[:2000] - mean, full_matrices=False).Vh[:2]
flat = (unseen - mean) @ components.T @ components + mean
bent = up(down(unseen)).sigmoid()
print("result:", ((bent - unseen).square().mean() / (flat - unseen).square().mean()).item())
