import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { npm } from './lib/needs.mjs';
import { readJson } from './lib/paths.mjs';
import { plan } from './lib/publishing.mjs';
import { main, must, Refusal, run, step } from './lib/run.mjs';

const help = `npm run release -- [options]

Publishes what \`npm run package\` packed: the platform packages first, then tallow, which asks for them, and create-tallow last. What is published already
is left out, so a release that was cut off goes on. Without --publish nothing leaves this machine.

  --tarballs <folder>  where they lie (target/packages)
  --publish            publishes them, with a statement of where they were built (npm's provenance, which needs a CI that npm trusts)
  --help               this text`;

/** The package.json in a tarball. */
const manifestOf = async (tarball) => JSON.parse(await must('tar', 'tar', ['-xzOf', tarball, 'package/package.json']));

/** Whether the registry has this version of a package. */
async function isPublished({ name, version }) {
  const [command, args] = npm('view', `${name}@${version}`, 'version', '--loglevel=error');
  const { code, output } = await run(command, args);
  if (code === 0) return output.includes(version);
  if (/E404/.test(output)) return false;
  throw new Refusal(`the registry does not say whether it has ${name} ${version}: ${output.trim().split('\n')[0]}`);
}

await main(async () => {
  const { values } = parseArgs({
    options: {
      tarballs: { type: 'string', default: 'target/packages' },
      publish: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) return void console.log(help);
  const paths = readdirSync(values.tarballs)
    .filter((file) => file.endsWith('.tgz'))
    .map((file) => join(resolve(values.tarballs), file));
  const packed = await Promise.all(paths.map(async (path) => ({ path, manifest: await manifestOf(path) })));
  const last = { path: './packages/create-tallow', manifest: readJson('packages/create-tallow/package.json') };
  for (const { path, name, version, tag } of plan([...packed, last], process.env.GITHUB_REF)) {
    const what = `${name} ${version}${tag === 'latest' ? '' : ` as ${tag}`}`;
    if (!values.publish) {
      console.log(`would publish ${what}`);
    } else if (await isPublished({ name, version })) {
      console.log(`${what} is published already`);
    } else {
      const flags = ['--access', 'public', '--provenance', '--tag', tag, '--ignore-scripts', '--loglevel=error'];
      const [command, args] = npm('publish', path, ...flags);
      await step(`publishing ${what}`, () => must('npm publish', command, args));
    }
  }
});
