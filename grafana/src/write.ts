// Writes dashboards/*.json: npm run build.

import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { all, text } from './all';

const folder = join(__dirname, '..', '..', 'dashboards');
mkdirSync(folder, { recursive: true });
for (const name of readdirSync(folder)) {
  if (name.endsWith('.json') && !(name in all)) rmSync(join(folder, name));
}
for (const [name, dashboard] of Object.entries(all)) writeFileSync(join(folder, name), text(dashboard));
