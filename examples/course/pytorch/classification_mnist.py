"""Softmax regression on MNIST, from scratch and with a layer: the twin of classification/mnist.rs."""
import gzip
import sys

import numpy as np
import torch
from torch import nn

torch.manual_seed(int(sys.argv[2]))


def read(name, skip):
    with gzip.open(f"{sys.argv[1]}/mnist/{name}-ubyte.gz") as file:
        return torch.from_numpy(np.frombuffer(file.read(), np.uint8, offset=skip).copy())


def images(name):
    return read(f"{name}-images-idx3", 16).reshape(-1, 784) / 255, read(f"{name}-labels-idx1", 8).long()


(x, y), (x_test, y_test) = images("train"), images("t10k")
w, b, rate = torch.zeros(784, 10), torch.zeros(10), 0.3
net = nn.Linear(784, 10)
sgd = torch.optim.SGD(net.parameters(), rate)
for _ in range(6):
    for some in torch.randperm(60_000).split(200):
        u, v = x[some], y[some]
        wrong = ((u @ w + b).softmax(1) - nn.functional.one_hot(v, 10)) / len(u)
        w -= rate * u.T @ wrong
        b -= rate * wrong.sum(0)
        loss = nn.functional.cross_entropy(net(u), v)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
scratch = ((x_test @ w + b).argmax(1) == y_test).float().mean().item()
concise = (net(x_test).argmax(1) == y_test).float().mean().item()
print("result:", min(scratch, concise))
