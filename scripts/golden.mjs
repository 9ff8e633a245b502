import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { at } from './lib/paths.mjs';
import { main, must, Refusal, run, step } from './lib/run.mjs';

const TRAX = 'trax==1.4.1';
const help = `npm run golden -- <check|record|add> <names> [options]

Golden cases are what Trax itself computes, which the tests hold tallow against.

  check core/Dense-1 rnn   runs recorded cases through Trax and says what comes out otherwise
  record core/Dense-1      runs them again and writes what Trax gives now
  add cases.json           runs newly declared cases and appends them to their module's file

  --trax <folder>    a checkout of Trax's repository (${TRAX} from PyPI)
  --python <program> the Python 3.11 to make the environment with (python3.11)
  --help             this text

The first run makes a Python environment in runs/golden-python: 2 GB, some minutes.
CONTRIBUTING.md says how a case is declared.`;

const folder = at('runs', 'golden-python');
const requirements = at('scripts', 'golden', 'requirements.txt');
const python = at(
  'runs',
  'golden-python',
  ...(process.platform === 'win32' ? ['Scripts', 'python.exe'] : ['bin', 'python']),
);

/** Makes the environment if it is missing or was made from other requirements. */
async function prepare(base) {
  const mark = at('runs', 'golden-python', 'made-from');
  const wanted = `${TRAX}\n${readFileSync(requirements, 'utf8')}`;
  if (existsSync(mark) && readFileSync(mark, 'utf8') === wanted) return;
  const version = await run(base, ['-c', 'import sys; sys.exit(sys.version_info[:2] != (3, 11))']).catch(() => ({
    code: 1,
  }));
  if (version.code !== 0) throw new Refusal(`Trax needs Python 3.11, and \`${base}\` is none: name one with --python`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(at('runs'), { recursive: true });
  await step('making a Python environment with Trax', async () => {
    await must('python -m venv', base, ['-m', 'venv', folder]);
    await must('pip install', python, ['-m', 'pip', 'install', '--quiet', '--requirement', requirements]);
    await must('pip install', python, ['-m', 'pip', 'install', '--quiet', '--no-deps', TRAX]);
  });
  writeFileSync(mark, wanted);
}

await main(async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      trax: { type: 'string' },
      python: { type: 'string', default: 'python3.11' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return void console.log(help);
  const [work, ...names] = positionals;
  if (!['check', 'record', 'add'].includes(work))
    throw new Refusal(`npm run golden takes check, record or add, not ${work ?? 'nothing'}`);
  if (names.length === 0) throw new Refusal(`npm run golden -- ${work} needs names; --help shows some`);
  if (values.trax && !existsSync(resolve(values.trax, 'trax', 'layers')))
    throw new Refusal(`there is no Trax in ${values.trax}`);
  await prepare(values.python);
  const env = {
    PYTHONPATH: [at('scripts'), values.trax && resolve(values.trax)].filter(Boolean).join(delimiter),
    JAX_PLATFORMS: 'cpu',
    PYTHONDONTWRITEBYTECODE: '1',
    TF_CPP_MIN_LOG_LEVEL: '3',
  };
  const files = work === 'add' ? names.map((name) => resolve(name)) : names;
  const { code } = await run(python, ['-W', 'ignore', '-m', 'golden', work, ...files], { live: true, env });
  return code;
});
