// What Grafana makes of answers of the archive.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { all } from '../src/all';
import { colour, noValue } from '../src/fields';
import { answer, cell, hue, rangeUtil, shownSeries, tile } from './grafana';
import { panel, shown, targetsOf } from './panels';

const dashboards = Object.entries(all);

test('other quantities leave out what has a panel of its own, and bookkeeping', async () => {
  const others = panel(all['environment.json'], 'Other quantities');
  const columns = ['mean_meas1', 'mean_seq', 'mean_run', 'mean_temperature', 'mean_temp', 'mean_room_Temp_2', 'mean_humidity', 'mean_pressure1', 'mean_attempts', 'mean_runs_today', 'mean_flow_seq'];
  const left = await shownSeries(others, columns.map((c) => answer('A', `sensor_1 ${c}`, 1, 2)));
  assert.deepEqual(left, ['sensor_1 meas1', 'sensor_1 attempts', 'sensor_1 runs_today', 'sensor_1 flow_seq']);
});

test('a field of now is called by its own name', async () => {
  assert.deepEqual(await shownSeries(panel(all['environment.json'], 'Temperature now'), [answer('A', 'dht_room last_temperature', 21)]), ['dht_room temperature']);
});

test('a flag that is 0 does not look like one that is not known', () => {
  for (const [file, d] of dashboards) {
    for (const p of shown(d)) {
      const looks = [p.fieldConfig?.defaults.mappings, ...(p.fieldConfig?.overrides ?? []).flatMap((o) => o.properties.filter((q) => q.id === 'mappings').map((q) => q.value))];
      for (const word of JSON.stringify(looks).matchAll(/"text":"([^"]*)","color":"([^"]*)"/g)) {
        assert.ok(word[1] && word[1] !== noValue, `${file} ${p.title}: ${word[0]}`);
        assert.notEqual(word[2], 'transparent', `${file} ${p.title}: ${word[0]}`);
      }
    }
  }
  const now = panel(all['high-voltage.json'], '$device now');
  assert.deepEqual([0, 1, null].map((v) => cell(now, 'trip', v).text), ['no', 'trip', noValue]);
  assert.equal(cell(now, 'trip', 0).color, hue(colour.grey));
  const timeline = panel(all['high-voltage.json'], 'Tripped, or held by the current limit');
  assert.deepEqual([0, 1].map((v) => cell(timeline, undefined, v).text), ['no', 'trip']);
});

test('a channel that was off for a moment is not shown as on', () => {
  const onOff = panel(all['high-voltage.json'], 'On and off');
  assert.match(targetsOf(onOff)[0]?.query ?? '', /min\("on"\) \+ max\("on"\)/);
  assert.deepEqual([0, 1, 2].map((v) => cell(onOff, undefined, v).text), ['off', 'on and off', 'on']);
});

test('tables say nothing in cells that have no value', () => {
  for (const [file, d] of dashboards) for (const p of shown(d).filter((s) => s.type === 'table')) assert.equal(p.fieldConfig?.defaults.noValue, noValue, `${file} ${p.title}`);
});

// A tile takes the last value that is not null: of a curve over the dashboard's time
// that is one of a device which may have been silent for weeks.
test('tiles do not show the end of a curve', () => {
  const dead = tile(panel(all['environment.json'], 'Air above its dew point'), [answer('A', 'dead', 9, null, null)]);
  assert.equal(dead[0]?.color, hue(colour.good), 'this is what lastNotNull does');
  for (const [file, d] of dashboards) {
    for (const p of shown(d).filter((s) => s.type === 'stat' || s.type === 'bargauge')) {
      for (const t of targetsOf(p)) assert.doesNotMatch(t.query, /time\(\$__interval/, `${file} ${p.title}`);
    }
  }
});

test('the overview says that the archive lives, and that it does not', () => {
  const live = panel(all['overview.json'], 'Archive is live');
  assert.deepEqual(tile(live, [answer('A', 'archive', 6)]).map((v) => [v.text, v.color]), [['yes', hue(colour.good)]]);
  assert.deepEqual(tile(live, []).map((v) => [v.text, v.color]), [['NO', hue(colour.bad)]]);
});

test('what reads long times reads them seldom', () => {
  const time = (hours: number) => rangeUtil.convertRawToRange({ from: `now-${hours}h`, to: 'now' });
  const every = (hours: number): number => rangeUtil.calculateInterval(time(hours), 1920, '5s').intervalMs / 1000;
  assert.deepEqual([0.25, 24, 30 * 24].map(every), [5, 60, 1200]);
  for (const [file, d] of dashboards) assert.equal(d.refresh, 'auto', file);
});
