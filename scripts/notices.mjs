import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { needCargo, needNode, needPackages } from './lib/needs.mjs';
import { freshNotices, NOTICES, notices } from './lib/notices.mjs';
import { at } from './lib/paths.mjs';
import { main } from './lib/run.mjs';

const help = `npm run notices -- [options]

Writes ${NOTICES}: the licences of the crates that are linked into the addons. It stands in every package.

  --check   write nothing; fail when it differs
  --help    this text`;

await main(async () => {
  const { values } = parseArgs({ options: { check: { type: 'boolean' }, help: { type: 'boolean' } } });
  if (values.help) return void console.log(help);
  needNode();
  await needCargo();
  await needPackages();
  if (values.check) {
    const { failed, output } = await freshNotices.run();
    if (output) console.error(output);
    return failed;
  }
  writeFileSync(at(NOTICES), await notices());
  console.log(`wrote ${NOTICES}`);
});
