"""The benchmark's recurrent cases in JAX, compiled: float32, the same shapes and the same arithmetic as bench/suites.mjs."""
import math

import jax
from jax import numpy as jnp

from serve import serve


def forward_backward(f, inputs, info):
    """Forward, and backward from a fixed cotangent to every input, compiled as one function."""
    cotangent = jnp.ones_like(f(*inputs))

    @jax.jit
    def both(cotangent, *inputs):
        out, pullback = jax.vjp(f, *inputs)
        return out, pullback(cotangent)

    return lambda: jax.block_until_ready(both(cotangent, *inputs)) is None, info


def over_time(step, start, *sequences):
    """The outputs of `step`, which takes and gives a state, over the second axis of the sequences."""
    def first(sequence):
        return sequence.swapaxes(0, 1)

    _, ys = jax.lax.scan(lambda state, xs: step(state, *xs), start, tuple(map(first, sequences)))
    return first(ys)


# What does not depend on the step before is multiplied outside of the loop: XLA does not move it out by itself.


def lstm(x, w, b):
    units = b.size // 4
    to_gates = w[x.shape[-1]:]

    def step(state, projected):
        cell, hidden = state
        i, j, f, o = jnp.split(projected + hidden @ to_gates, 4, axis=-1)
        cell = cell * jax.nn.sigmoid(f) + jax.nn.sigmoid(i) * jnp.tanh(j)
        hidden = jnp.tanh(cell) * jax.nn.sigmoid(o)
        return (cell, hidden), hidden

    zeros = jnp.zeros((x.shape[0], units))
    return over_time(step, (zeros, zeros), x @ w[:x.shape[-1]] + b)


def gru(x, gates, gates_bias, candidate, candidate_bias):
    depth = x.shape[-1]

    def step(hidden, to_gates, to_candidate):
        u, r = jnp.split(jax.nn.sigmoid(to_gates + hidden @ gates[depth:]), 2, axis=-1)
        new = jnp.tanh(to_candidate + (r * hidden) @ candidate[depth:])
        hidden = u * hidden + (1 - u) * new
        return hidden, hidden

    inputs = x @ gates[:depth] + gates_bias, x @ candidate[:depth] + candidate_bias
    return over_time(step, jnp.zeros((x.shape[0], candidate_bias.size)), *inputs)


def sru(x, w, b):
    r, f, y = jnp.split(x @ w + b, 3, axis=-1)
    r, f = jax.nn.sigmoid(r), jax.nn.sigmoid(f)

    def step(cell, f, y):
        cell = f * cell + y
        return cell, cell

    cells = over_time(step, jnp.zeros((x.shape[0], x.shape[-1])), f, y * (1 - f))
    return cells * r + x * (1 - r) * math.sqrt(3)


def rnn(p):
    n = p['units']
    keys = iter(jax.random.split(jax.random.key(0), 8))

    def weights(rows, columns):
        return jax.random.normal(next(keys), (rows, columns)) / math.sqrt(rows), jnp.zeros(columns)

    inputs = {
        'lstm': lambda: weights(2 * n, 4 * n),
        'gru': lambda: weights(2 * n, 2 * n) + weights(2 * n, n),
        'sru': lambda: weights(n, 3 * n),
    }[p['cell']]()
    x = jax.random.normal(next(keys), (p['batch'], p['length'], n))
    f = {'lstm': lstm, 'gru': gru, 'sru': sru}[p['cell']]
    return forward_backward(f, (x, *inputs), {'tokens': p['batch'] * p['length']})


def build(suite, params, threads):
    """One case, ready to be repeated: a function, and what is known of it. How many threads there are, XLA takes from the CPUs it may use."""
    if suite != 'rnn':
        raise NotImplementedError(suite)
    return rnn(params)


if __name__ == '__main__':
    serve(build)
