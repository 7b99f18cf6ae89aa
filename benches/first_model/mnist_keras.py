# The guide's first model in Keras: pip install keras jax; KERAS_BACKEND=jax python mnist_keras.py FOLDER_WITH_MNIST (or KERAS_BACKEND=torch)
import gzip, sys
import numpy as np
import keras

def read(name, skip):
    with gzip.open(f"{sys.argv[1]}/{name}-ubyte.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=skip)

(x, y), (u, v) = ((read(f"{n}-images-idx3", 16).reshape(-1, 28, 28), read(f"{n}-labels-idx1", 8)) for n in ("train", "t10k"))
x, u = ((a.astype("float32") / 255 - 0.13) / 0.31 for a in (x, u))
model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(128, activation="relu"), keras.layers.Dense(10)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
model.fit(x, y, batch_size=64, epochs=2, verbose=2)
print(model.evaluate(u, v, batch_size=500, verbose=0))
