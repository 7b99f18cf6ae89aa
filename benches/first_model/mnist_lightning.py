# The guide's first model in Lightning: pip install lightning; python mnist_lightning.py FOLDER_WITH_MNIST
import gzip, sys
import numpy as np
import lightning, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

def read(name, skip):
    with gzip.open(f"{sys.argv[1]}/{name}-ubyte.gz") as file:
        return torch.from_numpy(np.frombuffer(file.read(), np.uint8, offset=skip).copy())

def loader(name, size, shuffle):
    x = (read(f"{name}-images-idx3", 16).reshape(-1, 28, 28) / 255 - 0.13) / 0.31
    return DataLoader(TensorDataset(x, read(f"{name}-labels-idx1", 8).long()), size, shuffle)

class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))

    def training_step(self, batch, _):
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("loss", loss, prog_bar=True)
        return loss

    def test_step(self, batch, _):
        out = self.net(batch[0])
        self.log("loss", nn.functional.cross_entropy(out, batch[1]))
        self.log("accuracy", (out.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 1e-3)

trainer = lightning.Trainer(max_epochs=2, accelerator="cpu")
net = Net()
trainer.fit(net, loader("train", 64, True))
trainer.test(net, loader("t10k", 500, False))
