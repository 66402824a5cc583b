import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Panel } from '@grafana/schema';
import { all } from '../src/all';
import { unit } from '../src/fields';
import { FieldConfigProperty, fieldColorModeRegistry, fieldMatchers, fieldReducers, getValueFormats, transformers } from './grafana';
import { panelsOf } from './panels';

const panels: [string, Panel][] = Object.entries(all).flatMap(([file, d]) => panelsOf(d).map((p): [string, Panel] => [`${file}: ${p.title}`, p]));
const units = new Set(getValueFormats().flatMap((group) => group.submenu?.map((u) => String(u.value)) ?? []));
const known = new Set<string>(Object.values(FieldConfigProperty));

/** Each override's and each default's property, with its value. */
function properties(p: Panel): [string, unknown][] {
  const given = (p.fieldConfig?.overrides ?? []).flatMap((o) => o.properties.map((q): [string, unknown] => [q.id, q.value]));
  return [...given, ...Object.entries(p.fieldConfig?.defaults ?? {}).filter(([id]) => id !== 'custom')];
}

test('the library is of the version that the panels are of', () => {
  const home = join(__dirname, '..', '..');
  const lock = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as { devDependencies: Record<string, string> };
  for (const [where, p] of panels) if (p.type !== 'row') assert.equal(p.pluginVersion, lock.devDependencies['@grafana/data'], where);
  assert.equal(lock.devDependencies['@grafana/schema'], lock.devDependencies['@grafana/data']);
});

test('Grafana knows each unit', () => {
  // 'string' is in no list: it is what Grafana calls a text without a format.
  for (const u of Object.values(unit)) assert.ok(units.has(u), u);
  for (const [where, p] of panels) for (const [id, value] of properties(p)) if (id === 'unit') assert.ok(units.has(String(value)), `${where}: ${value}`);
});

test('Grafana knows each property that is set', () => {
  for (const [where, p] of panels) {
    for (const [id] of properties(p)) assert.ok(known.has(id) || id.startsWith('custom.'), `${where}: ${id}`);
    for (const [id, value] of properties(p)) if (id === 'color') assert.ok(fieldColorModeRegistry.getIfExists((value as { mode: string }).mode), `${where}: ${JSON.stringify(value)}`);
  }
});

test('Grafana knows each matcher and each reducer', () => {
  for (const [where, p] of panels) {
    for (const o of p.fieldConfig?.overrides ?? []) {
      assert.ok(fieldMatchers.getIfExists(o.matcher.id), `${where}: ${o.matcher.id}`);
      const { reducer } = (o.matcher.options ?? {}) as { reducer?: string };
      if (reducer) assert.ok(fieldReducers.getIfExists(reducer), `${where}: ${reducer}`);
    }
    const { reduceOptions, legend } = (p.options ?? {}) as { reduceOptions?: { calcs: string[] }; legend?: { calcs?: string[] } };
    for (const id of [...(reduceOptions?.calcs ?? []), ...(legend?.calcs ?? [])]) assert.ok(fieldReducers.getIfExists(id), `${where}: ${id}`);
  }
});

test('Grafana knows each transformation', () => {
  for (const [where, p] of panels) for (const t of p.transformations ?? []) assert.ok(transformers.getIfExists(t.id), `${where}: ${t.id}`);
});
