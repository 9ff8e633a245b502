"""Runs the cases of every kind through Trax and writes down what comes out.

Each `record_*` takes a case with what is declared of it, and a `Tape` with the arrays it names. It returns the case with what Trax
gave filled in; the arrays it names are then on the tape.
"""

import copy

import numpy as np

from . import expressions as ex


class Tape:
    """The arrays of a case: `given` before it ran, and `made` by running it.

    What is drawn at random while a case runs (cotangents, weights moved off their initial zeros) is taken from `given` if it is
    there, so that a recorded case can be run again.
    """

    def __init__(self, given, random, shift=None):
        self.given, self.random, self.shift, self.made = dict(given), random, shift, {}

    def put(self, name, x):
        x = np.array(x)
        if x.dtype in (np.float64, np.int64):
            raise TypeError(f'{name} is {x.dtype}; cases hold 32-bit numbers')
        self.made[name] = x
        return name

    def get(self, name):
        return self.shifted(self.given[name])

    def shifted(self, x):
        """`x`, its floats moved by two units in the last place if this run is to show how far rounding carries."""
        x = np.asarray(x)
        if self.shift is None or not is_float(x):
            return ex.jnp.asarray(x)
        by = 1 + np.float32(2.0**-22) * self.shift.choice([-1, 1], x.shape)
        return ex.jnp.asarray((x * by).astype(x.dtype))

    def drawn(self, name, draw):
        """The array `name`: as it was recorded, or drawn now."""
        if name not in self.given:
            self.given[name] = np.asarray(draw())
        self.put(name, self.given[name])
        return ex.jnp.asarray(self.given[name])

    def normal(self, shape):
        return self.random.standard_normal(shape).astype(np.float32)


def is_float(x):
    return ex.jnp.issubdtype(x.dtype, ex.jnp.floating)


def leaves(tree):
    return ex.jax.tree_util.tree_leaves(tree)


def mapped(f, nest):
    """`nest` of lists and tuples with `f` of each leaf, as lists."""
    if isinstance(nest, (list, tuple)):
        return [mapped(f, item) for item in nest]
    return f(nest)


def tuples(nest):
    return tuple(tuples(item) for item in nest) if isinstance(nest, list) else nest


def key_of(words):
    return ex.jnp.asarray(np.array(words, np.uint32))


def structure(tree):
    """Nested weights or state as JSON, with shapes and types for arrays."""
    if isinstance(tree, (list, tuple)):
        return [structure(item) for item in tree]
    if isinstance(tree, dict):
        if tree == ex.tl.GET_WEIGHTS_FROM_CACHE:
            return {'cached': 'weights'}
        if tree == ex.tl.GET_STATE_FROM_CACHE:
            return {'cached': 'state'}
        return {'dict': {name: structure(item) for name, item in tree.items()}}
    if hasattr(tree, 'shape'):
        return {'shape': [int(n) for n in tree.shape], 'dtype': str(tree.dtype)}
    return {'value': tree}


def sums(x):
    """What stands for an array that is too large to keep."""
    x = np.asarray(x, np.float64)
    return {
        'shape': list(x.shape),
        'sum': float(x.sum()),
        'sumAbs': float(np.abs(x).sum()),
        'sumSquares': float((x * x).sum()),
    }


def flat(weights, state):
    """Lists of weights and state, in the order of Trax's files."""
    return ex.tl.flatten_weights_and_state(weights, state)


def initialized(layer, signature, key):
    if type(layer).__name__ == 'Accelerate':
        layer.rng = key
        return layer.init(signature)
    return layer.init(signature, rng=key)


def cotangents(tape, prefix, outputs):
    """A random array for each float output, None for the others."""
    return [
        tape.drawn(f'{prefix}{i}', lambda y=y: ex.jnp.asarray(tape.normal(y.shape)).astype(y.dtype))
        if is_float(y) else None
        for i, y in enumerate(leaves(outputs))
    ]


def seeds(outputs, given):
    """Cotangents as JAX wants them: integers have some of a type of their own."""
    ys, tree = ex.jax.tree_util.tree_flatten(outputs)
    full = [np.zeros(y.shape, ex.jax.dtypes.float0) if ct is None else ct for y, ct in zip(ys, given)]
    return ex.jax.tree_util.tree_unflatten(tree, full)


class LayerRun:
    """One layer: its initial weights, its calls one after another, their gradients."""

    def __init__(self, case, tape):
        self.case, self.tape = copy.deepcopy(case), tape
        self.brief = case.get('brief', False)
        self.state_names = {}

    def run(self):
        case, tape = self.case, self.tape
        layer = self.layer = ex.Builder(tape.given, case.get('shared')).build(case['expr'])
        first = case['steps'][0]['inputs']
        case.update(name=layer.name, nIn=layer.n_in, nOut=layer.n_out, hasBackward=bool(layer.has_backward))
        case.update(text=str(layer), signature=mapped(lambda name: structure(tape.given[name]), first))
        shapes = ex.trax.shapes.signature(tuples(mapped(lambda n: ex.jnp.asarray(tape.given[n]), case.get('initInputs', first))))
        weights, state = initialized(layer, shapes, key_of(case['init']['key']))
        self.note_initial(weights, state)
        if case.get('givenState'):
            state = self.given_state(state)
        weights = self.weights_of_the_calls(weights)
        if tape.shift is not None:
            weights = ex.jax.tree_util.tree_map(tape.shifted, weights)
        for number, step in enumerate(case['steps']):
            state = self.step(number, step, weights, state)
        return case

    def note_initial(self, weights, state):
        init, put = self.case['init'], self.tape.put
        init.update(weightsTree=structure(weights), stateTree=structure(state))
        flat_weights, flat_state = flat(weights, state)
        if self.brief:
            init['weightsChecksums'] = [sums(w) for w in flat_weights]
            init['stateChecksums'] = [sums(s) for s in flat_state]
            some = {str(i): put(f'w{i}', w) for i, w in enumerate(flat_weights[:4]) if w.size <= 4096}
            if some:
                init['someWeights'] = some
            return
        init['weights'] = [put(f'w{i}', w) for i, w in enumerate(flat_weights)]
        # A state that does not follow from the key cannot be compared.
        if not self.case.get('givenState'):
            init['state'] = self.put_state('s', flat_state)

    def put_state(self, prefix, arrays):
        """Names for the arrays of a state; one that was there before keeps its name."""
        names = []
        for i, array in enumerate(map(np.asarray, arrays)):
            identity = (str(array.dtype), array.shape, array.tobytes())
            if identity not in self.state_names:
                self.state_names[identity] = self.tape.put(f'{prefix}{i}', array)
            names.append(self.state_names[identity])
        return names

    def given_state(self, state):
        arrays, tree = ex.jax.tree_util.tree_flatten(state)
        self.case['state'] = [f'vs{i}' for i in range(len(arrays))]
        drawn = [self.tape.drawn(f'vs{i}', lambda a=a: a) for i, a in enumerate(arrays)]
        return ex.jax.tree_util.tree_unflatten(tree, drawn)

    def weights_of_the_calls(self, weights):
        """The initial ones, moved by noise if the case says so, so that zero biases and unit scales count."""
        jitter = self.case.get('jitter')
        if not jitter:
            if not self.brief:
                self.case['weights'] = self.case['init']['weights']
            return weights
        arrays, tree = ex.jax.tree_util.tree_flatten(weights)

        def moved(w):
            return (ex.jnp.asarray(w, ex.jnp.float32) + self.tape.normal(w.shape) * np.float32(jitter)).astype(w.dtype)

        used = [
            self.tape.drawn(f'v{i}', lambda w=w: moved(w)) if is_float(w) else w for i, w in enumerate(arrays)
        ]
        self.case['weights'] = [f'{"v" if is_float(w) else "w"}{i}' for i, w in enumerate(arrays)]
        return ex.jax.tree_util.tree_unflatten(tree, used)

    def step(self, number, step, weights, state):
        """One call, and its gradients if the step asks for them; the new state."""
        tape, key = self.tape, key_of(step['key'])
        xs, tree = ex.jax.tree_util.tree_flatten(tuples(mapped(tape.get, step['inputs'])))
        differentiated = [i for i, x in enumerate(xs) if is_float(x)]

        def call(floats, weights):
            inputs = list(xs)
            for i, x in zip(differentiated, floats):
                inputs[i] = x
            return self.layer.pure_fn(ex.jax.tree_util.tree_unflatten(tree, inputs), weights, state, key)

        floats = [xs[i] for i in differentiated]
        compiled = ex.jax.jit if self.case.get('jit') else lambda f: f
        grad = step.get('grad') is not None
        if grad:
            shapes, _ = ex.jax.eval_shape(call, floats, weights) if self.case.get('jit') else call(floats, weights)
            given = cotangents(tape, f'ct{number}.', shapes)

            def both(floats, weights):
                ys, pull, state = ex.jax.vjp(call, floats, weights, has_aux=True)
                return ys, state, pull(seeds(ys, given))

            ys, new_state, (of_inputs, of_weights) = compiled(both)(floats, weights)
        else:
            ys, new_state = compiled(call)(floats, weights)
        count = iter(range(len(leaves(ys)) + 1))
        step['outputs'] = mapped(lambda y: tape.put(f'y{number}.{next(count)}', y), ys)
        self.note_state(number, step, new_state)
        if grad:
            step['grad'] = self.gradients(number, step, ys, dict(zip(differentiated, of_inputs)), of_weights)
            if isinstance(self.layer, ex.tl.ReversibleLayer) and not self.brief:
                step['grad']['reconstructed'] = self.reconstructed(number, ys, given, weights, state, new_state, key)
        return new_state

    def note_state(self, number, step, state):
        _, arrays = flat((), state)
        if self.brief:
            step['stateChecksums'] = [sums(s) for s in arrays]
        else:
            step['state'] = self.put_state(f's{number}n', arrays)
        if structure(state) != self.case['init']['stateTree']:
            step['stateTree'] = structure(state)

    def gradients(self, number, step, ys, of_inputs, of_weights):
        put = self.tape.put
        floats = iter([f'ct{number}.{i}' if is_float(y) else None for i, y in enumerate(leaves(ys))])
        places = iter(range(10**6))

        def of_input(_):
            i = next(places)
            return put(f'gx{number}.{i}', of_inputs[i]) if i in of_inputs else None

        grad = {'cotangents': mapped(lambda y: next(floats), ys), 'inputs': mapped(of_input, step['inputs'])}
        arrays, _ = flat(of_weights, ())
        if self.brief:
            grad['weightsChecksums'] = [sums(g) for g in arrays]
            small = [i for i, g in enumerate(arrays) if g.size <= 2048]
            some = sorted({*small[:2], *small[len(small) // 2:][:2], *small[-2:]})
            grad['someWeights'] = {str(i): put(f'gw{number}.{i}', arrays[i]) for i in some}
        else:
            grad['weights'] = [
                None if g.dtype == ex.jax.dtypes.float0 else put(f'gw{number}.{i}', g) for i, g in enumerate(arrays)
            ]
        return grad

    def reconstructed(self, number, ys, given, weights, state, new_state, key):
        """The inputs of a reversible layer, from its outputs."""

        def back(ys, weights):
            return self.layer.reverse_and_grad(ys, seeds(ys, given), weights, state, new_state, rng=key)[0]

        xs = (ex.jax.jit(back) if self.case.get('jit') else back)(ys, weights)
        count = iter(range(len(leaves(xs)) + 1))
        return mapped(lambda x: self.tape.put(f'xr{number}.{next(count)}', x), xs)


def record_layer(case, tape):
    return LayerRun(case, tape).run()


def record_function(case, tape):
    case = copy.deepcopy(case)
    arrays = {name: tape.get(name) for name in case['tensors']}
    count = iter(range(10**6))

    def call(moved):
        return ex.Builder({**arrays, **moved}, case.get('shared')).build(case['expr'])

    def encoded(value):
        if isinstance(value, (list, tuple)):
            return [encoded(item) for item in value]
        if isinstance(value, dict):
            return {'dict': {name: encoded(item) for name, item in value.items()}}
        if value is None or isinstance(value, (bool, int, float, str)):
            return {'value': value}
        value = np.asarray(value)
        narrow = {np.dtype('float64'): np.float32, np.dtype('int64'): np.int32}.get(value.dtype, value.dtype)
        return {'tensor': tape.put(f'y{next(count)}', value.astype(narrow))}

    if not case.get('grad'):
        case['result'] = encoded(call({}))
        return case
    wrt = case['grad']['wrt']

    def of_floats(moved):
        value = call(moved)
        return [y for y in leaves(value) if hasattr(y, 'dtype') and is_float(y)], value

    ys, pull, value = ex.jax.vjp(of_floats, {name: arrays[name] for name in wrt}, has_aux=True)
    found, = pull(cotangents(tape, 'ct', ys))
    case['result'] = encoded(value)
    case['grad'] = {
        'wrt': wrt,
        'cotangents': [f'ct{i}' for i in range(len(ys))],
        'grads': [tape.put(f'g.{name}', found[name]) for name in wrt],
    }
    return case


def record_error(case, tape):
    """In which phase Trax raises, and what."""
    case, phase = copy.deepcopy(case), 'build'
    try:
        layer = ex.Builder(tape.given, case.get('shared')).build(case['expr'])
        if 'inputs' in case:
            phase = 'init'
            xs, first = [tuples(mapped(tape.get, case.get(k, case['inputs']))) for k in ('inputs', 'initInputs')]
            weights, state = initialized(layer, ex.trax.shapes.signature(first), key_of(case['key']))
            phase = 'call'
            layer.pure_fn(xs, weights, state, key_of(case['key']))
    except ex.Malformed:
        raise
    except Exception as error:  # Whatever Trax raises is what is recorded.
        cause = error
        while cause.__context__ is not None:
            cause = cause.__context__
        case['error'] = {'phase': phase, 'exception': type(error).__name__, 'cause': type(cause).__name__}
        return case
    raise ValueError('Trax does not refuse this')


def record_optimizer(case, tape):
    case = copy.deepcopy(case)
    optimizer = ex.Builder(tape.given).build(case['expr'])
    weights = tuple(ex.jnp.asarray(tape.given[name]) for name in case['weights'])
    slots, parameters = optimizer.tree_init(weights)
    case['slots'] = [tape.put(f's{i}', s) for i, s in enumerate(leaves(slots))]
    case['slotsTree'] = structure(slots)
    for number, step in enumerate(case['steps']):
        gradients = tuple(ex.jnp.asarray(tape.given[name]) for name in step['grads'])
        weights, slots, metrics = optimizer.tree_update(step['step'], gradients, weights, slots, parameters)
        step['weights'] = [tape.put(f'w{number}.{i}', w) for i, w in enumerate(weights)]
        step['slots'] = [tape.put(f's{number}.{i}', s) for i, s in enumerate(leaves(slots))]
        step['metrics'] = {name: float(value) for name, value in metrics.items()}
    return case


def record_schedule(case, tape):
    schedule = ex.Builder(tape.given).build(case['expr'])
    return {**case, 'points': [[step, float(schedule(step))] for step, _ in case['points']]}


def record_training(case, tape):
    """The losses of a few steps of a model and its loss under an optimizer."""
    case, build = copy.deepcopy(case), ex.Builder().build
    model = ex.tl.Serial(build(case['model']), build(case['loss']))
    batches = [tuples(mapped(lambda n: ex.jnp.asarray(tape.given[n]), batch)) for batch in case['batches']]
    weights, state = model.init(ex.trax.shapes.signature(batches[0]), rng=key_of(case['init']['key']))
    case['text'] = str(model)
    case['init']['weightsChecksums'] = [sums(w) for w in flat(weights, state)[0]]
    optimizer = build(case['optimizer'])
    slots, parameters = optimizer.tree_init(weights)

    @ex.jax.jit
    def step(number, weights, state, slots, batch, key):
        def loss(weights):
            return model.pure_fn(batch, weights, state, key)

        (value, state), gradients = ex.jax.value_and_grad(loss, has_aux=True)(weights)
        weights, slots, _ = optimizer.tree_update(number, gradients, weights, slots, parameters, store_slots=False)
        return weights, state, slots, value

    case['losses'] = []
    for number, (batch, words) in enumerate(zip(batches, case['keys'])):
        weights, state, slots, loss = step(number, weights, state, slots, batch, key_of(words))
        case['losses'].append(float(loss))
    case['finalWeightsChecksums'] = [sums(w) for w in flat(weights, state)[0]]
    return case


RECORDERS = {
    'layer': record_layer,
    'function': record_function,
    'error': record_error,
    'optimizer': record_optimizer,
    'schedule': record_schedule,
    'training': record_training,
}
