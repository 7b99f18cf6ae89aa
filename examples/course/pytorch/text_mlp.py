"""Names by three letters and a hidden layer: the twin of text/mlp.rs."""
import pathlib
import sys

import torch
from torch import nn

torch.manual_seed(int(sys.argv[2]))
names = pathlib.Path(sys.argv[1], "text/names.txt").read_text().split()


def windows(names):
    seen, following = [], []
    for name in names:
        window = [0, 0, 0]
        for letter in [ord(c) - 96 for c in name] + [0]:
            seen.append(window)
            following.append(letter)
            window = window[1:] + [letter]
    return torch.tensor(seen), torch.tensor(following)


def draw(net):
    name, window = "", [0, 0, 0]
    for _ in range(20):
        letter = torch.multinomial(net(torch.tensor([window])).softmax(1), 1).item()
        if letter == 0:
            break
        name, window = name + chr(96 + letter), window[1:] + [letter]
    return name


x, y = windows([n for i, n in enumerate(names) if i % 10 != 0])
unseen, truth = windows(names[::10])
net = nn.Sequential(nn.Embedding(27, 10), nn.Flatten(), nn.Linear(30, 200), nn.Tanh(), nn.Linear(200, 27))
adam, steps = torch.optim.Adam(net.parameters(), 0.005), 12_000
for t in range(steps + 1):
    if t % (steps // 10) == 0:
        with torch.no_grad():
            test = nn.functional.cross_entropy(net(unseen), truth).item()
    adam.param_groups[0]["lr"] = 0.005 * (1 - t / (steps + 1))
    some = torch.randint(len(y), (256,))
    loss = nn.functional.cross_entropy(net(x[some]), y[some])
    adam.zero_grad()
    loss.backward()
    adam.step()
print("drawn:", ", ".join(draw(net) for _ in range(8)))
print("result:", test)
