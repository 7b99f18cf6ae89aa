"""The variational autoencoder on MNIST: the twin of generative/vae.rs."""
import gzip
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(int(sys.argv[2]))
CODE, EPOCHS = 20, 10


def images(name):
    with gzip.open(f"{sys.argv[1]}/mnist/{name}-images-idx3-ubyte.gz") as file:
        return torch.from_numpy(np.frombuffer(file.read(), np.uint8, offset=16).copy()).reshape(-1, 784) / 255


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.code = nn.Linear(784, 400), nn.Linear(400, 2 * CODE)
        self.back, self.out = nn.Linear(CODE, 400), nn.Linear(400, 784)

    def bound(self, x):
        mean, log_variance = self.code(self.hidden(x).relu()).chunk(2, 1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        likelihood = -F.binary_cross_entropy_with_logits(self.decode(z), x, reduction="sum")
        kl = (mean.square() + log_variance.exp() - log_variance - 1).sum() / 2
        return (likelihood - kl) / len(x)

    def decode(self, z):
        return self.out(self.back(z).relu())


known, unseen = images("train"), images("t10k")
net = Vae()
adam, steps, t = torch.optim.Adam(net.parameters(), 0.003), EPOCHS * 600, 0
for _ in range(EPOCHS):
    for some in torch.randperm(60_000).split(100):
        adam.param_groups[0]["lr"] = 0.003 * (1 - t / steps) + 1e-5
        loss = -net.bound(known[some])
        adam.zero_grad()
        loss.backward()
        adam.step()
        t += 1
samples = net.decode(torch.randn(30, CODE)).sigmoid()
print("result:", net.bound(unseen).item())
