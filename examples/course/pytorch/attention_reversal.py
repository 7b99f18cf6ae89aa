"""Reversing a row of tokens by attention: the twin of attention/reversal.rs."""
import sys

import torch
from torch import nn

torch.manual_seed(int(sys.argv[2]))
TOKENS, LENGTH, D = 10, 16, 32


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.input, self.norm = nn.Linear(TOKENS, D), nn.LayerNorm(D)
        self.attention = nn.MultiheadAttention(D, 1, batch_first=True)
        self.hidden, self.out = nn.Linear(D, D), nn.Linear(D, TOKENS)
        self.positions = nn.Parameter(torch.randn(LENGTH, D))

    def forward(self, x):
        x = self.input(nn.functional.one_hot(x, TOKENS).float()) + self.positions
        found, map = self.attention(x, x, x)
        x = self.norm(x + found)
        return self.out(self.hidden(x).relu() + x), map


net = Net()
adam = torch.optim.Adam(net.parameters(), 0.003)
for t in range(1000):
    adam.param_groups[0]["lr"] = 0.003 * (1 - 0.9 * t / 1000)
    x = torch.randint(TOKENS, (128, LENGTH))
    loss = nn.functional.cross_entropy(net(x)[0].transpose(1, 2), x.flip(1))
    adam.zero_grad()
    loss.backward()
    adam.step()
x = torch.randint(TOKENS, (500, LENGTH))
scores, map = net(x)
print("on the mirrored place:", map.mean(0).flip(0).trace().item() / LENGTH)
print("result:", (scores.argmax(2) == x.flip(1)).float().mean().item())
