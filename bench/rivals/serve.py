"""A rival as a process that the benchmark's driver talks to, in the protocol of bench/anchor.mjs: one JSON object a line."""
import gc
import json
import os
import sys
import time


def peak_memory():
    """The most memory this process has held, in MiB."""
    try:
        with open('/proc/self/status', encoding='utf8') as status:
            return next(int(line.split()[1]) for line in status if line.startswith('VmHWM:')) / 1024
    except FileNotFoundError:
        import resource
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (1 << 20 if sys.platform == 'darwin' else 1 << 10)


def prepare(build, message):
    """Builds a case and runs it twice, the first time with everything that is done only once."""
    begin = time.perf_counter()
    repeat, info = build(message['suite'], message['params'], message['threads'])
    built = time.perf_counter()
    value = repeat()
    called = time.perf_counter()
    repeat()
    result = {'value': value} if isinstance(value, (float, list)) else {}
    return repeat, {'ok': True, 'info': {**info, **result, 'build_s': built - begin, 'first_call_s': called - built}}


def burst(repeat, message):
    """Wall and CPU milliseconds of each repetition."""
    gc.collect()
    ms = []
    begin = time.perf_counter()
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        repeat()
        ms.append([(time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3])
        enough = len(ms) >= message['min_reps'] and time.perf_counter() - begin >= message['min_s']
        if enough or len(ms) >= message['max_reps']:
            return {'ms': ms, 'peak': peak_memory()}


def serve(build):
    """Answers the driver until it ends. `build(suite, params, threads)` gives a function to repeat and what is known of it."""
    def say(answer):
        print(json.dumps(answer), flush=True)

    say({'ready': True, 'pid': os.getpid()})
    repeat = None
    for line in sys.stdin:
        message = json.loads(line)
        if message['op'] == 'end':
            break
        try:
            if message['op'] == 'prepare':
                repeat, answer = prepare(build, message)
            else:
                answer = burst(repeat, message)
        except Exception as error:  # The driver reports it.
            answer = {'ok': False, 'error': f'{type(error).__name__}: {error}'}
        say(answer)
