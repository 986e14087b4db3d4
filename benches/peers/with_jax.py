"""The rows of benches/README.md in JAX on the processor: python3 benches/peers/with_jax.py [PART OF A ROW'S NAME]"""

import jax
import jax.numpy as jnp
from jax import lax, random
from table import milliseconds, show

BATCH, IMAGE = 64, (3, 32, 32)
LAYOUT = ("NCHW", "OIHW", "NCHW")


def conv2d(x, w, stride=1):
    pad = w.shape[2] // 2
    return lax.conv_general_dilated(x, w, (stride, stride), ((pad, pad), (pad, pad)), dimension_numbers=LAYOUT)


def norm(x, p):
    """Batch norm with the statistics of the batch, as in training. Running statistics cost very little and are omitted."""
    mean = x.mean((0, 2, 3), keepdims=True)
    variance = ((x - mean) ** 2).mean((0, 2, 3), keepdims=True)
    shape = (1, -1, 1, 1)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * p["gamma"].reshape(shape) + p["beta"].reshape(shape)


def conv_bn(x, p, stride=1):
    return norm(conv2d(x, p["w"], stride), p)


def conv_params(key, inputs, channels, kernel=3):
    w = random.normal(key, (channels, inputs, kernel, kernel)) * (2 / (channels * kernel * kernel)) ** 0.5
    return {"w": w, "gamma": jnp.ones(channels), "beta": jnp.zeros(channels)}


def linear_params(key):
    return {"w": random.uniform(key, (64, 10), minval=-1 / 8, maxval=1 / 8), "b": jnp.zeros(10)}


def halve(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def cnn():
    keys = random.split(random.key(0), 4)
    sizes = zip(keys, (3, 16, 32), (16, 32, 64))
    params = {"convs": [conv_params(*size) for size in sizes], "linear": linear_params(keys[3])}

    def logits(params, x):
        first, second, third = params["convs"]
        x = halve(jax.nn.relu(conv_bn(x, first)))
        x = halve(jax.nn.relu(conv_bn(x, second)))
        x = jax.nn.relu(conv_bn(x, third)).mean((2, 3))
        return x @ params["linear"]["w"] + params["linear"]["b"]

    return params, logits


def resnet20():
    keys = iter(random.split(random.key(0), 32))
    params = {"stem": conv_params(next(keys), 3, 16), "blocks": [], "linear": linear_params(next(keys))}
    strides, inputs = [], 16
    for channels in (16, 32, 64):
        for index in range(3):
            stride = 2 if index == 0 and channels > 16 else 1
            block = {"1": conv_params(next(keys), inputs, channels), "2": conv_params(next(keys), channels, channels)}
            if stride > 1:
                block["shortcut"] = conv_params(next(keys), inputs, channels, 1)
            params["blocks"].append(block)
            strides.append(stride)
            inputs = channels

    def logits(params, x):
        x = jax.nn.relu(conv_bn(x, params["stem"]))
        for block, stride in zip(params["blocks"], strides):
            shortcut = conv_bn(x, block["shortcut"], stride) if "shortcut" in block else x
            x = jax.nn.relu(conv_bn(jax.nn.relu(conv_bn(x, block["1"], stride)), block["2"]) + shortcut)
        return x.mean((2, 3)) @ params["linear"]["w"] + params["linear"]["b"]

    return params, logits


def step(make):
    params, logits = make()
    x = random.normal(random.key(1), (BATCH, *IMAGE))
    labels = random.randint(random.key(2), (BATCH,), 0, 10)

    def loss(params):
        return -jnp.take_along_axis(jax.nn.log_softmax(logits(params, x)), labels[:, None], 1).mean()

    @jax.jit
    def sgd(params, momentum):
        momentum = jax.tree.map(lambda m, g: 0.9 * m + g, momentum, jax.grad(loss)(params))
        return jax.tree.map(lambda p, m: p - 0.1 * m, params, momentum), momentum

    state = [params, jax.tree.map(jnp.zeros_like, params)]

    def work():
        state[:] = jax.block_until_ready(sgd(*state))

    return milliseconds(work)


def timed(function, *arguments):
    function = jax.jit(function)
    return milliseconds(lambda: jax.block_until_ready(function(*arguments)))


def matmul():
    return timed(jnp.matmul, random.normal(random.key(0), (512, 512)), random.normal(random.key(1), (512, 512)))


def conv(gradients):
    x = random.normal(random.key(0), (BATCH, 16, 32, 32))
    w = random.normal(random.key(1), (32, 16, 3, 3))
    dy = random.normal(random.key(2), (BATCH, 32, 32, 32))

    def both(x, w, dy):
        y, back = jax.vjp(conv2d, x, w)
        return y, back(dy)

    return timed(both, x, w, dy) if gradients else timed(conv2d, x, w)


def adam(tensors, floats):
    """Adam with a learning rate per tensor."""
    grads = [random.normal(random.key(i), (floats,)) for i in range(tensors)]
    zeros = [jnp.zeros(floats) for _ in range(tensors)]
    rates = jnp.array([1e-3 / (1 + i) for i in range(tensors)])

    def update(params, first, second, grads, t):
        first = [0.9 * m + 0.1 * g for m, g in zip(first, grads)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, grads)]
        c1, c2 = 1 - 0.9**t, 1 - 0.999**t
        moved = zip(params, first, second)
        params = [p - rates[i] * (m / c1) / (jnp.sqrt(v / c2) + 1e-8) for i, (p, m, v) in enumerate(moved)]
        return params, first, second

    update = jax.jit(update, donate_argnums=(0, 1, 2))
    copies = [[z.copy() for z in zeros] for _ in range(3)]
    state = [copies, 1.0]

    def work():
        state[0] = jax.block_until_ready(update(*state[0], grads, state[1]))
        state[1] += 1.0

    return milliseconds(work)


ROWS = [
    ("matmul 512^3", matmul),
    ("conv 3x3 16->32, forward", lambda: conv(False)),
    ("conv 3x3 16->32, forward and both gradients", lambda: conv(True)),
    ("step of cnn", lambda: step(cnn)),
    ("step of resnet20", lambda: step(resnet20)),
    ("Adam, 65 tensors of 4,096, a rate each", lambda: adam(65, 4096)),
    ("Adam, 62 tensors of 180,224, a rate each", lambda: adam(62, 180_224)),
]

if __name__ == "__main__":
    count = lambda make: sum(p.size for p in jax.tree.leaves(make()[0]))
    assert (count(cnn), count(resnet20)) == (24_346, 272_474)
    show(f"JAX {jax.__version__}", ROWS)
