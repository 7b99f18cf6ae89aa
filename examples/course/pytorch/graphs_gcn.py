"""Cora by graph convolution, and without the graph: the twin of graphs/gcn.rs."""
import sys

import torch
from torch import nn
from torch.nn import functional as F

papers = [line.split("\t") for line in open(f"{sys.argv[1]}/cora/nodes.tsv").read().splitlines() if line[0].isdigit()]
x = torch.zeros(len(papers), 1433)
for row, paper in enumerate(papers):
    x[row, [int(word) for word in paper[3].split()]] = 1
x = x / x.sum(1, keepdim=True).clamp(min=1)
classes = sorted({paper[1] for paper in papers})
y = torch.tensor([classes.index(paper[1]) for paper in papers])
part = {name: torch.tensor([i for i, paper in enumerate(papers) if paper[2] == name]) for name in ("train", "test")}
edges = [line.split("\t") for line in open(f"{sys.argv[1]}/cora/edges.tsv").read().splitlines() if line[0].isdigit()]
u, v = torch.tensor([[int(a), int(b)] for a, b in edges]).T
own = torch.arange(len(papers))
rows, columns = torch.cat([u, v, own]), torch.cat([v, u, own])
degree = torch.bincount(rows).float()
adjacency = torch.sparse_coo_tensor(torch.stack([rows, columns]), (degree[rows] * degree[columns]).rsqrt())


class Net(nn.Module):
    def __init__(self, graph):
        super().__init__()
        self.graph, self.layers = graph, nn.ModuleList([nn.Linear(1433, 16), nn.Linear(16, 7)])
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def layer(self, i, x):
        layer = self.layers[i]
        return torch.sparse.mm(adjacency, x @ layer.weight.T) + layer.bias if self.graph else layer(x)

    def forward(self, x):
        x = self.layer(0, F.dropout(x, 0.5, self.training)).relu()
        return self.layer(1, F.dropout(x, 0.5, self.training))


for graph in (True, False):
    ends = []
    for run in range(5):
        torch.manual_seed(int(sys.argv[2]) * 100 + run)
        net = Net(graph)
        groups = [{"params": net.layers[0].parameters(), "weight_decay": 5e-4}, {"params": net.layers[1].parameters()}]
        adam = torch.optim.Adam(groups, 0.01)
        for _ in range(200):
            net.train()
            loss = F.cross_entropy(net(x)[part["train"]], y[part["train"]])
            adam.zero_grad()
            loss.backward()
            adam.step()
        net.eval()
        ends.append((net(x)[part["test"]].argmax(1) == y[part["test"]]).float().mean().item())
    print("result:" if graph else "words alone:", sum(ends) / 5)
