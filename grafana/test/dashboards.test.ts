import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Panel } from '@grafana/schema';
import { all, text } from '../src/all';
import { columns } from '../src/dashboard';
import type { Target } from '../src/influx';
import { archive, tag } from '../src/names';
import { ofDevices } from '../src/shared';
import { faults, macros, variables } from './influxql';
import { panelsOf, shown, targetsOf } from './panels';

const home = join(__dirname, '..', '..');

/** Grafana's own variable in links. */
const linkWords = ['__value'];

test('the files are up to date: npm run build', () => {
  const folder = join(home, 'dashboards');
  assert.deepEqual(readdirSync(folder).sort(), Object.keys(all).sort());
  for (const [name, d] of Object.entries(all)) assert.equal(readFileSync(join(folder, name), 'utf8'), text(d), `${name} is not what src/ makes: npm run build`);
});

test('each dashboard has a name of its own', () => {
  const list = Object.values(all);
  for (const key of ['uid', 'title'] as const) assert.equal(new Set(list.map((d) => d[key])).size, list.length, key);
  for (const d of list) assert.match(d.uid ?? '', /^[a-z-]{3,40}$/);
});

test('the data source is the one that is provisioned', () => {
  const yml = readFileSync(join(home, 'provisioning', 'datasources', 'influxdb.yml'), 'utf8');
  assert.match(yml, new RegExp(`^ +uid: ${archive.uid}$`, 'm'));
  assert.match(yml, new RegExp(`type: ${archive.type}$`, 'm'));
});

for (const [name, d] of Object.entries(all)) {
  describe(name, () => {
    const names = (d.templating?.list ?? []).map((v) => v.name);

    test('panels fill the grid and do not overlap', () => {
      const taken = new Set<string>();
      const open = (d.panels ?? []) as Panel[]; // those of a shut row are below it when it is opened
      for (const p of open) {
        const { x, y, w, h } = p.gridPos ?? { x: 0, y: 0, w: 0, h: 0 };
        assert.ok(x >= 0 && w > 0 && x + w <= columns && h > 0, `${p.title}: place`);
        for (let i = x; i < x + w; i++) {
          for (let j = y; j < y + h; j++) {
            assert.ok(!taken.has(`${i},${j}`), `${p.title}: overlaps`);
            taken.add(`${i},${j}`);
          }
        }
      }
      const bottom = Math.max(...open.map((p) => (p.gridPos?.y ?? 0) + (p.gridPos?.h ?? 0)));
      assert.equal(taken.size, bottom * columns, 'no hole');
    });

    test('panels are numbered, named, described, and have a unit', () => {
      const ids = panelsOf(d).map((p) => p.id);
      assert.equal(new Set(ids).size, ids.length);
      for (const p of shown(d)) {
        assert.ok(p.title, `panel ${p.id}: title`);
        assert.ok((p.description ?? '').length > 10, `${p.title}: description`);
        assert.ok(p.fieldConfig?.defaults.unit, `${p.title}: unit`);
        if (p.type !== 'text') {
          assert.ok(p.fieldConfig?.defaults.noValue, `${p.title}: what stands where there is no value`);
          assert.notEqual(p.fieldConfig?.defaults.noValue, '0', `${p.title}: no data is not zero`);
          assert.ok(targetsOf(p).length > 0, `${p.title}: queries`);
        }
      }
    });

    test('queries can be queries, of the archive', () => {
      for (const p of shown(d)) {
        const refs = targetsOf(p).map((t) => t.refId);
        assert.equal(new Set(refs).size, refs.length, `${p.title}: refIds`);
        for (const t of targetsOf(p)) {
          assert.deepEqual(t.datasource, archive, `${p.title} ${t.refId}`);
          assert.deepEqual(faults(t.query), [], `${p.title} ${t.refId}: ${t.query}`);
          assert.equal(t.rawQuery, true);
          // A table of several measurements would not say which row is whose.
          const one = p.repeat === 'device' || (d.templating?.list ?? []).some((v) => v.name === 'device' && !v.multi);
          if (t.resultFormat === 'table') assert.doesNotMatch(one ? t.query.replaceAll(ofDevices, '') : t.query, /FROM \//, `${p.title}: a table of several measurements`);
          // A variable that has no value would make it an error.
          assert.doesNotMatch(t.query, /FROM "\$/, `${p.title}: FROM ""`);
        }
        for (const o of p.fieldConfig?.overrides ?? []) {
          if (o.matcher.id === 'byFrameRefID') assert.ok(refs.includes(String(o.matcher.options)), `${p.title}: an override of ${String(o.matcher.options)}`);
        }
      }
      for (const v of d.templating?.list ?? []) {
        if (v.type !== 'query') continue;
        assert.deepEqual(v.datasource, archive);
        assert.doesNotMatch(v.regex ?? '', /\((?!\?)/, `${v.name}: what a group captures would be the value`);
        assert.deepEqual(faults((v.query as { query: string }).query), [], v.name);
      }
      for (const a of d.annotations?.list ?? []) {
        const t = a.target as unknown as Target;
        assert.deepEqual(a.datasource, archive);
        assert.deepEqual(faults(t.query), [], a.name);
        // Grafana takes an empty word for any column, and finds these two by their whole name.
        assert.ok(t['tagsColumn'] && t['textColumn'], a.name);
        const [, measurement] = / FROM "(\w+)"/.exec(t.query) ?? [];
        for (const whole of [t['titleColumn'], t['timeEndColumn']].filter(Boolean).map(String)) {
          assert.ok(whole.startsWith(`${measurement}.`) && t.query.includes(`"${whole.split('.')[1]}"`), `${a.name}: ${whole}`);
        }
      }
    });

    test('variables that are used exist, and before they are used', () => {
      const known = new Set([...names, ...macros, ...linkWords]);
      const aliases = /\$(m|col|tag_\w+|\d)\b/g; // of series, and of what a regular expression found
      for (const p of shown(d)) {
        for (const used of variables(JSON.stringify(p).replace(aliases, ''))) assert.ok(known.has(used), `${p.title}: $${used}`);
        if (p.repeat) assert.ok(names.includes(p.repeat), `${p.title}: repeat`);
      }
      for (const a of d.annotations?.list ?? []) for (const used of variables(JSON.stringify(a))) assert.ok(known.has(used), `${a.name}: $${used}`);
      (d.templating?.list ?? []).forEach((v, i) => {
        for (const used of variables(JSON.stringify(v.query ?? ''))) assert.ok(names.slice(0, i).includes(used), `${v.name} uses $${used}`);
      });
      for (const n of names) assert.ok(JSON.stringify([d.panels, d.templating?.list, d.annotations]).includes(`\${${n}:`), `$${n} is used by nothing`);
    });

    test('curves keep gaps, and spikes', () => {
      for (const p of shown(d).filter((s) => s.type === 'timeseries')) {
        assert.notEqual((p.fieldConfig?.defaults.custom as { spanNulls?: unknown }).spanNulls, true, `${p.title}: gaps are closed`);
        for (const t of targetsOf(p)) assert.doesNotMatch(t.query, /time\(\$__interval\)[^()]*fill\((0|previous|linear)\)$/, `${p.title}: makes up values`);
      }
    });

    test('it links to the others, and to 5 min and 30 days of itself', () => {
      assert.deepEqual(d.tags, [tag]);
      assert.ok(d.links?.some((l) => l.type === 'dashboards' && l.tags.includes(tag) && l.keepTime));
      for (const from of ['now-5m', 'now-30d']) assert.ok(d.links?.some((l) => l.url?.startsWith(`/d/${d.uid}?from=${from}`) && l.includeVars), from);
    });
  });
}
