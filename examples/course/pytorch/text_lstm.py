"""Names by an LSTM: the twin of text/lstm.rs."""
import pathlib
import sys

import torch
from torch import nn

torch.manual_seed(int(sys.argv[2]))
LONGEST, WIDE, STEPS = 16, 96, 2000
names = pathlib.Path(sys.argv[1], "text/names.txt").read_text().split()


def rows(names):
    lists = [[0] + [ord(c) - 96 for c in name] + [0] for name in names]
    return torch.tensor([(row + [-1] * LONGEST)[: LONGEST + 1] for row in lists])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.letters, self.lstm = nn.Embedding(27, 24), nn.LSTM(24, WIDE, batch_first=True)
        self.out = nn.Linear(WIDE, 27)

    def loss(self, names):
        states, _ = self.lstm(self.letters(names[:, :-1].clamp(min=0)))
        return nn.functional.cross_entropy(self.out(states).flatten(0, 1), names[:, 1:].flatten(), ignore_index=-1)


def draw(net):
    name, letter, memory = "", 0, None
    for _ in range(LONGEST):
        out, memory = net.lstm(net.letters(torch.tensor([[letter]])), memory)
        letter = torch.multinomial(net.out(out[0, 0]).softmax(0), 1).item()
        if letter == 0:
            break
        name += chr(96 + letter)
    return name


train, test = rows([n for i, n in enumerate(names) if i % 10 != 0]), rows(names[::10])
net = Net()
adam = torch.optim.Adam(net.parameters(), 0.004)
for t in range(STEPS + 1):
    if t % (STEPS // 10) == 0:
        with torch.no_grad():
            result = net.loss(test).item()
    adam.param_groups[0]["lr"] = 0.004 * (1 - t / (STEPS + 1))
    loss = net.loss(train[torch.randint(len(train), (96,))])
    adam.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    adam.step()
print("drawn:", ", ".join(draw(net) for _ in range(8)))
print("result:", result)
