import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { copyOf, differences, packedIn, published, sumsOf } from './lib/reproducible.mjs';
import { main, Refusal, step } from './lib/run.mjs';

const help = `npm run check:reproducible -- [options]

Builds dist/ and packs tallow twice, from copies of this checkout in two folders, and compares the bytes. The addon is not built: it is that of the
checkout.

  --against <version>  builds once, and compares with the package of that version that npm has; check out its tag first
  --help               this text`;

await main(async () => {
  const { values } = parseArgs({ options: { against: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  await build();
  const folders = ['one', values.against === undefined ? 'another' : undefined].filter(Boolean);
  const built = [];
  for (const name of folders) {
    built.push(await step(`building a copy (${name})`, () => copyOf(name, packedIn)));
  }
  const [ours, theirs] = [built[0], built[1] ?? (await published(values.against))];
  const found = differences(sumsOf(ours), sumsOf(theirs));
  if (found.length > 0) throw new Refusal(`these files differ:\n${found.join('\n')}`);
  console.log(`${sumsOf(ours).size} files, the same bytes`);
});
