"""Linear regression with a layer, a loss and an optimiser: the twin of linear_regression/concise.rs."""
import sys

import torch
from torch import nn

torch.manual_seed(int(sys.argv[2]))
x = torch.randn(1000, 2)
y = x @ torch.tensor([[2.0], [-3.4]]) + 4.2 + torch.randn(1000, 1) * 0.01
net = nn.Linear(2, 1)
sgd = torch.optim.SGD(net.parameters(), 0.03)
for _ in range(5):
    for some in torch.randperm(1000).split(10):
        loss = nn.functional.mse_loss(net(x[some]), y[some])
        sgd.zero_grad()
        loss.backward()
        sgd.step()
print("result:", max(abs(net.weight[0, 0].item() - 2), abs(net.weight[0, 1].item() + 3.4), abs(net.bias.item() - 4.2)))
