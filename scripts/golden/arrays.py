"""Arrays of golden cases: how inputs are declared, and safetensors files."""

import hashlib
import json
import struct

import numpy as np

# The names of types in safetensors files, by NumPy's.
TYPES = {
    'bool': 'BOOL', 'uint8': 'U8', 'uint32': 'U32', 'int32': 'I32', 'float16': 'F16', 'bfloat16': 'BF16',
    'float32': 'F32',
}


def generator(name):
    """Random numbers that depend on the name of a case only, so that recording it again draws the same."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.RandomState(int.from_bytes(digest[:4], 'big'))


def key(random):
    """The two words of a key."""
    return [int(word) for word in random.randint(0, 2**32, 2, dtype=np.uint64)]


def draw(declared, random):
    """An array as a case declares it:

    {"normal": [2, 3], "scale": 1, "loc": 0}; {"uniform": [2, 3], "from": 0, "to": 1};
    {"ints": [4], "from": 0, "below": 10}; {"bools": [2, 4], "p": 0.7};
    {"prefix": [2, 5]} (of each row the first few are true); {"values": [[1, 2]], "dtype": "float32"}.
    """
    kind, = set(declared) & {'normal', 'uniform', 'ints', 'bools', 'prefix', 'values'}
    known = {kind, 'scale', 'loc', 'from', 'to', 'below', 'p', 'dtype'}
    if set(declared) - known:
        raise ValueError(f'{sorted(set(declared) - known)} in {declared} mean nothing')
    shape = declared[kind]
    if kind == 'normal':
        x = random.standard_normal(shape) * declared.get('scale', 1) + declared.get('loc', 0)
    elif kind == 'uniform':
        x = random.uniform(declared.get('from', 0), declared.get('to', 1), shape)
    elif kind == 'ints':
        return random.randint(declared.get('from', 0), declared['below'], shape).astype(declared.get('dtype', 'int32'))
    elif kind == 'bools':
        return random.uniform(size=shape) < declared.get('p', 0.7)
    elif kind == 'prefix':
        return np.arange(shape[-1]) < random.randint(1, shape[-1] + 1, (*shape[:-1], 1))
    else:
        return np.asarray(shape, declared.get('dtype', 'float32'))
    return np.asarray(x).astype(declared.get('dtype', 'float32'))


def read(path):
    """The arrays of a safetensors file, by name."""
    # Registers bfloat16 with NumPy.
    import ml_dtypes  # noqa: F401

    data = path.read_bytes()
    size, = struct.unpack('<Q', data[:8])
    header, body = json.loads(data[8:8 + size]), data[8 + size:]
    numpy_names = {short: name for name, short in TYPES.items()}
    arrays = {}
    for name, entry in header.items():
        if name != '__metadata__':
            begin, end = entry['data_offsets']
            dtype = np.dtype(numpy_names[entry['dtype']])
            arrays[name] = np.frombuffer(body[begin:end], dtype).reshape(entry['shape'])
    return arrays


def write(path, arrays):
    """Writes a safetensors file; the same arrays give the same bytes."""
    header, chunks, offset = {}, [], 0
    for name, array in sorted(arrays.items()):
        data = np.ascontiguousarray(array).tobytes()
        header[name] = {
            'dtype': TYPES[str(array.dtype)],
            'shape': list(array.shape),
            'data_offsets': [offset, offset + len(data)],
        }
        chunks.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    path.write_bytes(struct.pack('<Q', len(text)) + text + b''.join(chunks))
