"""Runs lessons of the course and their twins in PyTorch in turns: python compare.py COURSE DATA [SEED [TURNS]]

COURSE is the built command (target/release/course). Prints docs/course-pytorch.md: lines without comments and blank ones, seconds of
the process from start to end (medians of so many turns, three by default), and the figure that both give. The lessons check and draw besides.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
# The lesson, what both give, and how the lesson's figure is found: the worst of the checks whose names begin so.
LESSONS = [
    ("linear_regression/concise", "largest error of w and b", None),
    ("classification/mnist", "test images right", "concise: test images right"),
    ("feed_forward/xor", "largest error of the four", None),
    ("convolution/feature_maps", "test images right", "test images right"),
    ("text/mlp", "nats of a letter", "names not seen"),
    ("text/lstm", "nats of a letter", "names not seen"),
    ("graphs/gcn", "test papers right", "GCN"),
    ("autoencoders/deep", "error by that of PCA", "error by that"),
    ("generative/vae", "bound, nats", "bound"),
    ("attention/reversal", "tokens reversed", "tokens reversed"),
]
TEXT = """# The course beside PyTorch

Ten lessons and programs in PyTorch that learn the same: network, data, batches, steps and optimiser are alike, random numbers are not.
Written by

```sh
python examples/course/pytorch/compare.py target/release/course DATA {seed} {turns}
```

(seed {seed}, turns {turns}) on {cores} cores without a GPU.

Lines are those of the file without blank ones and comments. A lesson draws, asserts its figures and often shows a second way, which its
twin does not. Seconds are those of the process, from start to end, importing PyTorch (2 to 3 s) included and compiling Rust not.
"""


def lines(path, comment):
    text = [line.strip() for line in path.read_text().splitlines()]
    return sum(1 for line in text if line and not line.startswith(comment))


def seconds(command):
    began = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.time() - began, done.stdout


def figure(checks, name):
    if name is None:  # how far the last checks are from what they had to be
        wants = [(check["got"], check["want"].split(" ± ")) for check in checks if " ± " in check["want"]]
        return max(abs(got - float(want[0])) for got, want in wants[-4:])
    return next(check["got"] for check in checks if check["what"].startswith(name))


def main():
    course, data, seed, turns = (sys.argv[1:] + ["0", "3"][len(sys.argv) - 3 :])[:4]
    print(TEXT.format(seed=seed, turns=turns, cores=os.cpu_count()))
    print("| lesson | figure | lines | PyTorch's | seconds | PyTorch's | result | PyTorch's |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name, what, check in LESSONS:
        twin = HERE / f"{name.replace('/', '_')}.py"
        if not twin.exists():
            continue
        ours, theirs = [], []
        with tempfile.TemporaryDirectory() as out:
            for _ in range(int(turns)):
                command = [course, name, "--device", "cpu", "--seed", seed, "--data", data, "--out", out]
                ours.append(seconds(command)[0])
                took, said = seconds([sys.executable, str(twin), data, seed])
                theirs.append(took)
            found = json.loads(pathlib.Path(out, "results.json").read_text())["lessons"][name]
        result = float(next(line for line in said.splitlines() if line.startswith("result:")).split()[1])
        rust, python = lines(HERE.parent / f"{name}.rs", "//"), lines(twin, "#")
        print(
            f"| {name} | {what} | {rust} | {python} | {statistics.median(ours):.1f} | {statistics.median(theirs):.1f} "
            f"| {figure(found['checks'], check):.4g} | {result:.4g} |",
            flush=True,
        )


main()
